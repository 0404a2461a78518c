const TLS_CODES = /^(CERT_|DEPTH_ZERO_|EPROTO|ERR_SSL_|ERR_TLS_|HANDSHAKE_|SELF_SIGNED_|UNABLE_TO_)/;

/** Returns whether a connection failed in the TLS handshake. */
export function isTlsError({ code = "", message }: NodeJS.ErrnoException): boolean {
  return TLS_CODES.test(code) || message === "The server does not support SSL connections";
}
