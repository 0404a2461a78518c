/** The database: commands for requests, and a ping for readiness. */

import tls from "node:tls";
import type { Logger } from "pino";
import { createClient, ErrorReply, type RedisClientOptions, type RedisClientType } from "redis";
import type { Settings } from "./settings.ts";

type SocketOptions = NonNullable<RedisClientOptions["socket"]>;

const TIMEOUT = 5000;
const PING_TIMEOUT = 1000;

/** The database does not answer. */
export class DatabaseUnavailableError extends Error {
  constructor(cause: unknown) {
    super("The database does not answer.", { cause });
  }
}

/** The connections of one process. */
export class Database {
  readonly prefix: string;
  readonly #commands: Connection;
  readonly #pings: Connection;
  readonly #logger: Logger;

  constructor(settings: Settings, logger: Logger) {
    this.prefix = settings.databaseName;
    this.#logger = logger;
    this.#commands = new Connection(settings, TIMEOUT);
    // Requests that wait are no reason to be sent no others, so the ping has a connection of its own.
    this.#pings = new Connection(settings, PING_TIMEOUT);
  }

  /** Runs commands, and gives up on a database that does not answer. */
  async run<Value>(work: (redis: RedisClientType) => Promise<Value>): Promise<Value> {
    try {
      return await this.#commands.run(work);
    } catch (error) {
      if (error instanceof ErrorReply && !/^(NOAUTH|WRONGPASS|LOADING|MASTERDOWN|READONLY)/.test(error.message)) {
        throw error;
      }
      throw new DatabaseUnavailableError(error);
    }
  }

  /** Tells whether the database answers within a second. */
  async ping(): Promise<boolean> {
    try {
      await this.#pings.run((redis) => redis.ping());
      return true;
    } catch (error) {
      this.#logger.warn({ reason: String(error) }, "The database does not answer.");
      return false;
    }
  }

  /** Closes every connection. */
  close(): void {
    this.#pings.close();
    this.#commands.close();
  }
}

/** A connection that is made anew when it breaks, or when it does not answer within so many milliseconds. */
class Connection {
  readonly #settings: Settings;
  readonly #timeout: number;
  #client: RedisClientType;

  constructor(settings: Settings, timeout: number) {
    this.#settings = settings;
    this.#timeout = timeout;
    this.#client = this.#connect();
  }

  async run<Value>(work: (redis: RedisClientType) => Promise<Value>): Promise<Value> {
    const client = this.#client;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`no answer within ${this.#timeout} ms`));
        if (this.#client === client) {
          this.close();
          this.#client = this.#connect();
        }
      }, this.#timeout);
    });
    try {
      return await Promise.race([work(client), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    const client = this.#client;
    client.destroy();
    // One that is being made is not there yet to be destroyed.
    client.on("connect", () => client.destroy());
  }

  #connect(): RedisClientType {
    const client: RedisClientType = createClient({
      password: this.#settings.databasePassword.reveal(),
      socket: socketOptions(this.#settings),
    });
    // Whoever waits for a command is told of what happens to it; the client itself tries on.
    client.on("error", () => {});
    client.connect().catch(() => {});
    return client;
  }
}

function socketOptions({ databaseHost: host, databasePort: port, databaseTls }: Settings): SocketOptions {
  const reconnectStrategy = (retries: number) => Math.min(100 * retries, 1000);
  switch (databaseTls) {
    case "disable":
      return { host, port, reconnectStrategy };
    case "require":
      return { host, port, reconnectStrategy, tls: true, rejectUnauthorized: false };
    case "verify":
      return { host, port, reconnectStrategy, tls: true, ca: tls.getCACertificates("system") };
  }
}
