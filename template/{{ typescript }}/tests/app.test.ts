import assert from "node:assert/strict";
import { test } from "node:test";
import { NAME } from "../src/settings.ts";
import { createService } from "./support.ts";

const PROBLEM = "application/problem+json; charset=utf-8";

test("the root has the name and version of the service", async (context) => {
  const { app } = createService(context, { serviceVersion: "1.2.3" });
  assert.deepEqual((await app.inject("/")).json(), { name: NAME, version: "1.2.3" });
});

test("the liveness probe succeeds", async (context) => {
  const { app } = createService(context);
  const response = await app.inject("/livez");
  assert.equal(response.statusCode, 200);
  assert.deepEqual(response.json(), { status: "ok" });
});

for (const url of ["/nowhere", "/livez/", "//livez", "/%zz"]) {
  test(`the unknown path ${url} returns 404`, async (context) => {
    const { app } = createService(context);
    const response = await app.inject(url);
    assert.equal(response.statusCode, 404);
    assert.equal(response.headers["content-type"], PROBLEM);
    assert.ok(response.headers["x-request-id"]);
    assert.deepEqual(response.json(), { type: "about:blank", title: "Not Found", status: 404, detail: "Not found." });
  });
}

for (const method of ["POST", "PROPFIND"] as const) {
  test(`the method ${method} of a path with GET returns 405`, async (context) => {
    const { app } = createService(context);
    const response = await app.inject({ method: method as "POST", url: "/livez" });
    assert.equal(response.statusCode, 405);
    assert.equal(response.headers.allow, "GET, HEAD");
    assert.equal(response.json().title, "Method Not Allowed");
  });
}

test("HEAD has the headers of GET and no body", async (context) => {
  const { app } = createService(context);
  const [get, head] = [await app.inject("/"), await app.inject({ method: "HEAD", url: "/" })];
  assert.equal(head.statusCode, 200);
  assert.equal(head.headers["content-length"], get.headers["content-length"]);
  assert.equal(head.body, "");
});

test("an announced body above the limit returns 413 on every route", async (context) => {
  const { app } = createService(context);
  const response = await app.inject({ method: "GET", url: "/livez", payload: "x".repeat(64 * 1024 + 1) });
  assert.equal(response.statusCode, 413);
});

test("an unexpected error returns 500 without its message, which is logged", async (context) => {
  const { app, lines } = createService(context);
  app.register((routes, _options, done) => {
    routes.get("/failure", () => {
      throw new Error("internal", { cause: new Error("cause") });
    });
    done();
  });
  const response = await app.inject("/failure");
  assert.equal(response.statusCode, 500);
  assert.equal(response.json().detail, "Internal error.");
  assert.doesNotMatch(response.body, /internal/);
  assert.match(JSON.stringify(lines[0]?.["err"]), /internal.*cause/);
  assert.deepEqual([lines[1]?.["level"], lines[1]?.["status"]], ["error", 500]);
});

test("an error with a status code keeps it and its message", async (context) => {
  const { app } = createService(context);
  app.register((routes, _options, done) => {
    routes.get("/taken", () => {
      throw Object.assign(new Error("The name is taken."), { statusCode: 409 });
    });
    done();
  });
  assert.deepEqual((await app.inject("/taken")).json(), {
    type: "about:blank",
    title: "Conflict",
    status: 409,
    detail: "The name is taken.",
  });
});

test("a response keeps its media type", async (context) => {
  const { app } = createService(context);
  app.register((routes, _options, done) => {
    routes.get("/report", (_request, reply) => reply.type("text/csv").send("a,b\n"));
    done();
  });
  const response = await app.inject("/report");
  assert.match(String(response.headers["content-type"]), /^text\/csv/);
  assert.equal(response.body, "a,b\n");
});

test("a valid request ID is kept", async (context) => {
  const { app } = createService(context);
  const response = await app.inject({ url: "/", headers: { "x-request-id": "one.2_three-4" } });
  assert.equal(response.headers["x-request-id"], "one.2_three-4");
});

for (const id of ["", "a b", "a/b", "x".repeat(129)]) {
  test(`the invalid request ID "${id.slice(0, 9)}" is replaced`, async (context) => {
    const { app } = createService(context);
    const response = await app.inject({ url: "/", headers: { "x-request-id": id } });
    assert.match(String(response.headers["x-request-id"]), /^[0-9a-f-]{36}$/);
  });
}

test("the OpenAPI document describes the routes and their problems", async (context) => {
  const { app } = createService(context);
  const document = (await app.inject("/openapi.json")).json();
  assert.equal(document.info.title, NAME);
  assert.ok("application/problem+json" in document.paths["/readyz"].get.responses[503].content);
  assert.ok("Problem" in document.components.schemas);
});

test("connections have the time limits of the service", (context) => {
  const { app } = createService(context);
  assert.equal(app.server.headersTimeout, 30_000);
  assert.equal(app.server.requestTimeout, 30_000);
  assert.equal(app.server.keepAliveTimeout, 620_000);
});
