/** Logs: one JSON object a line on standard output. */

import { type DestinationStream, destination, type Logger, pino } from "pino";
import type { LogLevel } from "./settings.ts";

const LEVELS: Readonly<Record<string, string>> = { warn: "warning", fatal: "error" };

/** Returns what writes the lines of at least this level. */
export function createLogger(level: LogLevel, stream: DestinationStream = standardOutput()): Logger {
  return pino(
    {
      level: level === "warning" ? "warn" : level,
      base: null,
      messageKey: "message",
      timestamp: createClock(),
      serializers: { exception: (error: Error) => error.stack },
      formatters: { level: (label) => ({ level: LEVELS[label] ?? label }) },
    },
    stream,
  );
}

/** Returns the time as a line has it, formatted once a millisecond. */
function createClock(): () => string {
  let last = 0;
  let text = "";
  return () => {
    const now = Date.now();
    if (now !== last) {
      last = now;
      text = `,"time":"${new Date(now).toISOString()}"`;
    }
    return text;
  };
}

/** Standard output, written once a turn of the event loop: each call of the kernel costs as much as a request. */
function standardOutput(): DestinationStream {
  const stream = destination({ dest: 1, sync: true });
  let lines = "";
  const flush = () => {
    if (lines !== "") {
      stream.write(lines);
      lines = "";
    }
  };
  process.on("exit", flush);
  return {
    write(line) {
      if (lines === "") {
        setImmediate(flush);
      }
      lines += line;
    },
  };
}
