import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, freePorts, run, serve } from "./process.ts";

const REQUEST = "GET /livez HTTP/1.1\r\nHost: test\r\n\r\n";

test("the service serves the API and the metrics", async (context) => {
  const { url, metricsPort } = await serve(context, { SERVICE_VERSION: "1.2.3" });
  assert.equal((await fetch(`${url}/livez`)).status, 200);
  const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  assert.match(metrics, /^service_info\{version="1.2.3"\} 1$/m);
  assert.match(metrics, /^http_request_duration_seconds_count\{method="GET",route="\/livez",status="200"\} 1$/m);
});

test("the service ends at once without connections", async (context) => {
  const { child, ended } = await serve(context);
  const start = performance.now();
  child.kill("SIGTERM");
  assert.equal((await ended).status, 0);
  assert.ok(performance.now() - start < 2000);
});

test("a half-sent request is served after SIGTERM", async (context) => {
  const { child, ended, port } = await serve(context);
  const { socket, closed, received } = await connect(context, port);
  socket.write(REQUEST.slice(0, 20));
  await sleep(100);
  child.kill("SIGTERM");
  await sleep(2500);
  socket.write(REQUEST.slice(20));
  await closed;
  assert.match(received(), /^HTTP\/1.1 200 OK\r\n/);
  assert.match(received(), /^connection: close\r$/im);
  assert.equal((await ended).status, 0);
});

test("kept-alive connections are served after SIGTERM", async (context) => {
  const { child, ended, port } = await serve(context);
  const connections = await Promise.all(Array.from({ length: 64 }, () => connect(context, port)));
  await Promise.all(
    connections.map(async ({ socket }) => {
      socket.write(REQUEST);
      await once(socket, "data");
    }),
  );
  child.kill("SIGTERM");
  await refusesConnections(context, port);
  await Promise.all(
    connections.map(async ({ socket, closed, received }) => {
      socket.write(REQUEST);
      await closed;
      assert.match(received(), /HTTP\/1.1 200 OK\r\n.*HTTP\/1.1 200 OK\r\n.*connection: close\r\n/is);
    }),
  );
  assert.equal((await ended).status, 0);
});

async function refusesConnections(context: TestContext, port: number): Promise<void> {
  while (
    await connect(context, port)
      .then(({ socket }) => socket.destroy())
      .catch(() => undefined)
  ) {
    await sleep(10);
  }
}

test("idle and silent connections close two seconds after SIGTERM", async (context) => {
  const { child, ended, port } = await serve(context);
  const [idle, silent] = [await connect(context, port), await connect(context, port)];
  idle.socket.write(REQUEST);
  await once(idle.socket, "data");
  const start = performance.now();
  child.kill("SIGTERM");
  await Promise.all([idle.closed, silent.closed]);
  const seconds = (performance.now() - start) / 1000;
  assert.ok(seconds > 1.5 && seconds < 5, `after ${seconds} seconds`);
  assert.equal((await ended).status, 0);
});

test("the service is not ready after SIGTERM", async (context) => {
  const { child, port } = await serve(context);
  const { socket, closed, received } = await connect(context, port);
  socket.write(REQUEST);
  await once(socket, "data");
  child.kill("SIGTERM");
  await refusesConnections(context, port);
  socket.write(REQUEST.replace("livez", "readyz"));
  await closed;
  assert.match(received(), /HTTP\/1.1 503 .*retry-after: \d+\r\n.*The service is stopping\./is);
});

test("a second signal ends the service at once", async (context) => {
  const { child, ended, port } = await serve(context);
  const { socket } = await connect(context, port);
  socket.write(REQUEST.slice(0, 20));
  await sleep(100);
  child.kill("SIGTERM");
  await refusesConnections(context, port);
  child.kill("SIGTERM");
  assert.equal((await ended).status, 1);
});

test("a port that is in use ends the service with 1", async (context) => {
  const { port } = await serve(context);
  const [metricsPort] = await freePorts();
  const { status, stdout } = await run("serve", { PORT: String(port), METRICS_PORT: String(metricsPort) });
  assert.equal(status, 1);
  assert.match(stdout, new RegExp(`EADDRINUSE.*"port":${port}`));
});

test("the health check prints why it fails", async (context) => {
  const { port, child, ended } = await serve(context);
  child.kill("SIGTERM");
  await ended;
  const { status, stdout } = await run("healthcheck", { PORT: String(port) });
  assert.equal(status, 1);
  assert.match(stdout, /ECONNREFUSED/);
});
