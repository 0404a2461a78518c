/** What happens to every request. */

import { randomUUID } from "node:crypto";
import { type IncomingMessage, METHODS } from "node:http";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { State } from "./health.ts";
import { requestDuration } from "./metrics.ts";
import { answerError, MEDIA_TYPE, notFound, Problem } from "./problems.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** The template of the route, as metrics and logs name it. */
    route?: string;
  }
}

export const BODY_LIMIT = 64 * 1024;
const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;
const STANDARD = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"]);
const PROBES = new Set(["/livez", "/readyz"]);

/** Returns the client's id of a request, or another if that is none. */
export function requestId({ headers }: IncomingMessage): string {
  const given = headers["x-request-id"];
  return typeof given === "string" && REQUEST_ID.test(given) ? given : randomUUID();
}

/** Returns the URL of a request, or one that no route has if it cannot even be decoded. */
export function decodable({ url = "" }: IncomingMessage): string {
  if (!url.includes("%")) {
    return url;
  }
  try {
    decodeURI(url);
    return url;
  } catch {
    return "/%25";
  }
}

/** The methods of each route. */
export type Methods = Map<string, ReadonlySet<string>>;

/** Gives each request an id, an answer whatever happens, a measurement and a line in the log; notes all routes. */
export function handleRequests(app: FastifyInstance, state: State): Methods {
  const methods: Methods = new Map();
  for (const method of METHODS.filter((method) => !app.supportedMethods.includes(method))) {
    app.addHttpMethod(method, { hasBody: true });
  }
  app.setErrorHandler(answerError);

  app.addHook("onRoute", (route) => {
    route.config = { ...route.config, route: route.url.replace(/:(\w+)/g, "{$1}") };
    methods.set(route.url, new Set([...(methods.get(route.url) ?? []), ...[route.method].flat()]));
  });

  app.addHook("onRequest", (request, _reply, done) => {
    done(request.is404 ? notFound() : undefined);
  });

  app.addHook("onSend", (request, reply, payload, done) => {
    reply.header("x-request-id", request.id);
    if (payload) {
      // Fastify adds a charset, which JSON has not.
      reply.header("content-type", reply.statusCode < 400 ? "application/json" : MEDIA_TYPE);
    }
    if (state.stopping) {
      reply.header("connection", "close");
    }
    done();
  });

  app.addHook("onResponse", (request, reply, done) => {
    record(request, reply.statusCode, Math.round(reply.elapsedTime * 1000) / 1e6);
    done();
  });

  return methods;
}

/** Measures and logs one request; the duration is in seconds. */
function record(request: FastifyRequest, status: number, duration: number): void {
  const { method, originalUrl } = request;
  const route = request.routeOptions.config.route ?? "unmatched";
  // What HTTP does not define, clients choose, and every new label value would stay in memory.
  requestDuration.observe({ method: STANDARD.has(method) ? method : "other", route, status }, duration);

  let level: "debug" | "info" | "error" = "info";
  if (status >= 500) {
    level = "error";
  } else if (PROBES.has(route)) {
    level = "debug";
  }
  const path = originalUrl.split("?", 1)[0];
  request.log[level]({ method, route, path, status, duration }, `${method} ${path}`);
}

/** Answers the methods that a path has not, which Fastify takes for unknown paths. */
export function refuseOtherMethods(app: FastifyInstance, methods: Methods): void {
  for (const [url, known] of [...methods]) {
    const allow = [...known].sort().join(", ");
    app.route({
      method: METHODS.filter((method) => !known.has(method)),
      url,
      schema: { hide: true },
      onRequest: (_request, reply, done) => {
        reply.header("allow", allow);
        done(new Problem(405, "The path does not have this method."));
      },
      handler: () => {},
    });
  }
}
