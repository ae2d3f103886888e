/** The last things that happened to this host's network, kept over restarts: made of the log's events. */
import type { LogEvent } from "../core/log_events.ts";
import type { HistoryReport, LostReport } from "../control/history_types.ts";
import { messageOf } from "../core/errors.ts";
import type { LogFields, Logger, Store } from "../core/ports.ts";
import type { Millis } from "../core/time.ts";
import { TokenBucket } from "../core/token_bucket.ts";

/** Keys of the store. */
const PREFIX = "history/";
/** Entries that are kept. */
export const MAX_HISTORY = 256;
/** What comes within this time is written at once, in milliseconds. */
export const WRITE_MS = 1_000;
/** Entries that may come at once, and milliseconds until one more may: a link that flaps all day costs little. */
const RATE = { burst: 64, refill: 5_000 } as const;
/** A peer that left longer ago is not among the lost ones, in milliseconds. */
const LOST_MS = 3_600_000;
/** Most of a text that somebody else may have chosen. */
const MAX_TEXT = 400;

/** Events of the log that count, and what they are called here. */
const EVENTS: Readonly<Record<string, HistoryReport["event"]>> = {
  "running": "started",
  "stopping": "stopped",
  "stopping after a failure": "failed",
  "mesh/connected": "connected",
  "mesh/established": "established",
  "mesh/overlay": "overlay",
  "mesh/disconnected": "disconnected",
  "attached": "attached",
  "detached": "detached",
  "target answers": "healthy",
  "target does not answer": "unhealthy",
};

/** What a history needs. */
export interface HistoryParts {
  readonly store: Store;
  /** Says that it cannot be written. */
  readonly logger: Pick<Logger, "warn">;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds that nobody sets back. */
  readonly elapsed: () => number;
  /** Runs something after so many milliseconds; gives what prevents that. */
  readonly later: (run: () => void, ms: number) => () => void;
}

/** Remembers, and writes a little later. Disposing it writes what is left. */
export class History implements Disposable {
  readonly #parts: HistoryParts;
  readonly #rate: TokenBucket;
  /** Oldest first. */
  #entries: HistoryReport[] = [];
  /** How many of the last ones are not written yet. */
  #unwritten = 0;
  /** Number of the next entry; undefined: what is stored was not read yet. */
  #next: number | undefined;
  /** Keys in the store, oldest first. */
  #stored: string[] = [];
  #leftOut = 0;
  #failed = false;
  #ended = false;
  #cancel: (() => void) | undefined;

  constructor(parts: HistoryParts) {
    this.#parts = parts;
    this.#rate = new TokenBucket(RATE.burst, { refill: RATE.refill, now: parts.elapsed() as Millis });
  }

