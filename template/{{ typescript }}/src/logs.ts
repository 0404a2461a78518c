/** Logs: one JSON object a line on standard output. */

import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from "pino";
import type { LogLevel } from "./settings.ts";

const LEVELS: Readonly<Record<string, string>> = { warn: "warning", fatal: "error" };

/** Returns what writes the lines of at least this level. */
export function createLogger(level: LogLevel, stream: DestinationStream = standardOutput()): Logger {
  return pino(
    {
      level: level === "warning" ? "warn" : level,
      base: null,
      messageKey: "message",
      timestamp: stdTimeFunctions.isoTime,
      serializers: { exception: (error: Error) => error.stack },
      formatters: { level: (label) => ({ level: LEVELS[label] ?? label }) },
    },
    stream,
  );
}

/** Standard output, written to many lines at a time: each call of the kernel costs as much as a request. */
function standardOutput() {
  const stream = destination({ dest: 1, sync: true, minLength: 4096, periodicFlush: 100 });
  process.on("exit", () => stream.flushSync());
  return stream;
}
