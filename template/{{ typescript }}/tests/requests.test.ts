import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { type TestContext, test } from "node:test";
import type { FastifyInstance } from "fastify";
import { requestDuration } from "../src/metrics.ts";
import { createService } from "./support.ts";

async function count(method: string, route: string, status: number): Promise<number> {
  const { values } = await requestDuration.get();
  const found = values.find(
    ({ metricName, labels }) =>
      metricName === "http_request_duration_seconds_count" &&
      labels.method === method &&
      labels.route === route &&
      labels.status === status,
  );
  return found?.value ?? 0;
}

test("a request is logged", async (context) => {
  const { app, lines } = createService(context);
  await app.inject({ url: "/nowhere?secret=1", headers: { "x-request-id": "one" } });
  const [{ time, duration, ...line } = {}] = lines;
  assert.ok(!Number.isNaN(Date.parse(String(time))));
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

test("a line that a handler logs has the ID of the request", async (context) => {
  const { app, lines } = createService(context);
  app.register((routes, _options, done) => {
    routes.get("/hello", async (request) => request.log.warn({ count: 1 }, "Hello."));
    done();
  });
  await app.inject({ url: "/hello", headers: { "x-request-id": "one" } });
  const [{ time, ...line } = {}] = lines;
  assert.deepEqual(line, { level: "warning", message: "Hello.", request_id: "one", count: 1 });
});

test("a successful probe is not logged at the level info", async (context) => {
  const { app, lines } = createService(context);
  await app.inject("/livez");
  assert.deepEqual(lines, []);
});

test("a request is measured by method, route and status", async (context) => {
  const { app } = createService(context);
  app.register((routes, _options, done) => {
    routes.get("/measured/:id", () => "");
    done();
  });
  await app.inject("/measured/1");
  await app.inject("/measured/2");
  assert.equal(await count("GET", "/measured/{id}", 200), 2);
});

test("clients cannot add methods and routes to the metrics", async (context) => {
  const { app } = createService(context);
  await app.inject({ method: "PROPFIND" as "GET", url: "/livez" });
  await app.inject("/one");
  await app.inject("/two");
  assert.equal(await count("other", "/livez", 405), 1);
  assert.equal(await count("GET", "/one", 404), 0);
  assert.ok((await count("GET", "unmatched", 404)) >= 2);
});

async function connect(context: TestContext, app: FastifyInstance): Promise<net.Socket> {
  await app.listen({ port: 0, host: "127.0.0.1" });
  const { port } = app.server.address() as net.AddressInfo;
  const socket = net.connect(port, "127.0.0.1");
  context.after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

test("a request whose client disconnects is logged and measured with 499", async (context) => {
  const { app, lines } = createService(context);
  const [started, finish] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  app.register((routes, _options, done) => {
    routes.get("/slow", async () => {
      started.resolve();
      await finish.promise;
    });
    done();
  });
  const socket = await connect(context, app);
  socket.write("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
  await started.promise;
  socket.destroy();
  while (lines.length < 2) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  finish.resolve();
  assert.equal(lines.at(-1)?.["status"], 499);
  assert.equal(await count("GET", "/slow", 499), 1);
});

test("a request whose body is late is logged and measured with 408", async (context) => {
  const { app, lines } = createService(context);
  app.register((routes, _options, done) => {
    routes.post("/late", async () => "");
    done();
  });
  app.server.requestTimeout = 100;
  app.server.headersTimeout = 100;
  const socket = await connect(context, app);
  socket.write("POST /late HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{");
  socket.resume();
  await once(socket, "close");
  while (lines.length < 2) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(lines.at(-1)?.["status"], 408);
  assert.equal(await count("POST", "/late", 408), 1);
});

test("an informational response is not the status of a request", async (context) => {
  const { app } = createService(context);
  app.register((routes, _options, done) => {
    routes.get("/hints", (_request, reply) => {
      reply.raw.writeEarlyHints({ link: "</style.css>; rel=preload" });
      reply.code(418).send();
    });
    done();
  });
  const socket = await connect(context, app);
  socket.write("GET /hints HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  socket.resume();
  await once(socket, "close");
  assert.equal(await count("GET", "/hints", 418), 1);
});
