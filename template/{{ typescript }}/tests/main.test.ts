import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "./process.ts";

test("all invalid settings are reported at once", async () => {
  const { status, stderr } = await run("serve", { PORT: "80", METRICS_PORT: "many", LOG_LEVEL: "loud" });
  assert.equal(status, 2);
  assert.deepEqual(stderr.trim().split("\n"), [
    "PORT: must be a number from 1024 to 65535",
    "METRICS_PORT: must be a number from 1024 to 65535",
    "LOG_LEVEL: must be debug, info, warning or error",
  ]);
});

test("the ports must be different", async () => {
  const { status, stderr } = await run("serve", { PORT: "9999", METRICS_PORT: "9999" });
  assert.equal(status, 2);
  assert.equal(stderr, "METRICS_PORT: must be different from PORT\n");
});

for (const argument of ["unknown", "--unknown"]) {
  test(`the argument ${argument} is an error`, async () => {
    const { status, stderr } = await run(argument);
    assert.equal(status, 2);
    assert.match(stderr, /unknown/);
  });
}

test("--help lists commands and settings", async () => {
  const { status, stdout } = await run("--help");
  assert.equal(status, 0);
  assert.match(stdout, /^ {2}healthcheck {2}/m);
  assert.match(stdout, /^ {2}METRICS_PORT .*\(default: \d+\)$/m);
});
