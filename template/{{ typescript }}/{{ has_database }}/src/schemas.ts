/** What the routes of all resources share. */

import type { FastifyPluginCallbackJsonSchemaToTs } from "@fastify/type-provider-json-schema-to-ts";

/** A 64-bit ID, a bigint above 2^53. The largest is 2^63 - 1, the nearest double 2^63. */
export const IdSchema = { type: "integer", format: "int64", minimum: 1, maximum: 2 ** 63 } as const;

/** A text without NUL, which not every database can store. */
export const TextSchema = { type: "string", pattern: "^[^\\u0000]*$" } as const;

export const NoContentSchema = { type: "null", description: "Deleted" } as const;

export interface IdTypes {
  deserialize: [{ pattern: { type: "integer"; format: "int64" }; output: number | bigint }];
}

/** A plugin with handlers that have the types of their routes' schemas. */
export type RoutesPlugin = FastifyPluginCallbackJsonSchemaToTs<{
  ValidatorSchemaOptions: IdTypes;
  SerializerSchemaOptions: IdTypes;
}>;

/** Returns an OpenAPI document as JSON, with the null of version 3.1 and the largest ID. */
export function stringifyDocument(document: object): string {
  const text = JSON.stringify(document, (_key, value) => {
    const { nullable, ...schema } = value ?? {};
    return nullable === true ? { ...schema, type: [schema.type, "null"] } : value;
  });
  return text.replaceAll(String(2 ** 63), String(2n ** 63n - 1n));
}
