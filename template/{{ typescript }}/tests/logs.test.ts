import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger } from "../src/logs.ts";
import type { LogLevel } from "../src/settings.ts";
import { createService } from "./support.ts";

function createCapture(level: LogLevel) {
  const lines: Record<string, unknown>[] = [];
  return { lines, logger: createLogger(level, { write: (line) => lines.push(JSON.parse(line)) }) };
}

test("a line is an object", () => {
  const { lines, logger } = createCapture("warning");
  logger.info("Not heard.");
  logger.warn({ teeth: 42 }, "Beware of %s", "the\ndog");
  const [{ time, ...line } = {}, ...more] = lines;
  assert.ok(!Number.isNaN(Date.parse(String(time))));
  assert.deepEqual(line, { level: "warning", message: "Beware of the\ndog", teeth: 42 });
  assert.deepEqual(more, []);
});

test("a line holds the stack", () => {
  const { lines, logger } = createCapture("info");
  logger.error({ exception: new RangeError("broken") }, "It failed.");
  assert.match(String(lines[0]?.["exception"]), /RangeError: broken\n +at /);
});

test("a request is a line", async (context) => {
  const { app, lines } = createService(context);
  await app.inject({ url: "/nowhere?secret=1", headers: { "x-request-id": "one" } });
  const [{ time, duration, ...line } = {}] = lines;
  assert.ok(Number(duration) >= 0);
  assert.deepEqual(line, {
    level: "info",
    message: "GET /nowhere",
    request_id: "one",
    method: "GET",
    route: "unmatched",
    path: "/nowhere",
    status: 404,
  });
});

test("what a handler logs has the id of its request", async (context) => {
  const { app, lines } = createService(context);
  app.get("/wonder", async (request) => request.log.info("Curious."));
  await app.inject({ url: "/wonder", headers: { "x-request-id": "one" } });
  const [{ time, ...line } = {}] = lines;
  assert.deepEqual(line, { level: "info", message: "Curious.", request_id: "one" });
});

test("good probes are debug", async (context) => {
  const { app, lines } = createService(context);
  await app.inject("/livez");
  assert.deepEqual(lines, []);
});
