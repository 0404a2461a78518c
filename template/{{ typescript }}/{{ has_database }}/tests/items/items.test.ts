import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { before, type TestContext, test } from "node:test";
import type { FastifyInstance } from "fastify";
import type { Item } from "../../src/items/schemas.ts";
import { databaseSettings, prepareDatabase } from "../database.ts";
import { createService } from "../support.ts";

type Body = string | Buffer | Readable;

const JSON_HEADERS = { "content-type": "application/json" };

before(prepareDatabase);

function createApp(context: TestContext): FastifyInstance {
  return createService(context, databaseSettings()).app;
}

async function create(app: FastifyInstance, name = "An item") {
  const response = await app.inject({ method: "POST", url: "/items", payload: { name } });
  assert.equal(response.statusCode, 201);
  return response.json();
}

function post(app: FastifyInstance, payload: Body, headers: Record<string, string> = JSON_HEADERS) {
  return app.inject({ method: "POST", url: "/items", payload, headers });
}

function locations({ errors }: { errors: { location: string }[] }): string[] {
  return errors.map(({ location }) => location);
}

test("a created item can be fetched", async (context) => {
  const app = createApp(context);
  const created = await app.inject({ method: "POST", url: "/items", payload: { name: "Zoë's 🎈" } });
  assert.equal(created.statusCode, 201);
  const item = created.json();
  assert.equal(created.headers.location, `/items/${item.id}`);
  assert.equal(item.name, "Zoë's 🎈");
  assert.match(item.created_at, /Z$/);
  assert.ok(Math.abs(Date.now() - Date.parse(item.created_at)) < 60_000);

  const fetched = await app.inject(`/items/${item.id}`);
  assert.equal(fetched.statusCode, 200);
  assert.deepEqual(fetched.json(), item);
});

test("a deleted item does not exist", async (context) => {
  const app = createApp(context);
  const url = `/items/${(await create(app)).id}`;
  const response = await app.inject({ method: "DELETE", url });
  assert.equal(response.statusCode, 204);
  assert.equal(response.body, "");
  assert.equal((await app.inject(url)).statusCode, 404);
  assert.equal((await app.inject({ method: "DELETE", url })).statusCode, 404);
});

test("DELETE ignores a body and its type", async (context) => {
  const app = createApp(context);
  const url = `/items/${(await create(app)).id}`;
  assert.equal((await app.inject({ method: "DELETE", url, payload: "{", headers: JSON_HEADERS })).statusCode, 204);
});

test("IDs are not reused", async (context) => {
  const app = createApp(context);
  const first = await create(app);
  await app.inject({ method: "DELETE", url: `/items/${first.id}` });
  assert.ok((await create(app)).id > first.id);
});

// Other tests create items at the same time, so pages can have more than those of a test.
test("pages have all items in the order of their IDs", async (context) => {
  const app = createApp(context);
  const items: Item[] = [];
  for (let number = 0; number < 5; number++) {
    items.push(await create(app, `Item ${number}`));
  }
  const found: Item[] = [];
  let url = `/items?limit=2&after=${items[0]?.id}`;
  while (url !== "") {
    const page = (await app.inject(url)).json();
    assert.ok(page.items.length <= 2);
    found.push(...page.items);
    url = page.next === null ? "" : `/items?limit=2&after=${page.next}`;
  }
  const ids = found.map(({ id }) => Number(id));
  assert.deepEqual(
    ids,
    [...new Set(ids)].sort((one, other) => one - other),
  );
  const names = found.filter(({ id }) => items.some((item) => item.id === id)).map(({ name }) => name);
  assert.deepEqual(names, ["Item 1", "Item 2", "Item 3", "Item 4"]);
});

test("a page has 20 items by default, and the ID of the last as the cursor of the next", async (context) => {
  const app = createApp(context);
  await Promise.all(Array.from({ length: 21 }, () => create(app)));
  const page = (await app.inject("/items")).json();
  assert.equal(page.items.length, 20);
  assert.equal(page.next, page.items.at(-1).id);
});

