import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

function run(command: string, environment: Record<string, string>) {
  const env = { ...process.env, ...environment };
  return spawnSync(process.execPath, ["src/main.ts", command], { env, encoding: "utf8", timeout: 30_000 });
}

test("wrong settings are explained all at once", () => {
  const { status, stderr } = run("serve", { PORT: "80", METRICS_PORT: "many", LOG_LEVEL: "loud" });
  assert.equal(status, 2);
  assert.deepEqual(stderr.trim().split("\n"), [
    "PORT: must be a number from 1024 to 65535",
    "METRICS_PORT: must be a number from 1024 to 65535 other than PORT",
    "LOG_LEVEL: must be debug, info, warning or error",
  ]);
});

test("the ports differ", () => {
  const { status, stderr } = run("serve", { PORT: "9999", METRICS_PORT: "9999" });
  assert.equal(status, 2);
  assert.equal(stderr, "METRICS_PORT: must be a number from 1024 to 65535 other than PORT\n");
});

test("an unknown command is refused", () => {
  const { status, stderr } = run("dance", {});
  assert.equal(status, 2);
  assert.match(stderr, /dance/);
});

test("the health check fails when nothing serves", () => {
  // Nothing can: the port is not for ordinary users.
  assert.equal(run("healthcheck", { PORT: "1" }).status, 1);
});
