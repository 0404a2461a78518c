import assert from "node:assert/strict";
import { test } from "node:test";
import { createService } from "./support.ts";

test("the process is alive", async (context) => {
  const { app } = createService(context);
  const response = await app.inject("/livez");
  assert.equal(response.statusCode, 200);
  assert.deepEqual(response.json(), { status: "ok" });
});

test("the service is ready", async (context) => {
  const { app } = createService(context);
  const response = await app.inject("/readyz");
  assert.equal(response.statusCode, 200);
  assert.deepEqual(response.json(), { status: "ok" });
});

test("a stopping service is alive but not ready", async (context) => {
  const { app, state } = createService(context);
  state.stopping = true;
  assert.equal((await app.inject("/livez")).statusCode, 200);
  const response = await app.inject("/readyz");
  assert.equal(response.statusCode, 503);
  assert.equal(response.json().detail, "The service is stopping.");
});
