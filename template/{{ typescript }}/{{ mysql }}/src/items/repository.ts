/** Items in the database. */

import type { ResultSetHeader, RowDataPacket } from "mysql2/promise";
import type { Database } from "../database.ts";
import type { Item } from "./schemas.ts";

interface Row extends RowDataPacket {
  readonly id: number;
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
    const createdAt = new Date();
    const { insertId } = await this.#database.query<ResultSetHeader>(
      "INSERT INTO items (name, created_at) VALUES (?, ?)",
      [name, createdAt],
    );
    return { id: insertId, name, created_at: createdAt.toISOString() };
  }

  /** Returns the first items with a greater id. */
  async page(after: bigint, limit: number): Promise<Item[]> {
    const rows = await this.#database.query<Row[]>(
      "SELECT id, name, created_at FROM items WHERE id > ? ORDER BY id LIMIT ?",
      [after, limit],
    );
    return rows.map(toItem);
  }

  /** Returns the item with this id, if any. */
  async get(id: bigint): Promise<Item | undefined> {
    const rows = await this.#database.query<Row[]>("SELECT id, name, created_at FROM items WHERE id = ?", [id]);
    return rows.map(toItem)[0];
  }

  /** Deletes the item with this id and tells whether there was one. */
  async delete(id: bigint): Promise<boolean> {
    const { affectedRows } = await this.#database.query<ResultSetHeader>("DELETE FROM items WHERE id = ?", [id]);
    return affectedRows === 1;
  }
}

function toItem({ id, name, created_at }: Row): Item {
  return { id, name, created_at: created_at.toISOString() };
}
