/** The database: queries for requests, and a ping for readiness. */

import tls from "node:tls";
import pg from "pg";
import type { Logger } from "pino";
import { NAME } from "./service.ts";
import type { Settings } from "./settings.ts";

const TIMEOUT = 5000;
const PING_TIMEOUT = 1000;
// Classes of SQLSTATE that blame the server, its state or the way to it:
// https://www.postgresql.org/docs/current/errcodes-appendix.html
const UNAVAILABLE = /^(08|28|3D|40|53|55|57|58)/;

/** The database does not answer. */
export class DatabaseUnavailableError extends Error {
  constructor(cause: unknown) {
    super("The database does not answer.", { cause });
  }
}

/** The connections of one process. */
export class Database {
  readonly #logger: Logger;
  readonly #pool: pg.Pool;
  readonly #pings: pg.Pool;
  #ping: Promise<boolean> | undefined;

  constructor(settings: Settings, logger: Logger) {
    this.#logger = logger;
    this.#pool = this.#connect(settings, 10, TIMEOUT);
    // A busy pool is no reason to be sent no requests, so the ping has a connection of its own.
    this.#pings = this.#connect(settings, 1, PING_TIMEOUT);
  }

  /** Runs a statement, and gives up on a database that does not answer. */
  async query<Row extends pg.QueryResultRow>(text: string, values: unknown[]): Promise<pg.QueryResult<Row>> {
    try {
      return await this.#pool.query<Row>(text, values);
    } catch (error) {
      if (error instanceof pg.DatabaseError && !UNAVAILABLE.test(error.code ?? "")) {
        throw error;
      }
      throw new DatabaseUnavailableError(error);
    }
  }

  /** Tells whether the database answers within a second; whoever asks meanwhile gets the same answer. */
  ping(): Promise<boolean> {
    this.#ping ??= this.#select().finally(() => {
      this.#ping = undefined;
    });
    return this.#ping;
  }

  /** Closes every connection. */
  async close(): Promise<void> {
    await Promise.all([this.#pings.end(), this.#pool.end()]);
  }

  async #select(): Promise<boolean> {
    try {
      await this.#pings.query("SELECT 1");
      return true;
    } catch (error) {
      this.#logger.warn({ reason: String(error) }, "The database does not answer.");
      return false;
    }
  }

  #connect(settings: Settings, max: number, timeout: number): pg.Pool {
    const pool = new pg.Pool({
      ...connection(settings),
      max,
      connectionTimeoutMillis: timeout,
      query_timeout: timeout,
      statement_timeout: timeout,
      idleTimeoutMillis: 60_000,
    });
    pool.on("error", (error) => this.#logger.warn({ reason: String(error) }, "An idle connection broke."));
    return pool;
  }
}

/** Opens a connection whose statements take as long as they need. */
export async function openSession(settings: Settings): Promise<pg.Client> {
  const client = new pg.Client({ ...connection(settings), connectionTimeoutMillis: TIMEOUT });
  await client.connect();
  return client;
}

function connection(settings: Settings): pg.ClientConfig {
  return {
    host: settings.databaseHost,
    port: settings.databasePort,
    database: settings.databaseName,
    user: settings.databaseUser,
    password: settings.databasePassword.reveal(),
    application_name: NAME,
    ssl: tlsOptions(settings),
  };
}

/** Returns how to check the server's certificate, or false to go without encryption. */
function tlsOptions({ databaseTls, databaseHost }: Settings): tls.ConnectionOptions | false {
  switch (databaseTls) {
    case "disable":
      return false;
    case "require":
      return { rejectUnauthorized: false };
    case "verify":
      return {
        secureContext: tls.createSecureContext({ ca: tls.getCACertificates("system") }),
        // The driver does not tell an address, and Node would compare with "localhost".
        checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(databaseHost, certificate),
      };
  }
}
