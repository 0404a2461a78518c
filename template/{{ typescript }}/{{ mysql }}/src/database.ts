/** Connections to MySQL, and the errors that mean that it is unavailable. */

import net from "node:net";
import tls from "node:tls";
import createError from "@fastify/error";
import mysql from "mysql2/promise";
import { readPassword, type Settings } from "./settings.ts";
import { isTlsError } from "./tls.ts";

const TIMEOUT_MS = 5000;
const PING_TIMEOUT_MS = 1000;
const MAX_LIFETIME_MS = 30 * 60_000;
const LOCK_TIMEOUT_SECONDS = 3600;
// Errors of a statement that concern the server or its state, not the statement:
// https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
const READ_ONLY = new Set([
  "ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION",
  "ER_OPTION_PREVENTS_STATEMENT",
  "ER_READ_ONLY_MODE",
]);
const UNAVAILABLE = new Set([
  ...READ_ONLY,
  "ER_LOCK_DEADLOCK",
  "ER_LOCK_WAIT_TIMEOUT",
  "ER_QUERY_INTERRUPTED",
  "ER_QUERY_TIMEOUT",
  "ER_SERVER_SHUTDOWN",
]);
const REFUSED = new Set(["ER_ACCESS_DENIED_ERROR", "ER_BAD_DB_ERROR", "ER_DBACCESS_DENIED_ERROR"]);

export const DatabaseUnavailableError = createError("DATABASE_UNAVAILABLE", "The database is unavailable.", 503);

export class Database {
  readonly #settings: Settings;
  readonly #renewal: NodeJS.Timeout;
  #pools: { requests: mysql.Pool; pings: mysql.Pool };

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#pools = this.#createPools();
    // The driver has no limit for the age of a connection.
    this.#renewal = setInterval(() => this.#reconnect(), MAX_LIFETIME_MS).unref();
  }

  /** Runs a statement. */
  async query<Result extends mysql.QueryResult>(sql: string, values: unknown[]): Promise<Result> {
    const pools = this.#pools;
    try {
      return await run<Result>(pools.requests, sql, values, TIMEOUT_MS);
    } catch (error) {
      if (READ_ONLY.has(codeOf((error as Error).cause)) && pools === this.#pools) {
        // After a failover every connection leads to the old primary.
        this.#reconnect();
      }
      throw error;
    }
  }

  /** Throws if the database does not respond within a second. */
  async ping(): Promise<void> {
    await run(this.#pools.pings, "SELECT 1", [], PING_TIMEOUT_MS);
  }

  async close(): Promise<void> {
    clearInterval(this.#renewal);
    await Promise.all([this.#pools.pings.end(), this.#pools.requests.end()]);
  }

  #reconnect(): void {
    const { requests, pings } = this.#pools;
    this.#pools = this.#createPools();
    requests.end();
    pings.end();
  }

  #createPools() {
    return {
      requests: createPool(this.#settings, this.#settings.databasePoolSize),
      // A busy pool must not fail readiness.
      pings: createPool(this.#settings, 1),
    };
  }
}

function createPool(settings: Settings, connectionLimit: number): mysql.Pool {
  const pool = mysql.createPool({ ...connectionOptions(settings), connectionLimit });
  // Read for each new connection, because passwords are rotated; the driver accepts no function.
  const { connectionConfig } = pool.pool.config as unknown as { connectionConfig: object };
  Object.defineProperty(connectionConfig, "password", { get: () => passwordOf(settings) });
  return pool;
}

/** Runs a statement on a connection of the pool, which closes it if its state is unknown. */
async function run<Result extends mysql.QueryResult>(
  pool: mysql.Pool,
  sql: string,
  values: unknown[],
  timeout: number,
): Promise<Result> {
  const connection = await withTimeout(pool.getConnection(), timeout, (late) => late.release()).catch((cause) => {
    throw new DatabaseUnavailableError({ cause });
  });
  try {
    const [result] = await connection.query<Result>({ sql, values, timeout });
    connection.release();
    return result;
  } catch (error) {
    if (isUnavailable(error)) {
      connection.destroy();
      throw new DatabaseUnavailableError({ cause: error });
    }
    connection.release();
    throw error;
  }
}

/** Limits the wait for a connection, unlike the driver; a late connection goes to `discard`. */
function withTimeout<Value>(promise: Promise<Value>, timeout: number, discard: (value: Value) => void): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`no connection within ${timeout} ms`));
      promise.then(discard, () => {});
    }, timeout);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** A connection without a time limit for statements. */
