/** Items in the database. */

import type { Database } from "../database.ts";
import type { Item } from "./schemas.ts";

interface Row {
  readonly id: string;
  readonly name: string;
  readonly created_at: Date;
}

export class Items {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async create(name: string): Promise<Item> {
    const { rows } = await this.#database.query<Row>(
      "INSERT INTO items (name, created_at) VALUES ($1, $2) RETURNING id, name, created_at",
      [name, new Date()],
    );
    const [row] = rows as [Row];
    return toItem(row);
  }

  /** Returns the first items with a greater ID. */
  async list(after: number | bigint, limit: number): Promise<Item[]> {
    const { rows } = await this.#database.query<Row>(
      "SELECT id, name, created_at FROM items WHERE id > $1 ORDER BY id LIMIT $2",
      [after, limit],
    );
    return rows.map(toItem);
  }

  async get(id: number | bigint): Promise<Item | undefined> {
    const { rows } = await this.#database.query<Row>("SELECT id, name, created_at FROM items WHERE id = $1", [id]);
    return rows.map(toItem)[0];
  }

  /** Returns whether the item existed. */
  async delete(id: number | bigint): Promise<boolean> {
    const { rowCount } = await this.#database.query("DELETE FROM items WHERE id = $1", [id]);
    return rowCount === 1;
  }
}

function toItem({ id, name, created_at }: Row): Item {
  return { id: BigInt(id), name, created_at: created_at.toISOString() };
}
