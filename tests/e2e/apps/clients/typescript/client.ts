/** Creates, lists, gets and deletes an item by the client of openapi-typescript and openapi-fetch. */

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./schema.d.ts";

const client = createClient<paths>({ baseUrl: String(process.argv[2]) });

const created = await client.POST("/items", { body: { name: "Generated" } });
assert.equal(created.response.status, 201);
const item = created.data;
assert.ok(item);
const path = { id: item.id };

const page = await client.GET("/items", { params: { query: { after: item.id > 1 ? item.id - 1 : undefined, limit: 1 } } });
assert.deepEqual(page.data?.items, [item]);
const fetched = await client.GET("/items/{id}", { params: { path } });
assert.deepEqual(fetched.data, item);
const deleted = await client.DELETE("/items/{id}", { params: { path } });
assert.equal(deleted.response.status, 204);

const missing = await client.GET("/items/{id}", { params: { path } });
assert.equal(missing.response.status, 404);
const detail: string | undefined = missing.error?.detail;
assert.ok(detail);
