/** Metrics for Prometheus, on a port of their own. */

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { collectDefaultMetrics, Histogram, register } from "prom-client";

collectDefaultMetrics();

export const requestDuration = new Histogram({
  name: "http_request_duration_seconds",
  help: "How long requests took.",
  labelNames: ["method", "route", "status"],
});

/** Returns the server of the metrics, which listens on all interfaces. */
export async function serveMetrics(port: number): Promise<Server> {
  const server = createServer(async (request, response) => {
    if (request.url !== "/metrics") {
      response.writeHead(404).end();
      return;
    }
    response.setHeader("Content-Type", register.contentType);
    response.end(await register.metrics());
  });
  await once(server.listen(port), "listening");
  return server;
}
