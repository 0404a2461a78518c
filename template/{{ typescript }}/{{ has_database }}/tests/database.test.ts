import assert from "node:assert/strict";
import { test } from "node:test";
import { databaseSettings } from "./database.ts";
import { createService } from "./support.ts";

test("a service without its database is alive but not ready", async (context) => {
  const { app } = createService(context);
  assert.equal((await app.inject("/livez")).statusCode, 200);
  assert.equal((await app.inject("/readyz")).statusCode, 503);
});

test("an unavailable database returns 503, and its cause is logged", async (context) => {
  const { app, lines } = createService(context);
  const response = await app.inject("/items");
  assert.equal(response.statusCode, 503);
  assert.ok(response.headers["retry-after"]);
  assert.deepEqual(response.json(), {
    type: "about:blank",
    title: "Service Unavailable",
    status: 503,
    detail: "The database is unavailable.",
  });
  assert.match(JSON.stringify(lines), /connect ECONNREFUSED 127\.0\.0\.1:1/);
});

test("a service with its database is ready", async (context) => {
  const { app } = createService(context, databaseSettings());
  const response = await app.inject("/readyz");
  assert.equal(response.statusCode, 200);
  assert.deepEqual(response.json(), { status: "ok" });
});
