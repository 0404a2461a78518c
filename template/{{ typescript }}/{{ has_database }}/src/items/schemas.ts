/** Schemas of the items API. */

import type { FromSchema } from "json-schema-to-ts";
import { IdSchema, type IdTypes, TextSchema } from "../schemas.ts";

export const DEFAULT_LIMIT = 20;

export const ParamsSchema = { type: "object", properties: { id: IdSchema }, required: ["id"] } as const;

export const PageQuerySchema = {
  type: "object",
  properties: {
    after: { ...IdSchema, description: "Cursor: only items with a greater ID" },
    limit: { type: "integer", minimum: 1, maximum: 100, default: DEFAULT_LIMIT },
  },
} as const;

export const NewItemSchema = {
  type: "object",
  properties: { name: { ...TextSchema, minLength: 1, maxLength: 200 } },
  required: ["name"],
  additionalProperties: false,
} as const;

export const ItemSchema = {
  type: "object",
  properties: { id: IdSchema, name: { type: "string" }, created_at: { type: "string", format: "date-time" } },
  required: ["id", "name", "created_at"],
} as const;

export type Item = FromSchema<typeof ItemSchema, IdTypes>;

export const PageSchema = {
  type: "object",
  properties: { items: { type: "array", items: ItemSchema }, next: { ...IdSchema, nullable: true } },
  required: ["items", "next"],
} as const;
