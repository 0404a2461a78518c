/** Logs: one JSON object per line on standard output, or readable text at a terminal. */

import { createRequire } from "node:module";
import { type DestinationStream, destination, type Logger, type LoggerOptions, pino, stdTimeFunctions } from "pino";
import type { Settings } from "./settings.ts";

const LEVELS: Readonly<Record<string, string>> = { warn: "warning", fatal: "error" };

export function createLogger(
  logLevel: Settings["logLevel"],
  mixin?: LoggerOptions["mixin"],
  stream: DestinationStream = process.stdout.isTTY ? prettyStream() : destination({ dest: 1, sync: true }),
): Logger {
  return pino(
    {
      level: logLevel === "warning" ? "warn" : logLevel,
      base: null,
      messageKey: "message",
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: LEVELS[label] ?? label }) },
      ...(mixin && { mixin }),
    },
    stream,
  );
}

function prettyStream(): DestinationStream {
  // Only at a terminal, because it doubles the load time of pino.
  const pretty: typeof import("pino-pretty") = createRequire(import.meta.url)("pino-pretty");
  return pretty({ messageKey: "message", customLevels: "debug:20,info:30,warning:40,error:50", sync: true });
}
