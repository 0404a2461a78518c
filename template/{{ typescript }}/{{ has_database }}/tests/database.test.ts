import assert from "node:assert/strict";
import { before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { databaseSettings, prepareDatabase } from "./database.ts";
import { connect, serve } from "./process.ts";
import { createService } from "./support.ts";

before(prepareDatabase);

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

test("a half-sent body is served after SIGTERM", async (context) => {
  const { child, ended, port } = await serve(context, process.env);
  const { socket, closed, received } = await connect(context, port);
  const body = '{"name": "late"}';
  socket.write(
    `POST /items HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n{`,
  );
  await sleep(200);
  child.kill("SIGTERM");
  await sleep(200);
  socket.write(body.slice(1));
  await closed;
  assert.match(received(), /^HTTP\/1.1 201 Created\r\n.*connection: close\r\n/is);
  assert.equal((await ended).status, 0);
});
