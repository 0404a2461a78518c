/** Routes of the items API. */

import createError from "@fastify/error";
import { problemResponses } from "../plugins/problems.ts";
import { NoContentSchema, type RoutesPlugin } from "../schemas.ts";
import { Items } from "./repository.ts";
import { DEFAULT_LIMIT, ItemSchema, NewItemSchema, PageQuerySchema, PageSchema, ParamsSchema } from "./schemas.ts";

const tags = ["items"];
const parameters = { id: "$response.body#/id" };
const links = {
  201: { get: { operationId: "getItem", parameters }, delete: { operationId: "deleteItem", parameters } },
};

const ItemNotFoundError = createError("ITEM_NOT_FOUND", "The item does not exist.", 404);

export const items: RoutesPlugin = (app, _options, done) => {
  const repository = new Items(app.database);

  const create = {
    tags,
    operationId: "createItem",
    summary: "Create an item",
    body: NewItemSchema,
    response: { 201: ItemSchema, ...problemResponses(413, 415, 422, 503) },
    links,
  };
  app.post("", { schema: create }, async (request, reply) => {
    const item = await repository.create(request.body.name);
    return reply.code(201).header("location", `/items/${item.id}`).send(item);
  });

  const list = {
    tags,
    operationId: "listItems",
    summary: "List items in the order of their IDs",
    querystring: PageQuerySchema,
    response: { 200: PageSchema, ...problemResponses(422, 503) },
  };
  app.get("", { schema: list }, async (request) => {
    const { after = 0, limit = DEFAULT_LIMIT } = request.query;
    const found = await repository.list(after, limit + 1);
    const page = found.slice(0, limit);
    return { items: page, next: found.length > limit ? (page.at(-1)?.id ?? null) : null };
  });

  const get = {
    tags,
    operationId: "getItem",
    summary: "Get an item",
    params: ParamsSchema,
    response: { 200: ItemSchema, ...problemResponses(404, 503) },
  };
  app.get("/:id", { schema: get }, async (request) => {
    const item = await repository.get(request.params.id);
    if (!item) {
      throw new ItemNotFoundError();
    }
    return item;
  });

  const remove = {
    tags,
    operationId: "deleteItem",
    summary: "Delete an item",
    params: ParamsSchema,
    response: { 204: NoContentSchema, ...problemResponses(404, 503) },
  };
  app.delete("/:id", { schema: remove }, async (request, reply) => {
    if (!(await repository.delete(request.params.id))) {
      throw new ItemNotFoundError();
    }
    return reply.code(204).send(null);
  });

  done();
};
