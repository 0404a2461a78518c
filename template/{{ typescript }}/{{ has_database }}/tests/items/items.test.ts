import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { before, type TestContext, test } from "node:test";
import type { FastifyInstance } from "fastify";
import { createService } from "../support.ts";
import { empty, prepare } from "./database.ts";

type Body = string | Buffer | Readable;

const JSON_HEADERS = { "content-type": "application/json" };

before(prepare);

async function createApp(context: TestContext): Promise<FastifyInstance> {
  const { app, database } = createService(context);
  await empty(database);
  return app;
}

async function create(app: FastifyInstance, name = "An item") {
  const response = await app.inject({ method: "POST", url: "/items", payload: { name } });
  assert.equal(response.statusCode, 201);
  return response.json();
}

function post(app: FastifyInstance, payload: Body, headers: Record<string, string> = JSON_HEADERS) {
  return app.inject({ method: "POST", url: "/items", payload, headers });
}

test("a created item can be fetched", async (context) => {
  const app = await createApp(context);
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

test("a deleted item is gone", async (context) => {
  const app = await createApp(context);
  const url = `/items/${(await create(app)).id}`;
  const response = await app.inject({ method: "DELETE", url });
  assert.equal(response.statusCode, 204);
  assert.equal(response.body, "");
  assert.equal((await app.inject(url)).statusCode, 404);
  assert.equal((await app.inject({ method: "DELETE", url })).statusCode, 404);
});

test("ids are not used again", async (context) => {
  const app = await createApp(context);
  const first = await create(app);
  await app.inject({ method: "DELETE", url: `/items/${first.id}` });
  assert.ok((await create(app)).id > first.id);
});

test("items come in pages", async (context) => {
  const app = await createApp(context);
  const items = [];
  for (let number = 0; number < 5; number++) {
    items.push(await create(app, `Item ${number}`));
  }
  const first = (await app.inject("/items?limit=3")).json();
  assert.deepEqual(first, { items: items.slice(0, 3), next: items[2].id });
  const second = (await app.inject(`/items?limit=3&after=${first.next}`)).json();
  assert.deepEqual(second, { items: items.slice(3), next: null });
});

test("a full last page has no next", async (context) => {
  const app = await createApp(context);
  const item = await create(app);
  assert.deepEqual((await app.inject("/items?limit=1")).json(), { items: [item], next: null });
});

test("a page has 20 items by default", async (context) => {
  const app = await createApp(context);
  await Promise.all(Array.from({ length: 21 }, (_, number) => create(app, `Item ${number}`)));
  assert.equal((await app.inject("/items")).json().items.length, 20);
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
  test(`the page ${query} is refused`, async (context) => {
    const app = await createApp(context);
    const response = await app.inject(`/items?${query}`);
    assert.equal(response.statusCode, 422);
    assert.deepEqual(locations(response.json()), [location]);
  });
}

for (const id of ["0", "-1", "first", "1.5", 2n ** 63n - 1n, 2n ** 63n]) {
  test(`the id ${id} is not found`, async (context) => {
    const app = await createApp(context);
    assert.equal((await app.inject(`/items/${id}`)).statusCode, 404);
    assert.equal((await app.inject({ method: "DELETE", url: `/items/${id}` })).statusCode, 404);
  });
}

for (const [body, location] of [
  ["{}", "body.name"],
  ['{"name": ""}', "body.name"],
  [String.raw`{"name": " \t\n\u2003"}`, "body.name"],
  [`{"name": "${"x".repeat(201)}"}`, "body.name"],
  [String.raw`{"name": "a\u0000b"}`, "body.name"],
  ['{"name": 1}', "body.name"],
  ['{"name": null}', "body.name"],
  ['{"name": "x", "size": 1}', "body.size"],
  ['{"name": "x", "__proto__": 1}', "body.__proto__"],
  ["[]", "body"],
  ["null", "body"],
  ["", "body"],
  ["{", "body"],
  ["[".repeat(60_000), "body"],
  ["1".repeat(60_000), "body"],
  [String.raw`{"name": "\ud800"}`, "body"],
] as const) {
  test(`the item ${body.slice(0, 30)} is refused`, async (context) => {
    const app = await createApp(context);
    const response = await post(app, body);
    assert.equal(response.statusCode, 422);
    assert.equal(response.headers["content-type"], "application/problem+json");
    assert.equal(response.json().title, "Unprocessable Content");
    assert.deepEqual(locations(response.json()), [location]);
  });
}

function locations({ errors }: { errors: { location: string }[] }): string[] {
  return errors.map(({ location }) => location);
}

test("a body that is not UTF-8 is refused", async (context) => {
  const app = await createApp(context);
  const response = await post(app, Buffer.from('{"name": "\xff"}', "latin1"));
  assert.deepEqual(locations(response.json()), ["body"]);
});

test("a name has up to 200 characters", async (context) => {
  const app = await createApp(context);
  assert.equal((await create(app, "🎈".repeat(200))).name, "🎈".repeat(200));
});

for (const type of ["text/plain", "application/xml", "application/problem+json", ""]) {
  test(`the media type "${type}" is refused`, async (context) => {
    const app = await createApp(context);
    const response = await post(app, '{"name": "x"}', { "content-type": type });
    assert.equal(response.statusCode, 415);
    assert.equal(response.headers["content-type"], "application/problem+json");
  });
}

test("a body may have 64 KiB", async (context) => {
  const app = await createApp(context);
  const body = '{"name": "x"}'.padEnd(64 * 1024);
  assert.equal((await post(app, body)).statusCode, 201);
  const response = await post(app, `${body} `);
  assert.equal(response.statusCode, 413);
  assert.equal(response.headers["content-type"], "application/problem+json");
});

test("a body of unknown length has the same limit", async (context) => {
  const app = await createApp(context);
  const chunks = Readable.from(Array.from({ length: 65 }, () => " ".repeat(1024)));
  assert.equal((await post(app, chunks)).statusCode, 413);
});

test("the methods of a path are all allowed", async (context) => {
  const app = await createApp(context);
  assert.equal((await app.inject({ method: "PUT", url: "/items" })).headers.allow, "GET, HEAD, POST");
  assert.equal((await app.inject({ method: "PUT", url: "/items/1" })).headers.allow, "DELETE, GET, HEAD");
});