export interface Session {
  query(sql: string): Promise<{ rows: mysql.RowDataPacket[] }>;
  end(): Promise<void>;
}

export async function connect(settings: Settings): Promise<Session> {
  const password = readPassword(settings.databasePasswordFile);
  const connection = await mysql.createConnection({
    ...connectionOptions(settings),
    password,
    multipleStatements: true,
  });
  return {
    query: async (sql) => {
      const [rows] = await connection.query<mysql.RowDataPacket[]>(sql);
      return { rows };
    },
    end: () => connection.end(),
  };
}

/** Runs the work on a separate connection, in one process at a time. */
export async function withMigrationLock(settings: Settings, work: (session: Session) => Promise<void>): Promise<void> {
  const session = await connect(settings);
  try {
    // The names of locks belong to the whole server and have at most 64 characters.
    const name = "SHA2(CONCAT('migrations of ', DATABASE()), 256)";
    const { rows } = await session.query(`SELECT GET_LOCK(${name}, ${LOCK_TIMEOUT_SECONDS}) AS locked`);
    // MySQL returns a BIGINT, which the connection reads as text, and MariaDB an INT.
    if (Number(rows[0]?.["locked"]) !== 1) {
      throw new Error("The migration lock was not released in time.");
    }
    await work(session);
  } finally {
    await session.end();
  }
}

/** Returns whether the server refuses connections for good: wrong password, missing database, TLS. */
export function isRefused(error: unknown): boolean {
  return REFUSED.has(codeOf(error)) || isTlsError(error as Error);
}

function isUnavailable(error: unknown): boolean {
  // An error without a state is the connection's; a TypeError is a fault of the caller.
  return "sqlState" in (error as Error) ? UNAVAILABLE.has(codeOf(error)) : !(error instanceof TypeError);
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException | undefined)?.code ?? "";
}

/** Returns the password, or none if the file is unreadable, which the server then refuses. */
function passwordOf({ databasePasswordFile }: Settings): string | undefined {
  try {
    return readPassword(databasePasswordFile);
  } catch {
    return undefined;
  }
}

function connectionOptions(settings: Settings): mysql.ConnectionOptions {
  return {
    host: settings.databaseHost,
    port: settings.databasePort,
    database: settings.databaseName,
    user: settings.databaseUser,
    charset: "utf8mb4",
    timezone: "Z",
    supportBigNumbers: true,
    bigNumberStrings: true,
    connectTimeout: TIMEOUT_MS,
    ...tlsOptions(settings),
  };
}

/** Returns how to check the server's certificate, or nothing without TLS. */
function tlsOptions({ databaseTls, databaseHost: host, databasePort: port }: Settings): mysql.ConnectionOptions {
  switch (databaseTls) {
    case "disable":
      return {};
    case "require":
      return { ssl: { rejectUnauthorized: false } };
    case "verify":
      return {
        // Node.js trusts its own list, not the system's and SSL_CERT_FILE.
        ssl: { ca: tls.getCACertificates("system").join("\n"), verifyIdentity: true },
        // The driver passes no name if the host is an address, and Node.js compares with "localhost" then.
        stream: () => Object.assign(net.connect({ host, port, noDelay: true, keepAlive: true }), { _host: host }),
      };
  }
}
