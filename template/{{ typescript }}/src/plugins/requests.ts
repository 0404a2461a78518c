/** Request IDs, metrics and the access log. */

import { AsyncResource } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { FastifyReply, FastifyRequest } from "fastify";
import fp from "fastify-plugin";
import { requestDuration } from "../metrics.ts";

const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;
const STANDARD_METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"]);
const PROBES = new Set(["/livez", "/readyz"]);
const REQUEST_TIMEOUT = 408;
const CLIENT_CLOSED_REQUEST = 499;

/** Returns the request ID of the client if it is valid, otherwise a new one. */
export function requestId({ headers }: IncomingMessage): string {
  const id = headers["x-request-id"];
  return typeof id === "string" && REQUEST_ID.test(id) ? id : randomUUID();
}

/** Returns the template of a request's route. */
export function routeOf(request: FastifyRequest): string | undefined {
  return request.routeOptions.url?.replace(/:(\w+)/g, "{$1}");
}

export const requests = fp((app, _options, done) => {
  app.addHook("onRequest", (request, reply, next) => {
    recordRequest(request, reply);
    next();
  });
  done();
});

/** Measures and logs a request when its response is sent, its client has disconnected or its body is late. */
export function recordRequest(request: FastifyRequest, reply: FastifyReply): void {
  const start = performance.now();
  reply.header("x-request-id", request.id);
  // Not onResponse, which Fastify does not call if the client has disconnected.
  reply.raw.once("close", AsyncResource.bind(record));

  function record(): void {
    const duration = (performance.now() - start) / 1000;
    const status = reply.raw.writableEnded ? reply.raw.statusCode : abortedStatus(request);
    const { method } = request;
    const route = routeOf(request) ?? "unmatched";
    const path = request.originalUrl.split("?", 1)[0];
    // Clients can send any method, and every new label value would stay in memory.
    requestDuration.observe({ method: STANDARD_METHODS.has(method) ? method : "other", route, status }, duration);
    request.log[levelOf(route, status)]({ method, route, path, status, duration }, `${method} ${path}`);
  }
}

/** Returns the status of a request to which no handler has responded. */
function abortedStatus({ socket }: FastifyRequest): number {
  const error: NodeJS.ErrnoException | null = socket.errored;
  return error?.code === "ERR_HTTP_REQUEST_TIMEOUT" ? REQUEST_TIMEOUT : CLIENT_CLOSED_REQUEST;
}

function levelOf(route: string, status: number): "debug" | "info" | "error" {
  if (status >= 500) {
    return "error";
  }
  return PROBES.has(route) ? "debug" : "info";
}