  /** Takes an event of the log; most are none of a history. */
  note(event: string, fields: LogFields): void {
    const kind = Object.hasOwn(EVENTS, event) ? EVENTS[event] : undefined;
    if (kind === undefined || this.#ended) return;
    const now = this.#parts.now();
    if (this.#rate.take(this.#parts.elapsed() as Millis) > 0) {
      this.#leftOut++;
      return;
    }
    const text = (value: LogFields[string]) => value === undefined ? null : String(value).slice(0, MAX_TEXT);
    const { address, by, container, nickname, overlay, peer, reason, target } = fields;
    this.#entries.push({
      at: new Date(now).toISOString(),
      event: kind,
      ...{
        peer: text(peer),
        nickname: text(nickname) ?? this.#nicknameOf(peer),
        target: text(target ?? container),
      },
      ...{
        address: text(address),
        overlay: text(overlay),
        reason: text(reason ?? by),
        leftOut: this.#leftOut,
      },
    });
    this.#leftOut = 0;
    this.#unwritten = Math.min(this.#unwritten + 1, MAX_HISTORY);
    this.#entries.splice(0, this.#entries.length - MAX_HISTORY);
    this.#cancel ??= this.#parts.later(() => this.#write(), WRITE_MS);
  }

  /** Everything that is known, oldest first. */
  list(): readonly HistoryReport[] {
    this.#read();
    return this.#entries;
  }

  /** Peers that were here within the last hour, and are not connected, the latest first. */
  lost(connected: ReadonlySet<string>): readonly LostReport[] {
    const now = this.#parts.now();
    const latestFirst = this.#entries.filter(({ peer }) => peer !== null).reverse();
    const byPeer = Map.groupBy(latestFirst, ({ peer }) => peer!);
    return [...byPeer.values()].map(([last]) => last!).filter(({ at, event, peer }) =>
      event === "disconnected" && !connected.has(peer!) && now - Date.parse(at) < LOST_MS
    ).map(({ address, at, nickname, peer, reason }) => ({
      ...{ peer: peer!, nickname, address: address ?? "", reason: reason ?? "" },
      agoMs: Math.max(0, now - Date.parse(at)),
    }));
  }

  /** What a host was called last. */
  wasCalled(peer: string): string | undefined {
    this.#read();
    return this.#nicknameOf(peer) ?? undefined;
  }

  /** Writes what is not written yet. What is noted later is lost. */
  [Symbol.dispose](): void {
    this.#ended = true;
    this.#cancel?.();
    if (this.#unwritten > 0) this.#write();
  }

  #nicknameOf(peer: LogFields[string]): string | null {
    return this.#entries.findLast((entry) => entry.peer === peer && entry.nickname !== null)?.nickname ??
      null;
  }

  /** Nothing is read before it is needed: a start shall not wait for it. */
  #read(): void {
    if (this.#next !== undefined) return;
    const old = this.#parts.store.list(PREFIX);
    this.#stored = old.map(([key]) => key);
    this.#next = Number(this.#stored.at(-1)?.slice(PREFIX.length) ?? -1) + 1;
    const entries = old.flatMap(([, value]) => parseEntry(value));
    const ended = entries.at(-1);
    const first = this.#entries[0];
    const abrupt = first?.event === "started" && ended !== undefined && !isEnd(ended);
    const reason = "the run before ended without a word: it was killed, or the host went down";
    if (abrupt) this.#entries[0] = { ...first, reason };
    this.#entries = [...entries, ...this.#entries].slice(-MAX_HISTORY);
  }

  #write(): void {
    this.#cancel = undefined;
    try {
      this.#read();
      const fresh = this.#entries.slice(-this.#unwritten);
      const keys = fresh.map((_, i) => PREFIX + String(this.#next! + i).padStart(12, "0"));
      const gone = this.#stored.slice(0, Math.max(0, this.#stored.length + keys.length - MAX_HISTORY));
      this.#parts.store.putAll([
        ...gone.map((key) => [key, undefined] as const),
        ...fresh.map((entry, i) => [keys[i]!, JSON.stringify(entry)] as const),
      ]);
      this.#stored = [...this.#stored.slice(gone.length), ...keys];
      this.#next! += keys.length;
      this.#unwritten = 0;
      this.#failed = false;
    } catch (error) { // tried again with the next entry
      if (!this.#failed) this.#parts.logger.warn("history not remembered", { reason: messageOf(error) });
      this.#failed = true;
    }
  }
}

/** What a store says that happened, oldest first. */
export function storedHistory(store: Pick<Store, "list">): readonly HistoryReport[] {
  return store.list(PREFIX).flatMap(([, value]) => parseEntry(value));
}

/** Passes everything on, and notes it. */
export function noting(logger: Logger, note: (event: LogEvent, fields: LogFields) => void): Logger {
  const at = (level: keyof Logger) => (event: LogEvent, fields: LogFields = {}) => {
    logger[level](event, fields);
    note(event, fields);
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function isEnd({ event }: HistoryReport): boolean {
  return event === "stopped" || event === "failed";
}

/** An entry of a later release may have more; one that is none is left out. */
function parseEntry(text: string): readonly HistoryReport[] {
  try {
    const entry = JSON.parse(text) as HistoryReport;
    return typeof entry.at === "string" && typeof entry.event === "string" ? [entry] : [];
  } catch {
    return [];
  }
}
