/** The database: queries for requests, and a ping for readiness. */

import net from "node:net";
import tls from "node:tls";
import mysql from "mysql2/promise";
import type { Logger } from "pino";
import type { Settings } from "./settings.ts";

const TIMEOUT = 5000;
const PING_TIMEOUT = 1000;
// Errors of a statement that blame the server or its state, not the statement:
// https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
const UNAVAILABLE = new Set([
  "ER_LOCK_DEADLOCK",
  "ER_LOCK_WAIT_TIMEOUT",
  "ER_OPTION_PREVENTS_STATEMENT",
  "ER_QUERY_INTERRUPTED",
  "ER_QUERY_TIMEOUT",
  "ER_SERVER_SHUTDOWN",
]);

/** The database does not answer. */
export class DatabaseUnavailableError extends Error {
  constructor(cause: unknown) {
    super("The database does not answer.", { cause });
  }
}

/** The connections of one process. */
export class Database {
  readonly #logger: Logger;
  readonly #pool: mysql.Pool;
  readonly #pings: mysql.Pool;
  #ping: Promise<boolean> | undefined;

  constructor(settings: Settings, logger: Logger) {
    this.#logger = logger;
    this.#pool = mysql.createPool({ ...connection(settings), connectionLimit: 10 });
    // A busy pool is no reason to be sent no requests, so the ping has a connection of its own.
    this.#pings = mysql.createPool({ ...connection(settings), connectionLimit: 1 });
  }

  /** Runs a statement, and gives up on a database that does not answer. */
  query<Result extends mysql.QueryResult>(sql: string, values: unknown[]): Promise<Result> {
    return run<Result>(this.#pool, sql, values, TIMEOUT);
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
      await run(this.#pings, "SELECT 1", [], PING_TIMEOUT);
      return true;
    } catch (error) {
      this.#logger.warn({ reason: String((error as Error).cause) }, "The database does not answer.");
      return false;
    }
  }
}

/** What the migrations run in: statements that take as long as they need. */
export interface Session {
  query(sql: string): Promise<{ rows: mysql.RowDataPacket[] }>;
  end(): Promise<void>;
}

/** Opens a connection for the migrations. */
export async function openSession(settings: Settings): Promise<Session> {
  const session = await mysql.createConnection({ ...connection(settings), multipleStatements: true });
  return {
    query: async (sql) => {
      const [rows] = await session.query<mysql.RowDataPacket[]>(sql);
      return { rows };
    },
    end: () => session.end(),
  };
}

/** Runs a statement on a connection of the pool, which closes it when its state is not known. */
async function run<Result extends mysql.QueryResult>(
  pool: mysql.Pool,
  sql: string,
  values: unknown[],
  timeout: number,
): Promise<Result> {
  const lent = await inTime(pool.getConnection(), timeout, (late) => late.release()).catch((error: unknown) => {
    throw new DatabaseUnavailableError(error);
  });
  try {
    const [result] = await lent.query<Result>({ sql, values, timeout });
    lent.release();
    return result;
  } catch (error) {
    const { sqlState, code = "" } = error as { sqlState?: string; code?: string };
    if (sqlState !== undefined && !UNAVAILABLE.has(code)) {
      lent.release();
      throw error;
    }
    lent.destroy();
    throw new DatabaseUnavailableError(error);
  }
}

/** Returns what comes within so many milliseconds; what comes later is given to `tooLate`. */
function inTime<Value>(promise: Promise<Value>, timeout: number, tooLate: (value: Value) => void): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`nothing within ${timeout} ms`));
      promise.then(tooLate, () => {});
    }, timeout);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function connection(settings: Settings): mysql.ConnectionOptions {
  return {
    host: settings.databaseHost,
    port: settings.databasePort,
    database: settings.databaseName,
    user: settings.databaseUser,
    password: settings.databasePassword.reveal(),
    charset: "utf8mb4",
    timezone: "Z",
    connectTimeout: TIMEOUT,
    ...tlsOptions(settings),
  };
}

/** Returns how to check the server's certificate, or nothing to go without encryption. */
function tlsOptions({ databaseTls, databaseHost: host, databasePort: port }: Settings): mysql.ConnectionOptions {
  switch (databaseTls) {
    case "disable":
      return {};
    case "require":
      return { ssl: { rejectUnauthorized: false } };
    case "verify":
      return {
        ssl: { ca: tls.getCACertificates("system").join("\n"), verifyIdentity: true },
        // The driver does not tell an address, and Node would compare with "localhost" if its socket did not either.
        stream: () => Object.assign(net.connect({ host, port, noDelay: true, keepAlive: true }), { _host: host }),
      };
  }
}
