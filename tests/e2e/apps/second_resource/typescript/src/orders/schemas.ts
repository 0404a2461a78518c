/** Schemas of the orders API. */

import type { FromSchema } from "json-schema-to-ts";
import { TextSchema } from "../schemas.ts";

const UuidSchema = { type: "string", format: "uuid" } as const;
const CustomerSchema = { ...TextSchema, minLength: 1, maxLength: 100 } as const;
const StatusSchema = { type: "string", enum: ["new", "paid", "shipped"] } as const;

export const ParamsSchema = { type: "object", properties: { id: UuidSchema }, required: ["id"] } as const;

export const FilterSchema = {
  type: "object",
  properties: {
    customer: CustomerSchema,
    status: { type: "array", items: StatusSchema },
    gift: { type: "boolean" },
    sort: { type: "string", enum: ["oldest", "newest"], default: "oldest" },
  },
} as const;

export type Filter = FromSchema<typeof FilterSchema>;

export const NewOrderSchema = {
  type: "object",
  properties: {
    customer: CustomerSchema,
    email: { type: "string", format: "email", maxLength: 254 },
    status: { ...StatusSchema, default: "new" },
    gift: { type: "boolean", default: false },
  },
  required: ["customer", "email"],
  additionalProperties: false,
} as const;

export type NewOrder = FromSchema<typeof NewOrderSchema>;

export const OrderSchema = {
  type: "object",
  properties: {
    id: UuidSchema,
    customer: { type: "string" },
    email: { type: "string" },
    status: StatusSchema,
    gift: { type: "boolean" },
    created_at: { type: "string", format: "date-time" },
  },
  required: ["id", "customer", "email", "status", "gift", "created_at"],
} as const;

export type Order = FromSchema<typeof OrderSchema>;

export const OrderPageSchema = {
  type: "object",
  properties: { orders: { type: "array", items: OrderSchema } },
  required: ["orders"],
} as const;
