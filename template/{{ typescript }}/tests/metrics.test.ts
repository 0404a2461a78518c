import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { pino } from "pino";
import { Gauge, register } from "prom-client";
import { createMetricsApp } from "../src/metrics.ts";

function createApp(context: TestContext) {
  const app = createMetricsApp("1.2.3", pino({ level: "silent" }));
  context.after(() => app.close());
  return app;
}

test("metrics include the requests, the version and the runtime", async (context) => {
  const response = await createApp(context).inject("/metrics?format=text");
  assert.equal(response.statusCode, 200);
  assert.match(String(response.headers["content-type"]), /^text\/plain/);
  assert.match(response.body, /^# TYPE http_request_duration_seconds histogram$/m);
  assert.match(response.body, /^service_info\{version="1.2.3"\} 1$/m);
  assert.match(response.body, /^nodejs_eventloop_lag_seconds /m);
});

test("another path of the metrics port returns 404", async (context) => {
  assert.equal((await createApp(context).inject("/")).statusCode, 404);
});

test("a metric that fails returns 500", async (context) => {
  const app = createApp(context);
  const collect = () => {
    throw new Error("broken");
  };
  new Gauge({ name: "broken", help: "Broken.", collect });
  assert.equal((await app.inject("/metrics")).statusCode, 500);
  register.removeSingleMetric("broken");
  assert.equal((await app.inject("/metrics")).statusCode, 200);
});
