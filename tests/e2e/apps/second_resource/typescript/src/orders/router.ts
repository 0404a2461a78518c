/** Routes of the orders API. */

import createError from "@fastify/error";
import { problemResponses } from "../plugins/problems.ts";
import { NoContentSchema, type RoutesPlugin } from "../schemas.ts";
import { Orders } from "./repository.ts";
import { FilterSchema, NewOrderSchema, OrderPageSchema, OrderSchema, ParamsSchema } from "./schemas.ts";

const LIMIT = 100;
const tags = ["orders"];

const OrderNotFoundError = createError("ORDER_NOT_FOUND", "The order does not exist.", 404);

export const orders: RoutesPlugin = (app, _options, done) => {
  const orders = new Orders(app.database);

  const create = {
    tags,
    operationId: "createOrder",
    summary: "Create an order",
    body: NewOrderSchema,
    response: { 201: OrderSchema, ...problemResponses(413, 415, 422, 503) },
  };
  app.post("", { schema: create }, async (request, reply) => {
    const order = await orders.create(request.body);
    return reply.code(201).header("location", `/orders/${order.id}`).send(order);
  });

  const list = {
    tags,
    operationId: "listOrders",
    summary: "List orders",
    querystring: FilterSchema,
    response: { 200: OrderPageSchema, ...problemResponses(422, 503) },
  };
  app.get("", { schema: list }, async (request) => ({ orders: await orders.list(request.query, LIMIT) }));

  const get = {
    tags,
    operationId: "getOrder",
    summary: "Get an order",
    params: ParamsSchema,
    response: { 200: OrderSchema, ...problemResponses(404, 503) },
  };
  app.get("/:id", { schema: get }, async (request) => {
    const order = await orders.get(request.params.id);
    if (!order) {
      throw new OrderNotFoundError();
    }
    return order;
  });

  const remove = {
    tags,
    operationId: "deleteOrder",
    summary: "Delete an order",
    params: ParamsSchema,
    response: { 204: NoContentSchema, ...problemResponses(404, 503) },
  };
  app.delete("/:id", { schema: remove }, async (request, reply) => {
    if (!(await orders.delete(request.params.id))) {
      throw new OrderNotFoundError();
    }
    return reply.code(204).send(null);
  });

  done();
};
