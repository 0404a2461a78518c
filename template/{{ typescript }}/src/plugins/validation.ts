/** Validation of requests: Fastify's Ajv, with strict JSON and strict numbers. */

import AjvCompiler from "@fastify/ajv-compiler";
import { errorCodes } from "fastify";
import fp from "fastify-plugin";
import { InvalidBodyError } from "./problems.ts";

const MAX_INT64 = 2n ** 63n - 1n;
const MESSAGE = "must be a number in plain decimal digits";
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const validation = fp((app, _options, done) => {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, async (_request: unknown, body: Buffer) =>
    parseJson(body),
  );
  app.addHook("preValidation", (request, _reply, next) => {
    // Fastify does not return 415 for a request that has neither a body nor a media type.
    const isMissing = request.routeOptions.schema?.body !== undefined && request.body === undefined;
    next(isMissing ? new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE() : undefined);
  });
  // DELETE ignores a body and its type.
  app.addHttpMethod("DELETE", { hasBody: false, overrideExisting: true });
  done();
});

/** Parses a body. Fastify's own parser accepts what is not UTF-8, byte order marks and unpaired surrogates. */
function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(body), (key, value) => {
      if (key === "__proto__" || !key.isWellFormed() || (typeof value === "string" && !value.isWellFormed())) {
        throw new SyntaxError(`unsafe key or string: ${key}`);
      }
      return value;
    });
  } catch {
    throw new InvalidBodyError();
  }
}

type Validate = ReturnType<ReturnType<AjvCompiler.ValidatorFactory>>;

// Ajv's format also accepts urn:uuid:, which databases refuse.
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

const buildCompiler = AjvCompiler();

/** Compiles the schemas of bodies without coercion, and those of paths, queries and headers with strict numbers. */
export const buildValidator: AjvCompiler.ValidatorFactory = (externalSchemas, options) => {
  const compilerFor = (custom: AjvCompiler.Options) => {
    const customOptions = { ...options?.customOptions, allErrors: true, removeAdditional: false, ...custom };
    const onCreate = (ajv: AjvCompiler.Ajv) => void ajv.addFormat("uuid", UUID);
    return buildCompiler(externalSchemas, { ...options, customOptions, onCreate } as typeof options);
  };
  const [compileBody, compileText] = [compilerFor({ coerceTypes: false }), compilerFor({})];
  return (route) => (route.httpPart === "body" ? compileBody(route) : strictNumbers(compileText(route)));
};

/**
 * Ajv takes `1e1`, `0x10` and `007` for integers, and rounds what a double cannot hold. Here a number has to be written as
 * JavaScript prints it, and an integer above 2^53 becomes a bigint.
 */
function strictNumbers(validate: Validate): Validate {
  const validateStrictly = (data: Record<string, unknown>) => {
    const written = structuredClone(data);
    if (!validate(data)) {
      return { error: validate.errors ?? [] };
    }
    const errors = [];
    for (const [name, value] of Object.entries(data)) {
      const texts = [written[name]].flat();
      if (![value].flat().every((item, index) => isPlain(item, texts[index]))) {
        errors.push({ keyword: "type", instancePath: `/${name}`, schemaPath: "", params: {}, message: MESSAGE });
      } else if (isLarge(value)) {
        data[name] = BigInt(String(written[name]));
      }
    }
    return errors.length > 0 ? { error: errors } : { value: data };
  };
  // The result of Fastify's validators, which Ajv's type lacks.
  return validateStrictly as unknown as Validate;
}

function isPlain(value: unknown, text: unknown): boolean {
  if (isLarge(value)) {
    return /^[1-9]\d{15,18}$/.test(String(text)) && BigInt(String(text)) <= MAX_INT64;
  }
  // A default value has no text.
  return typeof value !== "number" || text === undefined || (Number.isFinite(value) && String(value) === text);
}

function isLarge(value: unknown): boolean {
  return Number.isInteger(value) && !Number.isSafeInteger(value);
}
