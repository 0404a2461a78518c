import assert from "node:assert/strict";
import { test } from "node:test";
import { databaseSettings } from "./database.ts";
import { run } from "./process.ts";

databaseSettings();

test("migrations can run at the same time, and again", async () => {
  const results = await Promise.all([run("migrate", process.env), run("migrate", process.env)]);
  results.push(await run("migrate", process.env));
  for (const { status, stdout } of results) {
    assert.equal(status, 0, stdout);
    assert.match(stdout, /The schema is up to date\./);
  }
});

test("a missing database fails at once", async () => {
  const { status, stdout } = await run("migrate", { ...process.env, DATABASE_NAME: "missing_test" });
  assert.equal(status, 1);
  assert.match(stdout, /missing_test/);
});