test("the page after the largest ID is empty", async (context) => {
  const app = createApp(context);
  const response = await app.inject(`/items?after=${2n ** 63n - 1n}`);
  assert.deepEqual(response.json(), { items: [], next: null });
});

for (const [query, location] of [
  ["limit=0", "query.limit"],
  ["limit=101", "query.limit"],
  ["limit=ten", "query.limit"],
  ["limit=1e1", "query.limit"],
  ["limit=1&limit=2", "query.limit"],
  ["after=first", "query.after"],
  ["after=0", "query.after"],
  [`after=${2n ** 63n}`, "query.after"],
]) {
  test(`the query ${query} returns 422`, async (context) => {
    const app = createApp(context);
    const response = await app.inject(`/items?${query}`);
    assert.equal(response.statusCode, 422);
    assert.deepEqual(locations(response.json()), [location]);
  });
}

for (const id of ["0", "-1", "first", "1.0", "007", "1e1", 2n ** 63n - 1n, 2n ** 63n]) {
  test(`the ID ${id} returns 404`, async (context) => {
    const app = createApp(context);
    assert.equal((await app.inject(`/items/${id}`)).statusCode, 404);
    assert.equal((await app.inject({ method: "DELETE", url: `/items/${id}` })).statusCode, 404);
  });
}

for (const [body, location] of [
  ["{}", "body.name"],
  ['{"name": ""}', "body.name"],
  [`{"name": "${"x".repeat(201)}"}`, "body.name"],
  [String.raw`{"name": "a\u0000b"}`, "body.name"],
  ['{"name": 1}', "body.name"],
  ['{"name": null}', "body.name"],
  ['{"name": "x", "size": 1}', "body.size"],
  ['{"name": "x", "__proto__": 1}', "body"],
  ["[]", "body"],
  ["null", "body"],
  ["", "body"],
  ["{", "body"],
  ["\ufeff{}", "body"],
  ["[".repeat(60_000), "body"],
  ["1".repeat(60_000), "body"],
  [String.raw`{"name": "\ud800"}`, "body"],
] as const) {
  test(`the body ${body.slice(0, 30)} returns 422`, async (context) => {
    const app = createApp(context);
    const response = await post(app, body);
    assert.equal(response.statusCode, 422);
    assert.deepEqual(locations(response.json()), [location]);
  });
}

test("a body that is not UTF-8 returns 422", async (context) => {
  const app = createApp(context);
  const response = await post(app, Buffer.from('{"name": "\xff"}', "latin1"));
  assert.deepEqual(locations(response.json()), ["body"]);
});

test("a name has up to 200 characters", async (context) => {
  const app = createApp(context);
  assert.equal((await create(app, "🎈".repeat(200))).name, "🎈".repeat(200));
});

for (const type of ["text/plain", "application/xml", "application/problem+json", ""]) {
  test(`the media type "${type}" returns 415`, async (context) => {
    const app = createApp(context);
    assert.equal((await post(app, '{"name": "x"}', { "content-type": type })).statusCode, 415);
  });
}

test("a body has up to 64 KiB", async (context) => {
  const app = createApp(context);
  const body = '{"name": "x"}'.padEnd(64 * 1024);
  assert.equal((await post(app, body)).statusCode, 201);
  assert.equal((await post(app, `${body} `)).statusCode, 413);
});

test("a body of unknown length has the same limit", async (context) => {
  const app = createApp(context);
  const chunks = Readable.from(Array.from({ length: 65 }, () => " ".repeat(1024)));
  assert.equal((await post(app, chunks)).statusCode, 413);
});

test("all methods of a path are allowed", async (context) => {
  const app = createApp(context);
  assert.equal((await app.inject({ method: "PUT", url: "/items" })).headers.allow, "GET, HEAD, POST");
  assert.equal((await app.inject({ method: "PUT", url: "/items/1" })).headers.allow, "DELETE, GET, HEAD");
});
