/** Items in the database. */

import type { Database } from "../database.ts";
import type { Item } from "./schemas.ts";

/** The items: a sorted set of JSON documents whose scores are the IDs. One command stores a whole item. */
export class Items {
  readonly #database: Database;
  readonly #key: string;

  constructor(database: Database) {
    this.#database = database;
    this.#key = `${database.prefix}:items`;
  }

  create(name: string): Promise<Item> {
    return this.#database.run(async (redis) => {
      const id = await redis.incr(`${this.#key}:last-id`);
      const item: Item = { id, name, created_at: new Date().toISOString() };
      await redis.zAdd(this.#key, { score: id, value: JSON.stringify(item) });
      return item;
    });
  }

  /** Returns the first items with a greater ID. */
  list(after: number | bigint, limit: number): Promise<Item[]> {
    return this.#range(`(${after}`, "+inf", limit);
  }

  async get(id: number | bigint): Promise<Item | undefined> {
    const [item] = await this.#range(String(id), String(id), 1);
    return item;
  }

  /** Returns whether the item existed. */
  async delete(id: number | bigint): Promise<boolean> {
    const score = String(id);
    return (await this.#database.run((redis) => redis.zRemRangeByScore(this.#key, score, score))) === 1;
  }

  async #range(first: string, last: string, count: number): Promise<Item[]> {
    const found = await this.#database.run((redis) =>
      redis.zRange(this.#key, first, last, { BY: "SCORE", LIMIT: { offset: 0, count } }),
    );
    return found.map((text) => JSON.parse(text));
  }
}
