import assert from "node:assert/strict";
import { test } from "node:test";
import { requestDuration, serveMetrics } from "../src/metrics.ts";
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

test("requests are measured by method, route and status", async (context) => {
  const { app } = createService(context);
  await app.inject("/livez");
  assert.equal(await count("GET", "/livez", 200), 1);
});

test("clients cannot add routes", async (context) => {
  const { app } = createService(context);
  await app.inject("/one");
  await app.inject("/two");
  assert.equal(await count("GET", "unmatched", 404), 2);
});

test("clients cannot add methods", async (context) => {
  const { app } = createService(context);
  await app.inject({ method: "PROPFIND" as "GET", url: "/livez" });
  assert.equal(await count("other", "/livez", 405), 1);
});

test("metrics are served at their path alone", async (context) => {
  const server = await serveMetrics(0);
  context.after(() => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const metrics = await fetch(`http://127.0.0.1:${address.port}/metrics`);
  assert.match(await metrics.text(), /^# TYPE http_request_duration_seconds histogram$/m);
  assert.equal((await fetch(`http://127.0.0.1:${address.port}/`)).status, 404);
});
