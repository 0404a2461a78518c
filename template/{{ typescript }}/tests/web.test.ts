import assert from "node:assert/strict";
import { test } from "node:test";
import { NAME } from "../src/service.ts";
import { createService } from "./support.ts";

test("the root tells name and version", async (context) => {
  const { app } = createService(context, { serviceVersion: "1.2.3" });
  assert.deepEqual((await app.inject("/")).json(), { name: NAME, version: "1.2.3" });
});

for (const url of ["/nowhere", "/livez/", "//livez", "/%zz"]) {
  test(`${url} is a problem`, async (context) => {
    const { app } = createService(context);
    const response = await app.inject(url);
    assert.equal(response.statusCode, 404);
    assert.equal(response.headers["content-type"], "application/problem+json");
    assert.deepEqual(response.json(), {
      type: "about:blank",
      title: "Not Found",
      status: 404,
      detail: "There is nothing at this path.",
    });
  });
}

test("a wrong method is answered with the right ones", async (context) => {
  const { app } = createService(context);
  const response = await app.inject({ method: "POST", url: "/livez" });
  assert.equal(response.statusCode, 405);
  assert.equal(response.headers.allow, "GET, HEAD");
  assert.equal(response.json().title, "Method Not Allowed");
});

test("HEAD is answered like GET", async (context) => {
  const { app } = createService(context);
  const [got, head] = [await app.inject("/"), await app.inject({ method: "HEAD", url: "/" })];
  assert.equal(head.statusCode, 200);
  assert.equal(head.headers["content-length"], got.headers["content-length"]);
});

test("a failure tells nothing of the inside", async (context) => {
  const { app, lines } = createService(context);
  app.get("/failure", () => {
    throw new Error("the inside");
  });
  const response = await app.inject("/failure");
  assert.equal(response.statusCode, 500);
  assert.equal(response.headers["content-type"], "application/problem+json");
  assert.ok(response.headers["x-request-id"]);
  assert.doesNotMatch(response.body, /the inside/);
  assert.match(String(lines[0]?.["exception"]), /the inside/);
});

test("a request keeps a good id", async (context) => {
  const { app } = createService(context);
  const response = await app.inject({ url: "/", headers: { "x-request-id": "one.2_three-4" } });
  assert.equal(response.headers["x-request-id"], "one.2_three-4");
});

for (const bad of ["", "a b", "a/b", "x".repeat(129)]) {
  test(`the request id "${bad.slice(0, 9)}" is replaced`, async (context) => {
    const { app } = createService(context);
    const response = await app.inject({ url: "/", headers: { "x-request-id": bad } });
    assert.match(String(response.headers["x-request-id"]), /^[0-9a-f-]{36}$/);
  });
}

test("the API is documented", async (context) => {
  const { app } = createService(context);
  const document = (await app.inject("/openapi.json")).json();
  assert.equal(document.info.title, NAME);
  assert.ok("application/problem+json" in document.paths["/readyz"].get.responses.default.content);
});
