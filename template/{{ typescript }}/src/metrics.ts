/** Metrics for Prometheus, on a separate port. */

import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from "fastify";
import { collectDefaultMetrics, Gauge, Histogram, register } from "prom-client";

export const requestDuration = new Histogram({
  name: "http_request_duration_seconds",
  help: "Duration of HTTP requests.",
  labelNames: ["method", "route", "status"],
});

const serviceInfo = new Gauge({ name: "service_info", help: "Version of the service.", labelNames: ["version"] });

collectDefaultMetrics();

/** Builds the application of the metrics port. */
export function createMetricsApp(version: string, logger: FastifyBaseLogger): FastifyInstance {
  serviceInfo.set({ version }, 1);
  const app: FastifyInstance = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
  });
  app.get("/metrics", async (_request, reply) => reply.type(register.contentType).send(await register.metrics()));
  return app;
}
