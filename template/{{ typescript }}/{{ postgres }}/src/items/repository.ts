/** Items in the database. */

import type { Database } from "../database.ts";
import type { Item } from "./schemas.ts";

interface Row {
  readonly id: string;
  readonly name: string;
  readonly created_at: Date;
}

/** The items; each method is a statement. */
export class Items {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Stores a new item and returns it with its id. */
  async create(name: string): Promise<Item> {
    const { rows } = await this.#database.query<Row>(
      "INSERT INTO items (name, created_at) VALUES ($1, $2) RETURNING id, name, created_at",
      [name, new Date()],
    );
    return rows.map(toItem)[0] as Item;
  }

  /** Returns the first items with a greater id. */
  async page(after: bigint, limit: number): Promise<Item[]> {
    const { rows } = await this.#database.query<Row>(
      "SELECT id, name, created_at FROM items WHERE id > $1 ORDER BY id LIMIT $2",
      [after, limit],
    );
    return rows.map(toItem);
  }

  /** Returns the item with this id, if any. */
  async get(id: bigint): Promise<Item | undefined> {
    const { rows } = await this.#database.query<Row>("SELECT id, name, created_at FROM items WHERE id = $1", [id]);
    return rows.map(toItem)[0];
  }

  /** Deletes the item with this id and tells whether there was one. */
  async delete(id: bigint): Promise<boolean> {
    const { rowCount } = await this.#database.query("DELETE FROM items WHERE id = $1", [id]);
    return rowCount === 1;
  }
}

function toItem({ id, name, created_at }: Row): Item {
  return { id: Number(id), name, created_at: created_at.toISOString() };
}
