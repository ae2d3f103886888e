/** What the log says of connections: news of peers, and faults of strangers, which must not fill it. */
import type { LogEvent } from "../../core/log_events.ts";
import { formatEndpoint } from "../../core/addr.ts";
import type { Endpoint } from "../../core/addr.ts";
import type { LinkStatus } from "../../core/overlay_port.ts";
import type { Millis } from "../../core/time.ts";
import { TokenBucket } from "../../core/token_bucket.ts";
import { dialAdvice } from "../dialing/dial_advice.ts";
import type { NameNews } from "../dialing/dial_target.ts";
import type { DialFailure, RouterEffect } from "../router_types.ts";
import type { Connection, ConnectionEnd } from "./connection.ts";
import { sourceOf } from "./doorman.ts";
import { LogLimit } from "./log_limit.ts";
import { Refusals } from "./refusals.ts";

/** Lines about peers that come and go, at once, and milliseconds until one more may be written; others are debug. */
const NEWS_RATE = { burst: 400, refill: 500 } as const;

/** Writes about connections; `emit` takes the lines. Remembers who was not let in. */
export class ConnectionLog {
  readonly #faults: LogLimit;
  readonly #dials: LogLimit;
  readonly #news: TokenBucket;
  /** Who was not let in lately. */
  readonly refusals = new Refusals();

  constructor(readonly emit: (effect: RouterEffect & { readonly kind: "log" }) => void, now: Millis) {
    this.#faults = new LogLimit(now);
    this.#dials = new LogLimit(now);
    this.#news = new TokenBucket(NEWS_RATE.burst, { refill: NEWS_RATE.refill, now });
  }

  /** A connection exists, and its introduction begins. */
  opened({ origin: { outbound }, address }: Connection): void {
    this.#write("debug", outbound ? "mesh/dialed" : "mesh/accepted", { address });
  }

  /** A dial has failed; gives the reason, a sentence without full stop. */
  dialFailed(
    dial: { readonly address: Endpoint; readonly direct: boolean },
    { failure, message }: { readonly failure: DialFailure; readonly message: string },
    now: Millis,
  ): string {
    const reason = dialAdvice(dial.address, failure, message);
    const address = formatEndpoint(dial.address);
    const leftOut = dial.direct ? this.#dials.pass(address, failure, now) : undefined;
    this.#write(leftOut === undefined ? "debug" : "info", "mesh/dial-failed", { address, reason });
    return reason;
  }

  /** A name has no address, or has one again; nothing, if that is no news. */
  lookedUp(news: NameNews | undefined): void {
    if (news === undefined) return;
    const { host, reason } = news;
    if (reason === undefined) this.#write("info", "mesh/name-found", { host });
    else this.#write("warn", "mesh/name-not-found", { host, reason });
  }

  /** A peer is connected. */
  connected({ address, introduced, origin: { outbound, remote }, peer }: Connection, now: Millis): void {
    const { remote: { nickname }, encrypted } = introduced!;
    this.refusals.letIn(remote.ip, now);
    const level = this.#news.take(now) === 0 ? "info" : "debug";
    this.#write(level, "mesh/connected", { peer, address, nickname, encrypted, outbound });
  }

  /** The overlay to a peer works. */
  established({ address, peer }: Connection, now: Millis): void {
    this.#write(this.#news.take(now) === 0 ? "info" : "debug", "mesh/established", { peer, address });
  }

  /** What the overlay says of itself has changed; here, whether traffic goes another way from now on. */
  status({ address, established, peer, status: before }: Connection, now: LinkStatus, at: Millis): void {
    if (!established || before?.overlay === now.overlay || now.overlay === undefined) return;
    const level = this.#news.take(at) === 0 ? "info" : "debug";
    this.#write(level, "mesh/overlay", { peer, address, overlay: now.overlay, reason: now.why });
  }

  /** A connection has ended; `ran`: it had been added to the table. */
  ended(connection: Connection, { end, ran }: { end: ConnectionEnd; ran: boolean }, now: Millis): void {
    const { address, origin: { remote, welcome }, peer } = connection;
    const { kind = "introduction", level = ran || welcome ? "info" : "debug", reason } = end;
    if (ran) {
      return this.#write(this.#news.take(now) === 0 ? level : "debug", "mesh/disconnected", {
        peer,
        address,
        reason,
      });
    }
    this.refusals.ended(connection, end, now);
    const leftOut = level === "debug" ? undefined : this.#faults.pass(sourceOf(remote.ip), kind, now);
    this.#write(leftOut === undefined ? "debug" : level, "mesh/introduction-failed", {
      ...{ peer, address, reason },
      ...(leftOut ? { leftOut } : {}),
    });
  }

  #write(
    level: "debug" | "info" | "warn",
    event: LogEvent,
    fields: (RouterEffect & { readonly kind: "log" })["fields"],
  ): void {
    this.emit({ kind: "log", level, event, fields });
  }
}
