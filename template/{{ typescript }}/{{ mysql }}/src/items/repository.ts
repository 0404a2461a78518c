/** Items in the database. */

import type { ResultSetHeader, RowDataPacket } from "mysql2/promise";
import type { Database } from "../database.ts";
import type { Item } from "./schemas.ts";

interface Row extends RowDataPacket {
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
    const createdAt = new Date();
    const { insertId } = await this.#database.query<ResultSetHeader>(
      "INSERT INTO items (name, created_at) VALUES (?, ?)",
      [name, createdAt],
    );
    return { id: BigInt(insertId), name, created_at: createdAt.toISOString() };
  }

  /** Returns the first items with a greater ID. */
  async list(after: number | bigint, limit: number): Promise<Item[]> {
    const rows = await this.#database.query<Row[]>(
      "SELECT id, name, created_at FROM items WHERE id > ? ORDER BY id LIMIT ?",
      [after, limit],
    );
    return rows.map(toItem);
  }

  async get(id: number | bigint): Promise<Item | undefined> {
    const rows = await this.#database.query<Row[]>("SELECT id, name, created_at FROM items WHERE id = ?", [id]);
    return rows.map(toItem)[0];
  }

  /** Returns whether the item existed. */
  async delete(id: number | bigint): Promise<boolean> {
    const { affectedRows } = await this.#database.query<ResultSetHeader>("DELETE FROM items WHERE id = ?", [id]);
    return affectedRows === 1;
  }
}

function toItem({ id, name, created_at }: Row): Item {
  return { id: BigInt(id), name, created_at: created_at.toISOString() };
}
