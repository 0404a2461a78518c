/** Orders in the database. */

import { v7 as uuid } from "uuid";
import type { Database } from "../database.ts";
import type { Filter, NewOrder, Order } from "./schemas.ts";

const COLUMNS = "id, customer, email, status, gift, created_at";

interface Row {
  readonly id: string;
  readonly customer: string;
  readonly email: string;
  readonly status: Order["status"];
  readonly gift: boolean;
  readonly created_at: Date;
}

export class Orders {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async create({ customer, email, status, gift }: NewOrder): Promise<Order> {
    const { rows } = await this.#database.query<Row>(
      `INSERT INTO orders (${COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6) RETURNING ${COLUMNS}`,
      [uuid(), customer, email, status, gift, new Date()],
    );
    const [row] = rows as [Row];
    return toOrder(row);
  }

  /** Returns the first orders that match every filter. */
  async list({ customer, status, gift, sort }: Filter, limit: number): Promise<Order[]> {
    const direction = sort === "newest" ? "DESC" : "ASC";
    const { rows } = await this.#database.query<Row>(
      `SELECT ${COLUMNS} FROM orders
       WHERE ($1::text IS NULL OR customer = $1)
         AND ($2::text[] IS NULL OR status = ANY ($2))
         AND ($3::boolean IS NULL OR gift = $3)
       ORDER BY created_at ${direction}, id ${direction} LIMIT $4`,
      [customer, status, gift, limit],
    );
    return rows.map(toOrder);
  }

  async get(id: string): Promise<Order | undefined> {
    const { rows } = await this.#database.query<Row>(`SELECT ${COLUMNS} FROM orders WHERE id = $1`, [id]);
    return rows.map(toOrder)[0];
  }

  /** Returns whether the order existed. */
  async delete(id: string): Promise<boolean> {
    const { rowCount } = await this.#database.query("DELETE FROM orders WHERE id = $1", [id]);
    return rowCount === 1;
  }
}

function toOrder({ created_at, ...order }: Row): Order {
  return { ...order, created_at: created_at.toISOString() };
}
