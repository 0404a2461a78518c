/** Items as the API shows them. */

import type { FromSchema } from "json-schema-to-ts";

// Something other than white space; and no NUL, which not every database can store.
const NAME_PATTERN = "^[^\\x00]*[^\\x00\\p{White_Space}][^\\x00]*$";

/** A positive integer of 64 bits. */
export const Id = { type: "integer", format: "int64", minimum: 1 } as const;

/** What a client gives. */
export const NewItem = {
  type: "object",
  properties: { name: { type: "string", minLength: 1, maxLength: 200, pattern: NAME_PATTERN } },
  required: ["name"],
  additionalProperties: false,
} as const;

/** What it gets. */
export const Item = {
  type: "object",
  properties: { id: { type: "integer" }, name: { type: "string" }, created_at: { type: "string" } },
  required: ["id", "name", "created_at"],
} as const;

export type Item = FromSchema<typeof Item>;

/** Some items, and the id to ask on after: null at the end. */
export const Page = {
  type: "object",
  properties: { items: { type: "array", items: Item }, next: { type: ["integer", "null"] } },
  required: ["items", "next"],
} as const;
