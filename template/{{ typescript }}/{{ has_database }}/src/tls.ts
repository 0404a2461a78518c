/** TLS to the database. */

import tls from "node:tls";
import type { Settings } from "./settings.ts";

/** Returns how to check the server's certificate, or undefined without TLS. */
export function tlsOptions({ databaseTls, databaseHost }: Settings): tls.ConnectionOptions | undefined {
  switch (databaseTls) {
    case "disable":
      return undefined;
    case "require":
      return { rejectUnauthorized: false };
    case "verify":
      return {
        // Node.js trusts its own list, not the system's and SSL_CERT_FILE.
        ca: tls.getCACertificates("system"),
        // Drivers pass no name if the host is an address, and Node.js compares with "localhost" then.
        checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(databaseHost, certificate),
      };
  }
}

/** Returns whether a connection failed in the TLS handshake. */
export function isTlsError({ code = "", message }: NodeJS.ErrnoException): boolean {
  return /^(CERT_|DEPTH_ZERO_|ERR_SSL_|ERR_TLS_|SELF_SIGNED_|UNABLE_TO_)/.test(code) || /SSL|TLS/.test(message);
}
