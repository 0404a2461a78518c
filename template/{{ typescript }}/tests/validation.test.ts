import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { FastifySchema } from "fastify";
import { createService } from "./support.ts";

const UUID = "0b8a7f0e-8a2b-4d55-9c0e-1f2a3b4c5d6e";

/** Sends a request to a route with a schema, which returns what its handler receives. */
async function send(context: TestContext, schema: FastifySchema, url: string, options: object = {}) {
  const { app } = createService(context);
  app.register((routes, _options, done) => {
    routes.addSchema({ $id: "Page", type: "object", properties: { page: { type: "integer", minimum: 1 } } });
    routes.addSchema({ $id: "Email", type: "string", format: "email" });
    routes.route({
      method: schema.body ? "POST" : "GET",
      url: "/echo/:id",
      schema,
      handler: ({ query, params, headers, body }) => ({ query, params, tenant: headers["x-tenant"], body }),
    });
    done();
  });
  const response = await app.inject({ method: schema.body ? "POST" : "GET", url: `/echo/${url}`, ...options });
  return { status: response.statusCode, body: response.json() };
}

const search = {
  querystring: {
    type: "object",
    required: ["q"],
    properties: {
      q: { type: "string" },
      order: { enum: ["asc", "desc"], default: "asc" },
      deep: { type: "boolean" },
      tag: { type: "array", items: { type: "string" } },
      size: { type: "array", items: { type: "integer" } },
    },
  },
};

test("a query has strings, enums, booleans, arrays and defaults", async (context) => {
  const { status, body } = await send(context, search, "1?q=007&deep=true&tag=a&tag=b&size=1&size=20");
  assert.equal(status, 200);
  assert.deepEqual(body.query, { q: "007", order: "asc", deep: true, tag: ["a", "b"], size: [1, 20] });
});

test("one value of a query is an array of one", async (context) => {
  assert.deepEqual((await send(context, search, "1?q=x&tag=a")).body.query.tag, ["a"]);
});

for (const [query, location] of [
  ["", "query.q"],
  ["q=x&order=up", "query.order"],
  ["q=x&deep=maybe", "query.deep"],
  ["q=x&size=1&size=1e1", "query.size"],
]) {
  test(`the query "${query}" returns 422`, async (context) => {
    const { status, body } = await send(context, search, `1?${query}`);
    assert.equal(status, 422);
    assert.equal(body.errors[0].location, location);
  });
}

test("a query takes a shared schema", async (context) => {
  const schema = { querystring: { $ref: "Page#" } };
  assert.deepEqual((await send(context, schema, "1?page=2")).body.query, { page: 2 });
  assert.equal((await send(context, schema, "1?page=0")).status, 422);
});

for (const text of ["1e1", "0x10", "+1", "%201", "1.0", "007", "1_0", "Infinity", "NaN", ""]) {
  test(`the number "${text}" returns 422`, async (context) => {
    assert.equal((await send(context, { querystring: { $ref: "Page#" } }, `1?page=${text}`)).status, 422);
  });
}

test("an invalid path parameter returns 404", async (context) => {
  const schema = { params: { type: "object", properties: { id: { type: "string", format: "uuid" } } } };
  assert.deepEqual((await send(context, schema, UUID)).body.params, { id: UUID });
  assert.equal((await send(context, schema, "1")).status, 404);
  assert.equal((await send(context, schema, `urn:uuid:${UUID}`)).status, 404);
});

test("a required header is validated", async (context) => {
  const schema = {
    headers: { type: "object", properties: { "x-tenant": { type: "string" } }, required: ["x-tenant"] },
  };
  assert.equal((await send(context, schema, "1", { headers: { "x-tenant": "acme" } })).body.tenant, "acme");
  assert.equal((await send(context, schema, "1")).body.errors[0].location, "header.x-tenant");
});

const contact = {
  body: {
    type: "object",
    properties: { email: { $ref: "Email#" }, age: { type: "integer" } },
    required: ["email"],
    additionalProperties: false,
  },
};

function post(context: TestContext, payload: unknown) {
  return send(context, contact, "1", { payload });
}

test("a body takes shared schemas and formats", async (context) => {
  assert.deepEqual((await post(context, { email: "a@example.com", age: 1 })).body.body, {
    email: "a@example.com",
    age: 1,
  });
  assert.deepEqual((await post(context, { email: "none" })).body.errors[0].location, "body.email");
});

test("the types of a body are not converted", async (context) => {
  assert.equal((await post(context, { email: "a@example.com", age: "1" })).body.errors[0].location, "body.age");
});

test("at most ten errors are reported", async (context) => {
  const members = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`member${index}`, 1]));
  assert.equal((await post(context, members)).body.errors.length, 10);
});
