/** Connections to Redis, and the errors that mean that it is unavailable. */

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import createError from "@fastify/error";
import { createClient, ErrorReply, type RedisClientOptions, type RedisClientType } from "redis";
import { readPassword, type Settings } from "./settings.ts";

type SocketOptions = NonNullable<RedisClientOptions["socket"]>;

const TIMEOUT_MS = 5000;
const PING_TIMEOUT_MS = 1000;
const MAX_LIFETIME_MS = 30 * 60_000;
// Errors of a command that concern the server or the connection, not the command.
const UNAVAILABLE = /^(ERR max number of clients|LOADING|MASTERDOWN|NOAUTH|OOM|READONLY|WRONGPASS)/;

export const DatabaseUnavailableError = createError("DATABASE_UNAVAILABLE", "The database is unavailable.", 503);

export class Database {
  readonly prefix: string;
  readonly #commands: Connection;
  readonly #pings: Connection;

  constructor(settings: Settings) {
    this.prefix = settings.databaseName;
    this.#commands = new Connection(settings, TIMEOUT_MS);
    // Slow commands must not fail readiness.
    this.#pings = new Connection(settings, PING_TIMEOUT_MS);
  }

  /** Runs commands. */
  run<Value>(work: (redis: RedisClientType) => Promise<Value>): Promise<Value> {
    return this.#commands.run(work);
  }

  /** Throws if the database does not respond within a second. */
  async ping(): Promise<void> {
    await this.#pings.run((redis) => redis.ping());
  }

  close(): void {
    this.#pings.close();
    this.#commands.close();
  }
}

class TimeoutError extends Error {}

/** A connection, which is replaced if a reply is late or the server became read-only. */
class Connection {
  readonly #settings: Settings;
  readonly #timeout: number;
  readonly #renewal: NodeJS.Timeout;
  #client: RedisClientType;
  #error: Error | undefined;

  constructor(settings: Settings, timeout: number) {
    this.#settings = settings;
    this.#timeout = timeout;
    this.#client = this.#connect();
    this.#renewal = setInterval(() => this.#reconnect(), MAX_LIFETIME_MS).unref();
  }

  async run<Value>(work: (redis: RedisClientType) => Promise<Value>): Promise<Value> {
    const client = this.#client;
    try {
      if (this.#error) {
        throw this.#error;
      }
      return await this.#withTimeout(work(client));
    } catch (error) {
      if (!isUnavailable(error)) {
        throw error;
      }
      if (client === this.#client && isConnectionError(error)) {
        this.#reconnect();
      }
      throw new DatabaseUnavailableError({ cause: error });
    }
  }

  close(): void {
    clearInterval(this.#renewal);
    destroy(this.#client);
  }

  /** Limits the wait for a reply, which the driver does not, and ends it if the connection fails. */
  async #withTimeout<Value>(reply: Promise<Value>): Promise<Value> {
    const controller = new AbortController();
    const { signal } = controller;
    const failure = once(this.#client, "error", { signal }).then(([error]) => Promise.reject(error));
    const timeout = sleep(this.#timeout, undefined, { signal }).then(() =>
      Promise.reject(new TimeoutError("no reply")),
    );
    try {
      return await Promise.race([reply, failure, timeout]);
    } finally {
      controller.abort();
    }
  }

  #reconnect(): void {
    destroy(this.#client);
    this.#client = this.#connect();
  }

  #connect(): RedisClientType {
    const client: RedisClientType = createClient({
      credentialsProvider: {
        type: "async-credentials-provider",
        // Read for each new connection, because passwords are rotated.
        credentials: async () => ({ password: readPassword(this.#settings.databasePasswordFile) }),
      },
      socket: socketOptions(this.#settings),
    });
    // Each running request listens for an error.
    client.setMaxListeners(0);
    client.on("ready", () => {
      this.#error = undefined;
    });
    // The client itself connects again; requests fail with the error until then.
    client.on("error", (error) => {
      this.#error = error;
    });
    client.connect().catch(() => {});
    return client;
  }
}

function destroy(client: RedisClientType): void {
  client.destroy();
  // A connection that is still opening cannot be destroyed yet.
  client.on("connect", () => client.destroy());
}

/** Returns whether a new connection can help: not if the server's memory is full. */
function isConnectionError(error: unknown): boolean {
  return error instanceof TimeoutError || (error instanceof ErrorReply && !error.message.startsWith("OOM"));
}

function isUnavailable(error: unknown): boolean {
  return error instanceof ErrorReply ? UNAVAILABLE.test(error.message) : !(error instanceof TypeError);
}

function socketOptions({ databaseHost: host, databasePort: port, databaseTls }: Settings): SocketOptions {
  const reconnectStrategy = (retries: number) => Math.min(100 * retries, 1000);
  switch (databaseTls) {
    case "disable":
      return { host, port, reconnectStrategy };
    case "require":
      return { host, port, reconnectStrategy, tls: true, rejectUnauthorized: false };
    case "verify":
      // Node.js trusts its own list, not the system's and SSL_CERT_FILE.
      return { host, port, reconnectStrategy, tls: true, ca: tls.getCACertificates("system") };
  }
}
