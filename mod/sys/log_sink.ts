/** Logs on standard error: a constant event name and fields, as text or as JSON lines. */
import type { LogEvent } from "../core/log_events.ts";
import { configureSync, getLogger, type LogLevel, type LogRecord } from "@logtape/logtape";
import type { LogFields, Logger } from "../core/ports.ts";

/** Levels as options name them, least important first. */
export type Level = "debug" | "info" | "warn" | "error";

/** How to log. */
export interface LogOptions {
  /** Least important level that is written. */
  readonly level: Level;
  readonly format: "text" | "json";
  /** Who reads it: a file, systemd's journal, which has times and levels of its own, or a person at a terminal. */
  readonly reader?: "file" | "journal" | "terminal";
  /** Takes one line with its line end; standard error unless given. */
  readonly write?: (line: string) => void;
}

const LEVELS: readonly Level[] = ["debug", "info", "warn", "error"];
const SINK_LEVELS: Readonly<Record<Level, LogLevel>> = {
  debug: "debug",
  info: "info",
  warn: "warning",
  error: "error",
};
const CATEGORY = "meshnet";

/** Writes a line to standard error. What cannot be written is lost: a log must never stop the router. */
function toStandardError(line: string): void {
  try {
    const bytes = new TextEncoder().encode(line);
    for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
  } catch {
    // the reader is gone or its pipe is full
  }
}

function ownLevel(level: LogLevel): Level {
  return LEVELS.find((l) => SINK_LEVELS[l] === level) ?? "error";
}

/** A value that can stand after `key=` without being misread: text with spaces, quotes or control characters is quoted. */
function textValue(value: string | number | boolean): string {
  const text = String(value);
  return /^[^\s"=\p{Cc}]+$/u.test(text) ? text : JSON.stringify(text);
}

/** `2026-01-31T12:00:00.000Z INFO  event key=value`, with the line end. */
export function formatText(at: Date, level: Level, event: string, fields: LogFields): string {
  return [at.toISOString(), level.toUpperCase().padEnd(5), event, ...pairsOf(fields)].join(" ") + "\n";
}

function pairsOf(fields: LogFields): readonly string[] {
  return Object.entries(fields).flatMap(([key, value]) =>
    value === undefined ? [] : `${key}=${textValue(value)}`
  );
}

/** Priorities of the journal (sd-daemon(3)). */
const PRIORITIES: Readonly<Record<Level, number>> = { debug: 7, info: 6, warn: 4, error: 3 };
/** Colours of a terminal. */
const COLOURS: Readonly<Record<Level, string>> = {
  debug: "\x1b[2m",
  info: "",
  warn: "\x1b[33m",
  error: "\x1b[31m",
};

/** `<6>event key=value`: the journal takes the level off, and puts its own time before. */
export function formatJournal(_at: Date, level: Level, event: string, fields: LogFields): string {
  return `<${PRIORITIES[level]}>${[event, ...pairsOf(fields)].join(" ")}\n`;
}

/** As formatText(), the level in colour. */
export function formatTerminal(at: Date, level: Level, event: string, fields: LogFields): string {
  const line = formatText(at, level, event, fields);
  return COLOURS[level] === "" ? line : `${COLOURS[level]}${line.trimEnd()}\x1b[0m\n`;
}

/** One JSON object a line; fields cannot replace `time`, `level` and `event`. */
export function formatJson(at: Date, level: Level, event: string, fields: LogFields): string {
  return JSON.stringify({ ...fields, time: at.toISOString(), level, event }) + "\n";
}

function formatOf({ format, reader }: LogOptions): typeof formatText {
  if (reader === "journal") {
    return format === "text"
      ? formatJournal
      : (at, level, event, fields) => `<${PRIORITIES[level]}>${formatJson(at, level, event, fields)}`;
  }
  if (format === "json") return formatJson;
  return reader === "terminal" ? formatTerminal : formatText;
}

/** Who reads standard error. systemd says which file leads to its journal (JOURNAL_STREAM): whoever sends standard error
 * elsewhere wants it as a file. */
export function logReader(): "file" | "journal" | "terminal" {
  const stream = Deno.env.get("JOURNAL_STREAM");
  if (stream !== undefined && stream === identityOfStandardError()) return "journal";
  const colour = !Deno.env.get("NO_COLOR") && Deno.env.get("TERM") !== "dumb";
  return colour && Deno.stderr.isTerminal() ? "terminal" : "file";
}

/** Its device and inode, as JOURNAL_STREAM has them. */
function identityOfStandardError(): string | undefined {
  try {
    const { dev, ino } = Deno.statSync("/proc/self/fd/2");
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

/**
 * Sets up logging of this thread and returns its Logger; calling it again replaces the set-up. What is below the level
 * costs one comparison; values to log may still be costly, so hot paths ask nobody and log nothing.
 */
export function openLog(options: LogOptions): Logger {
  const write = options.write ?? toStandardError;
  const format = formatOf(options);
  configureSync({
    reset: true,
    sinks: {
      out: (record: LogRecord) =>
        write(
          format(
            new Date(record.timestamp),
            ownLevel(record.level),
            record.properties.event as string,
            record.properties.fields as LogFields,
          ),
        ),
    },
    loggers: [
      { category: CATEGORY, lowestLevel: SINK_LEVELS[options.level], sinks: ["out"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: [] },
    ],
  });
  const logger = getLogger(CATEGORY);
  const least = LEVELS.indexOf(options.level);
  const at = (level: Level) => (event: LogEvent, fields: LogFields = {}) => {
    if (LEVELS.indexOf(level) < least) return;
    const method = level === "warn" ? "warning" : level;
    logger[method]("{event}", { event, fields }); // the event travels as a property: text with braces stays text
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
