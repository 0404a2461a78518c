/** The items API. */

import type { FastifyPluginCallbackJsonSchemaToTs } from "@fastify/type-provider-json-schema-to-ts";
import type { onRequestHookHandler } from "fastify";
import type { Database } from "../database.ts";
import { Problem, Problems } from "../problems.ts";
import { Items } from "./repository.ts";
import { Id, Item, NewItem, Page } from "./schemas.ts";

const DEFAULT_LIMIT = 20;

const tags = ["items"];
const NoContent = { type: "null", description: "No content" } as const;
const Params = { type: "object", properties: { id: Id }, required: ["id"] } as const;
const Query = {
  type: "object",
  properties: { after: Id, limit: { type: "integer", minimum: 1, maximum: 100, default: DEFAULT_LIMIT } },
} as const;

/** A plug-in whose handlers get what `compileIntegers` makes of integers of 64 bits. */
type Plugin = FastifyPluginCallbackJsonSchemaToTs<{
  Options: { database: Database };
  ValidatorSchemaOptions: { deserialize: [{ pattern: { type: "integer"; format: "int64" }; output: bigint }] };
}>;

/** Refuses a body that does not call itself JSON. */
const requireJson: onRequestHookHandler = ({ headers }, _reply, done) => {
  const mediaType = headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase();
  done(mediaType === "application/json" ? undefined : new Problem(415, "The body must be application/json."));
};

const noSuchItem = () => new Problem(404, "There is no such item.");

export const items: Plugin = (app, { database }, done) => {
  const items = new Items(database);

  app.post(
    "",
    { onRequest: requireJson, schema: { tags, body: NewItem, response: { 201: Item, ...Problems } } },
    async (request, reply) => {
      const item = await items.create(request.body.name);
      return reply.code(201).header("location", `/items/${item.id}`).send(item);
    },
  );

  app.get("", { schema: { tags, querystring: Query, response: { 200: Page, ...Problems } } }, async (request) => {
    const { after = 0n, limit = DEFAULT_LIMIT } = request.query;
    const found = await items.page(after, limit + 1);
    const page = found.slice(0, limit);
    return { items: page, next: found.length > limit ? (page.at(-1)?.id ?? null) : null };
  });

  app.get("/:id", { schema: { tags, params: Params, response: { 200: Item, ...Problems } } }, async (request) => {
    const item = await items.get(request.params.id);
    if (!item) {
      throw noSuchItem();
    }
    return item;
  });

  app.delete(
    "/:id",
    { schema: { tags, params: Params, response: { 204: NoContent, ...Problems } } },
    async (request, reply) => {
      if (!(await items.delete(request.params.id))) {
        throw noSuchItem();
      }
      return reply.code(204).send(null);
    },
  );

  done();
};
