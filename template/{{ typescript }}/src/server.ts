/** The server: start and graceful shutdown. */

import { once } from "node:events";
import { close, open } from "node:fs";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import closeWithGrace from "close-with-grace";
import type { FastifyInstance } from "fastify";
import fp from "fastify-plugin";
import type { Logger } from "pino";
import { createApp } from "./app.ts";
import { createMetricsApp } from "./metrics.ts";
import type { Settings } from "./settings.ts";
import type { Tracing } from "./tracing.ts";

const IDLE_TIMEOUT_MS = 2000;
const DRAIN_TIMEOUT_MS = 20_000;
// For a database that never closes its connections.
const STOP_TIMEOUT_MS = 27_000;
const CHECK_INTERVAL_MS = 1000;
const CLOSE_POLL_MS = 10;

/** Serves until SIGTERM or SIGINT; a second signal exits at once. */
export async function serve(settings: Settings, logger: Logger, tracing?: Tracing): Promise<void> {
  const app = createApp(settings, logger);
  const metrics = createMetricsApp(settings.serviceVersion, logger);
  if (tracing) {
    app.register(tracing.plugin);
  }
  app.register(drain);

  // An uncaught error closes the application too, and then exits with 1.
  closeWithGrace({ delay: STOP_TIMEOUT_MS, logger }, async ({ err }) => {
    if (err) {
      logger.fatal({ err }, "Stopping after an uncaught error.");
    } else {
      logger.info("Stopping.");
    }
    await app.close();
    await tracing?.shutdown();
  });

  checkDescriptors(logger);
  await listen(metrics, settings.metricsPort);
  await listen(app, settings.port);
  logger.info({ port: settings.port, metrics_port: settings.metricsPort }, "Listening.");
}

/** Listens on all interfaces; Fastify's own method fails for `::` on a machine without IPv6. */
async function listen(app: FastifyInstance, port: number): Promise<void> {
  await app.ready();
  await once(app.server.listen(port), "listening");
  // Such as too many open files, which is checked below.
  app.server.on("error", () => {});
}

/** Logs when no file descriptor is left: Node.js then closes new connections without an error. */
function checkDescriptors(logger: Logger): void {
  const check = () =>
    open("/dev/null", (err, descriptor) => {
      if (err) {
        logger.error({ err }, "New connections fail: no file descriptor is left.");
      } else {
        close(descriptor);
      }
    });
  setInterval(check, CHECK_INTERVAL_MS).unref();
}

/** Lets running requests and kept-alive connections finish before the application closes. */
const drain = fp((app, _options, done) => {
  const { server } = app;
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });

  let isStopping = false;
  app.addHook("onSend", (_request, reply, _payload, next) => {
    if (isStopping) {
      // Fastify adds it only to requests that begin later.
      reply.header("connection", "close");
    }
    next();
  });

  app.addHook("preClose", async () => {
    isStopping = true;
    if (!server.listening) {
      return;
    }
    const closed = once(server, "close");
    // Only stops listening: http.Server.close() would also close idle connections, and lose requests in flight.
    net.Server.prototype.close.call(server);
    const sweep = setInterval(() => {
      server.closeIdleConnections();
      // Node.js does not count a connection without any request as idle.
      for (const socket of sockets) {
        if (socket.bytesRead === 0) {
          socket.destroy();
        }
      }
    }, IDLE_TIMEOUT_MS);
    const deadline = setTimeout(() => server.closeAllConnections(), DRAIN_TIMEOUT_MS);
    await closed;
    // A request that is cut off is logged when its socket has closed.
    while (sockets.size > 0) {
      await sleep(CLOSE_POLL_MS);
    }
    clearInterval(sweep);
    clearTimeout(deadline);
  });
  done();
});
