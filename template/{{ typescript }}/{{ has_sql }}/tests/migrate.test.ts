import assert from "node:assert/strict";
import { appendFileSync, cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { createLogger } from "../src/logger.ts";
import { applyMigrations, migrate } from "../src/migrate.ts";
import { databaseSettings } from "./database.ts";
import { run } from "./process.ts";

const found = databaseSettings();
// Absolute, because tests change the working directory.
const settings = { ...found, databasePasswordFile: path.resolve(found.databasePasswordFile) };
const logger = createLogger("info", undefined, { write: () => {} });

/** Changes into a folder with a copy of the migrations, until the test ends. */
function copyMigrations(context: TestContext): void {
  const [project, folder] = [process.cwd(), mkdtempSync(path.join(tmpdir(), "migrations-"))];
  cpSync("migrations", path.join(folder, "migrations"), { recursive: true });
  process.chdir(folder);
  context.after(() => {
    process.chdir(project);
    rmSync(folder, { recursive: true });
  });
}

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

test("a migration file with another name is refused", async (context) => {
  copyMigrations(context);
  writeFileSync("migrations/0002.sql", "");
  await assert.rejects(applyMigrations(settings, logger), /0002\.sql: must be named like/);
});

test("a migration that fails returns 1", async (context) => {
  copyMigrations(context);
  writeFileSync("migrations/9999.do.fail.sql", "SELECT nothing FROM nowhere;");
  assert.equal(await migrate(settings, logger), 1);
});

test("a schema ahead of the service is a success", async (context) => {
  copyMigrations(context);
  rmSync("migrations/0001.do.create-items.sql");
  assert.equal(await migrate(settings, logger), 0);
});

test("a migration that has changed since it was applied is refused", async (context) => {
  copyMigrations(context);
  appendFileSync("migrations/0001.do.create-items.sql", "-- Changed.\n");
  assert.equal(await migrate(settings, logger), 1);
});
