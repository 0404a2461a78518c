// GET / with Fastify: request ids, an access log and a histogram by its own logger and the plugin that its users commonly add.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import Fastify from "fastify";
import metricsPlugin from "fastify-metrics";

const app = Fastify({
  logger: true,
  requestIdHeader: "x-request-id",
  genReqId: () => randomUUID(),
});
await app.register(metricsPlugin.default ?? metricsPlugin, { endpoint: null });
app.addHook("onRequest", async (request, reply) => {
  reply.header("x-request-id", request.id);
});
app.get("/", async () => ({ name: "baseline", version: "dev" }));

createServer(async (_, response) => {
  response.end(await app.metrics.client.register.metrics());
}).listen(Number(process.env.METRICS_PORT));
await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
