import type { Database } from "../../src/database.ts";
import { createLogger } from "../../src/logs.ts";
import { applyMigrations } from "../../src/migrate.ts";
import { readSettings } from "../../src/settings.ts";

/** Migrates the database, if it is one that tests may empty. */
export async function prepare(): Promise<void> {
  const settings = readSettings(process.env);
  const name = settings.databaseName;
  if (!name.endsWith("test")) {
    throw new Error(`The tests empty their database: ${name} does not end in test.`);
  }
  await applyMigrations(settings, createLogger("error"));
}

/** Leaves no items. */
export async function empty(database: Database): Promise<void> {
  await database.query("DELETE FROM items", []);
}
