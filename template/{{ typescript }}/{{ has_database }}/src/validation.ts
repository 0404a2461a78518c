/** How requests are checked against the schemas of their routes. */

import { Ajv, type ErrorObject } from "ajv";
import type { FastifySchemaCompiler } from "fastify";
import { type Errors, invalid, notFound } from "./problems.ts";

const ajv = new Ajv({ allErrors: true });
const LARGEST = 2n ** 63n - 1n;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Returns what a body holds, which must be JSON in UTF-8. */
export function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(body), (key, value) => {
      if (!key.isWellFormed() || (typeof value === "string" && !value.isWellFormed())) {
        throw new TypeError("half a surrogate pair");
      }
      return value;
    });
  } catch {
    throw invalid([{ location: "body", detail: "The body is not JSON." }]);
  }
}

/** The schemas of this service's bodies, queries and paths. */
interface Schema {
  readonly properties: Readonly<Record<string, Integer>>;
}

interface Integer {
  readonly format?: string;
  readonly minimum: number;
  readonly maximum?: number;
}

/** Compiles the schema of a body, a query or a path. */
export const compileSchema: FastifySchemaCompiler<Schema> = ({ schema, httpPart }) =>
  httpPart === "body" ? compileBody(schema) : compileIntegers(schema, httpPart === "params");

function compileBody(schema: object) {
  const validate = ajv.compile(schema);
  return (body: unknown) => (validate(body) ? { value: body } : { error: invalid(errorsOf(validate.errors ?? [])) });
}

/** One error for each place, whatever the number of rules that it breaks. */
function errorsOf(found: ErrorObject[]): Errors {
  const details = new Map<string, string>();
  for (const { instancePath, params, message } of found) {
    const member: string | undefined = params["missingProperty"] ?? params["additionalProperty"];
    const location = `body${instancePath.replaceAll("/", ".")}${member === undefined ? "" : `.${member}`}`;
    details.set(location, details.get(location) ?? message ?? "is not valid");
  }
  return Array.from(details, ([location, detail]) => ({ location, detail }));
}

/**
 * Compiles a schema of integers, which a URL holds as text.
 *
 * Coercion would also take "1e1", and would round what has more than 53 bits: those of the format int64 become bigints.
 */
function compileIntegers({ properties }: Schema, isPath: boolean) {
  return (given: Record<string, unknown>) => {
    const value: Record<string, unknown> = {};
    const errors: Errors = [];
    for (const [name, { format, minimum, maximum = LARGEST }] of Object.entries(properties)) {
      const text = given[name];
      const number = typeof text === "string" && /^\d+$/.test(text) ? BigInt(text) : -1n;
      if (text === undefined) {
        continue;
      }
      if (number < minimum || number > maximum) {
        errors.push({ location: `query.${name}`, detail: `must be an integer from ${minimum} to ${maximum}` });
      } else {
        value[name] = format === "int64" ? number : Number(number);
      }
    }
    if (errors.length > 0) {
      return { error: isPath ? notFound() : invalid(errors) };
    }
    return { value };
  };
}
