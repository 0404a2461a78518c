import type { Database } from "../../src/database.ts";
import { readSettings } from "../../src/settings.ts";

/** Makes sure that the database is one that tests may empty. */
export function prepare(): void {
  const { databaseName } = readSettings(process.env);
  if (!databaseName.endsWith("test")) {
    throw new Error(`The tests empty their database: ${databaseName} does not end in test.`);
  }
}

/** Leaves no items. */
export async function empty(database: Database): Promise<void> {
  await database.run((redis) => redis.del([`${database.prefix}:items`, `${database.prefix}:items:last-id`]));
}
