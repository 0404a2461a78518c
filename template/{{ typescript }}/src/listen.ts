import type { Server } from "node:http";

/** Listens on all interfaces, of which some machines have none for IPv6: Fastify would insist on one kind. */
export function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, resolve);
  });
}
