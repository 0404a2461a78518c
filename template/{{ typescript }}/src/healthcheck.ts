/** The health check of the container. */

import { DEFAULT_PORT } from "./settings.ts";

const TIMEOUT_MS = 2000;

/** Returns 0 if the service in this container is ready. */
export async function healthcheck(): Promise<number> {
  const port = process.env["PORT"] || DEFAULT_PORT;
  try {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    process.stdout.write(`${response.status} ${await response.text()}\n`);
    return response.ok ? 0 : 1;
  } catch (error) {
    const { message, cause } = error as Error;
    process.stdout.write(`${message}${cause instanceof Error ? `: ${cause.message}` : ""}\n`);
    return 1;
  }
}
