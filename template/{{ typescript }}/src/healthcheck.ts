/** The probe of the container. */

import { get } from "node:http";
import { DEFAULT_PORT } from "./service.ts";

const TIMEOUT = 2000;

/** Returns 0 when the service in this container is ready. */
export function healthcheck(): Promise<number> {
  return new Promise((resolve) => {
    const port = process.env["PORT"] || DEFAULT_PORT;
    const request = get({ host: "127.0.0.1", port, path: "/readyz", timeout: TIMEOUT }, (response) => {
      resolve(response.statusCode === 200 ? 0 : 1);
    });
    request.on("timeout", () => resolve(1));
    request.on("error", () => resolve(1));
  });
}
