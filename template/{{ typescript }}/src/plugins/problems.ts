/** Errors as RFC 9457 problem details. */

import { METHODS, STATUS_CODES } from "node:http";
import createError from "@fastify/error";
import { errorCodes, type FastifyError, type FastifyReply, type FastifyRequest } from "fastify";
import fp from "fastify-plugin";

declare module "fastify" {
  interface FastifyInstance {
    /** The methods of each path. */
    allowedMethods: Map<string, string[]>;
  }
}

const MEDIA_TYPE = "application/problem+json";
const MAX_ERRORS = 10;
const RETRY_AFTER_SECONDS = "5";
const LOCATIONS: Readonly<Record<string, string>> = { querystring: "query", headers: "header" };

const ProblemSchema = {
  $id: "Problem",
  type: "object",
  properties: {
    type: { type: "string" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string" },
    errors: {
      type: "array",
      items: {
        type: "object",
        properties: { location: { type: "string" }, detail: { type: "string" } },
        required: ["location", "detail"],
      },
    },
  },
  required: ["type", "title", "status", "detail"],
};

export const NotFoundError = createError("NOT_FOUND", "Not found.", 404);
const MethodNotAllowedError = createError("METHOD_NOT_ALLOWED", "Method not allowed for this path.", 405);
export const InvalidBodyError = createError("INVALID_BODY", "The body must be JSON in UTF-8.", 422);

/** Returns the responses of an operation that can fail with these status codes, for the OpenAPI document. */
export function problemResponses(...statuses: number[]) {
  const content = { [MEDIA_TYPE]: { schema: { $ref: "Problem#" } } };
  const responses = statuses.map((status) => [status, { description: STATUS_CODES[status], content }]);
  return Object.fromEntries([...responses, ["default", { description: "Problem", content }]]);
}

export const problems = fp((app, _options, done) => {
  const methods = new Map<string, string[]>();
  app.decorate("allowedMethods", methods);
  app.addHook("onRoute", ({ url, method }) => {
    methods.set(url, (methods.get(url) ?? []).concat(method));
  });

  app.addSchema(ProblemSchema);
  app.setErrorHandler(sendProblem);
  app.addHook("onRequest", (request, _reply, next) => {
    if (request.is404) {
      next(new NotFoundError());
    } else if (Number(request.headers["content-length"]) > request.routeOptions.bodyLimit) {
      next(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
    } else {
      next();
    }
  });
  done();
});

/** Responds with 405 to the other methods of every path, where Fastify has a 404; register it after all routes. */
export const methodNotAllowed = fp((app, _options, done) => {
  for (const method of METHODS.filter((method) => !app.supportedMethods.includes(method))) {
    app.addHttpMethod(method, { hasBody: true });
  }
  for (const [url, allowed] of [...app.allowedMethods]) {
    app.route({
      method: METHODS.filter((method) => !allowed.includes(method)),
      url,
      schema: { hide: true },
      onRequest: (_request, reply, next) => {
        reply.header("allow", allowed.sort().join(", "));
        next(new MethodNotAllowedError());
      },
      handler: () => {},
    });
  }
  done();
});

/** Sends an error as a problem. */
export function sendProblem(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const status = statusOf(error);
  if (status >= 500) {
    // If the database is unavailable, log the cause itself: only it lists every address that was tried.
    request.log.error({ err: status === 503 ? (error.cause ?? error) : error }, error.message);
  }
  if (status === 503) {
    reply.header("retry-after", RETRY_AFTER_SECONDS);
  }
  reply
    .code(status)
    .type(MEDIA_TYPE)
    .send({
      type: "about:blank",
      title: STATUS_CODES[status] ?? "Error",
      status,
      // The message of any other error can hold internal details.
      detail: status === 500 ? "Internal error." : error.message,
      ...(status === 422 && { errors: errorsOf(error) }),
    });
}

function statusOf({ validation, validationContext, statusCode = 500 }: FastifyError): number {
  if (validation) {
    return validationContext === "params" ? 404 : 422;
  }
  return statusCode < 400 ? 500 : statusCode;
}

/** Returns one error for each location, however many rules it violates. */
function errorsOf({ validation, validationContext = "body", message }: FastifyError) {
  if (!validation) {
    return [{ location: validationContext, detail: message }];
  }
  const root = LOCATIONS[validationContext] ?? validationContext;
  const details = new Map<string, string>();
  for (const { instancePath, params, message = "is invalid" } of validation) {
    const member = params["missingProperty"] ?? params["additionalProperty"];
    const location = `${root}${instancePath.replaceAll("/", ".")}${member === undefined ? "" : `.${member}`}`;
    details.set(location, details.get(location) ?? message);
  }
  return Array.from(details, ([location, detail]) => ({ location, detail })).slice(0, MAX_ERRORS);
}
