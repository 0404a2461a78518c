import assert from "node:assert/strict";
import { before, type TestContext, test } from "node:test";
import type { FastifyInstance } from "fastify";
import { databaseSettings, prepareDatabase } from "../database.ts";
import { createService } from "../support.ts";

before(prepareDatabase);

function createApp(context: TestContext): FastifyInstance {
  return createService(context, databaseSettings()).app;
}

function create(app: FastifyInstance, fields: object = {}) {
  return app.inject({
    method: "POST",
    url: "/orders",
    payload: { customer: "Zoë", email: "zoe@example.com", ...fields },
  });
}

test("a created order can be fetched and deleted", async (context) => {
  const app = createApp(context);
  const created = await create(app);
  assert.equal(created.statusCode, 201);
  const order = created.json();
  assert.deepEqual([order.status, order.gift], ["new", false]);
  const url = `/orders/${order.id}`;
  assert.equal(created.headers.location, url);
  assert.deepEqual((await app.inject(url)).json(), order);
  assert.equal((await app.inject({ method: "DELETE", url })).statusCode, 204);
  assert.equal((await app.inject(url)).statusCode, 404);
  assert.equal((await app.inject({ method: "DELETE", url })).statusCode, 404);
});

test("orders are filtered and sorted", async (context) => {
  const app = createApp(context);
  const customer = "Filtered";
  for (const status of ["new", "paid", "shipped"]) {
    await create(app, { customer, status });
  }
  const response = await app.inject(`/orders?customer=${customer}&status=paid&status=shipped&gift=false&sort=newest`);
  const [first, second] = response.json().orders;
  assert.deepEqual([first.status, second.status], ["shipped", "paid"]);
});

for (const query of ["status=lost", "gift=maybe", "sort=up", "customer=%00"]) {
  test(`the query ${query} returns 422`, async (context) => {
    assert.equal((await createApp(context).inject(`/orders?${query}`)).statusCode, 422);
  });
}
