/** Items as the API shows them. */

import { Type } from "typebox";

// Something other than white space; and no NUL, which not every database can store.
const NAME_PATTERN = "^[^\\x00]*[^\\x00\\p{White_Space}][^\\x00]*$";

/** A positive integer of 64 bits. */
export const Id = Type.Unsafe<bigint>({ type: "integer", minimum: 1, exclusiveMaximum: 2 ** 63 });

/** What a client gives. */
export const NewItem = Type.Object(
  { name: Type.String({ minLength: 1, maxLength: 200, pattern: NAME_PATTERN }) },
  { additionalProperties: false },
);

/** What it gets. */
export const Item = Type.Object({ id: Type.Integer(), name: Type.String(), created_at: Type.String() });

export type Item = Type.Static<typeof Item>;

/** Some items, and the id to ask on after: null at the end. */
export const Page = Type.Object({
  items: Type.Array(Item),
  next: Type.Union([Type.Integer(), Type.Null()]),
});
