/** Connections to PostgreSQL, and the errors that mean that it is unavailable. */

import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import createError from "@fastify/error";
import type { FastifyBaseLogger } from "fastify";
import pg from "pg";
import { NAME, readPassword, type Settings } from "./settings.ts";
import { isTlsError } from "./tls.ts";

const TIMEOUT_MS = 5000;
const PING_TIMEOUT_MS = 1000;
const IDLE_TIMEOUT_MS = 60_000;
const MAX_LIFETIME_SECONDS = 30 * 60;
const LOCK_INTERVAL_MS = 500;
const READ_ONLY = "25006";
// Classes of SQLSTATE that concern the server or the connection, not the statement:
// https://www.postgresql.org/docs/current/errcodes-appendix.html
const UNAVAILABLE = /^(08|25006|28|3D|40|53|55|57|58)/;
const REFUSED = /^(28|3D)/;

export const DatabaseUnavailableError = createError("DATABASE_UNAVAILABLE", "The database is unavailable.", 503);

export class Database {
  readonly #settings: Settings;
  readonly #logger: FastifyBaseLogger;
  readonly #pingPool: pg.Pool;
  #pool: pg.Pool;

  constructor(settings: Settings, logger: FastifyBaseLogger) {
    this.#settings = settings;
    this.#logger = logger;
    this.#pool = this.#createPool(settings.databasePoolSize, TIMEOUT_MS);
    // A busy pool must not fail readiness.
    this.#pingPool = this.#createPool(1, PING_TIMEOUT_MS);
  }

  /** Runs a statement, and closes the connection if it fails. */
  async query<Row extends pg.QueryResultRow>(text: string, values: unknown[]): Promise<pg.QueryResult<Row>> {
    const pool = this.#pool;
    try {
      return await pool.query<Row>(text, values);
    } catch (error) {
      if ((error as pg.DatabaseError).code === READ_ONLY && pool === this.#pool) {
        // After a failover every connection leads to the old primary.
        this.#pool = this.#createPool(this.#settings.databasePoolSize, TIMEOUT_MS);
        pool.end();
      }
      throw isUnavailable(error) ? new DatabaseUnavailableError({ cause: error }) : error;
    }
  }

  /** Throws if the database does not respond within a second. */
  async ping(): Promise<void> {
    try {
      await this.#pingPool.query("SELECT 1");
    } catch (error) {
      throw new DatabaseUnavailableError({ cause: error });
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#pingPool.end(), this.#pool.end()]);
  }

  #createPool(max: number, timeout: number): pg.Pool {
    const pool = new pg.Pool({
      ...clientConfig(this.#settings),
      max,
      connectionTimeoutMillis: timeout,
      // Not statement_timeout, a start-up parameter that poolers refuse.
      query_timeout: timeout,
      idleTimeoutMillis: IDLE_TIMEOUT_MS,
      maxLifetimeSeconds: MAX_LIFETIME_SECONDS,
    });
    pool.on("error", (err) => this.#logger.warn({ err }, "An idle database connection failed."));
    return pool;
  }
}

/** Runs the work on a separate connection, in one process at a time. */
export async function withMigrationLock(
  settings: Settings,
  work: (session: pg.Client) => Promise<void>,
): Promise<void> {
  const lock = await connect(settings);
  try {
    // A transaction pooler keeps a lock only within a transaction. A statement that waits for the lock would stop
    // CREATE INDEX CONCURRENTLY, which waits for all running statements.
    while (!(await tryLock(lock))) {
      await lock.query("ROLLBACK");
      await sleep(LOCK_INTERVAL_MS);
    }
    const session = await connect(settings);
    await work(session).finally(() => session.end());
  } finally {
    await lock.end();
  }
}

async function tryLock(client: pg.Client): Promise<boolean> {
  await client.query("BEGIN");
  const { rows } = await client.query("SELECT pg_try_advisory_xact_lock(hashtext('migrations')) AS locked");
  return rows[0].locked;
}

/** Opens a connection without a limit for its statements. */
export async function connect(settings: Settings): Promise<pg.Client> {
  const client = new pg.Client({ ...clientConfig(settings), connectionTimeoutMillis: TIMEOUT_MS });
  await client.connect();
  return client;
}

/** Returns whether the server refuses connections for good: wrong password, missing database, TLS. */
export function isRefused(error: unknown): boolean {
  return error instanceof pg.DatabaseError ? REFUSED.test(error.code ?? "") : isTlsError(error as Error);
}

function isUnavailable(error: unknown): boolean {
  // Other errors of the driver have no class; a TypeError is a fault of the caller.
  return error instanceof pg.DatabaseError ? UNAVAILABLE.test(error.code ?? "") : !(error instanceof TypeError);
}

function clientConfig(settings: Settings): pg.ClientConfig {
  return {
    host: settings.databaseHost,
    port: settings.databasePort,
    database: settings.databaseName,
    user: settings.databaseUser,
    // Read for each new connection, because passwords are rotated.
    password: () => readPassword(settings.databasePasswordFile),
    application_name: NAME,
    ssl: tlsOptions(settings),
  };
}

/** Returns how to check the server's certificate, or false without TLS. */
function tlsOptions({ databaseTls, databaseHost }: Settings): tls.ConnectionOptions | false {
  switch (databaseTls) {
    case "disable":
      return false;
    case "require":
      return { rejectUnauthorized: false };
    case "verify":
      return {
        // Node.js trusts its own list, not the system's and SSL_CERT_FILE.
        ca: tls.getCACertificates("system"),
        // The driver passes no name if the host is an address, and Node.js compares with "localhost" then.
        checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(databaseHost, certificate),
      };
  }
}
