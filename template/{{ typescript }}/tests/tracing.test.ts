import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { serve } from "./process.ts";

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";

interface Span {
  name: string;
  kind: number;
  traceId: string;
}

/** Starts a collector, and returns its settings and the spans that it receives. */
async function startCollector(context: TestContext) {
  const spans: Span[] = [];
  const collector = createServer(async (request, response) => {
    const { resourceSpans } = (await json(request)) as {
      resourceSpans: { scopeSpans: { spans: Span[] }[] }[];
    };
    spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)));
    response.setHeader("content-type", "application/json").end("{}");
  });
  await once(collector.listen(0, "127.0.0.1"), "listening");
  context.after(() => collector.close());
  const { port } = collector.address() as AddressInfo;
  const environment = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
  };
  return { spans, environment };
}

test("a request has a span of its caller's trace, whose ID is logged", async (context) => {
  const { spans, environment } = await startCollector(context);
  const { child, ended, url } = await serve(context, environment);
  await fetch(`${url}/`, { headers: { traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-01` } });
  await fetch(`${url}/livez`);
  child.kill("SIGTERM");
  const { status, stdout } = await ended;
  assert.equal(status, 0);
  assert.deepEqual(
    spans.map(({ name, traceId }) => ({ name, traceId })),
    [{ name: "GET /", traceId: TRACE_ID }],
  );
  assert.match(stdout, new RegExp(`"trace_id":"${TRACE_ID}","span_id":"[0-9a-f]{16}".*"message":"GET /"`));
});

test("an unavailable collector does not stop the service", async (context) => {
  const { child, ended, url } = await serve(context, { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" });
  assert.equal((await fetch(`${url}/`)).status, 200);
  child.kill("SIGTERM");
  assert.equal((await ended).status, 0);
});
