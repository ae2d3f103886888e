/** Keys of one sealed link of the fast path: how both directions come to have an association (source: spec
 * dataplane.md 4.3). Pure: keys, nonces and numbers are made by the shell. */
import type { PeerName } from "../../core/names.ts";
import type { LinkId } from "../../core/overlay_port.ts";
import { after, type Millis } from "../../core/time.ts";
import { decodeEspInit, encodeEspInit, type EspInit } from "../../wire/mesh/esp_init.ts";
import { type EspPath, type EspSa, type LinkXfrmNews, saKey } from "../ports/esp_port.ts";
import type { ForwarderEvent } from "./forwarder.ts";

/** Control tag: this is how to send to me. */
export const FASTDP_INIT_SA = 1;
/** Control tag: my association to you is lost, make a new one. Sent to peers that replace keys. */
export const FASTDP_RENEW_SA = 3;
/** Age at which keys are replaced, where both ends can. */
export const REKEY_MS = 8 * 3_600_000;
/** An old association towards us is kept so long after the new one. */
export const OLD_SA_MS = 60_000;
/** Keys are changed at most so often, ours and the peer's: each takes work of the kernel. */
export const LEAST_ROUND_MS = 1_000;

/** What a session is made of. */
export interface EspSessionOptions {
  readonly link: LinkId;
  readonly path: EspPath;
  readonly peer: PeerName;
  readonly sessionKey: Uint8Array;
  /** Whether both ends replace keys. */
  readonly rekey: boolean;
}

/**
 *     idle --confirm--> receive asked --answer: tell the peer--> has inbound
 *     the peer's message --> send asked --answer--> has outbound; both: ready
 */
export class EspSession {
  #round = 0;
  #sendRound = 0;
  #sentAt = -Infinity;
  #askedAt = -Infinity;
  /** An association towards us is being made. */
  #asked = false;
  #failure: string | undefined;
  #inbound: number | undefined;
  #outbound: number | undefined;
  /** Being made. */
  #nextOutbound: number | undefined;
  #old: { readonly spi: number; readonly until: Millis } | undefined;
  #rekeyAt = Infinity;
  /** What the peer said too early. */
  #later: EspInit | undefined;
  /** What of it was followed last. */
  #followed: EspInit | undefined;

  constructor(readonly options: EspSessionOptions) {}

  /** Whether both directions have an association. */
  get ready(): boolean {
    return this.#inbound !== undefined && this.#outbound !== undefined && this.#failure === undefined;
  }
  /** Whether what comes from the peer has been sealed. */
  get listening(): boolean {
    return this.#inbound !== undefined && this.#failure === undefined;
  }
  /** Why it came to nothing, a sentence without full stop. */
  get failure(): string | undefined {
    return this.#failure;
  }
  /** Number of the association to the peer. */
  get outbound(): number | undefined {
    return this.#outbound;
  }

  /** All associations of this session, those being made included. */
  sas(): readonly EspSa[] {
    const { local, remote } = this.options.path;
    const inbound = [this.#inbound, this.#old?.spi].filter((spi) => spi !== undefined);
    const outbound = [this.#outbound, this.#nextOutbound].filter((spi) => spi !== undefined);
    return [
      ...inbound.map((spi) => ({ src: remote, dst: local, spi })),
      ...outbound.map((spi) => ({ src: local, dst: remote, spi })),
    ];
  }

  /** Whether this is its association towards us. */
  owns({ dst, spi, src }: EspSa): boolean {
    const { local, remote } = this.options.path;
    return spi === this.#inbound && src === remote && dst === local;
  }

  /** Why it is not ready; undefined: it is. */
  why(): string | undefined {
    if (this.#failure !== undefined) return this.#failure;
    if (this.ready) return undefined;
    return this.#inbound === undefined
      ? "encryption is being set up"
      : "waiting for the peer to set up encryption";
  }

  /** The mesh keeps the connection. */
  confirm(now: Millis): readonly ForwarderEvent[] {
    return this.#round > 0 ? [] : this.#receive(now);
  }

  #receive(now: Millis): readonly ForwarderEvent[] {
    this.#asked = true;
    this.#askedAt = now;
    const { link, path, sessionKey } = this.options;
    const effect = { kind: "xfrm", do: "receive", link, round: ++this.#round, path, sessionKey } as const;
    return [{ kind: "xfrm", effect }];
  }

  /** Replaces the key towards us, now or as soon as that is allowed. Does nothing if the peer cannot follow. */
  renew(now: Millis): readonly ForwarderEvent[] {
    if (!this.options.rekey || this.#failure !== undefined || this.#asked || this.#round === 0) return [];
    const due = this.#askedAt + LEAST_ROUND_MS;
    if (now >= due) return this.#receive(now);
    this.#rekeyAt = Math.min(this.#rekeyAt, due);
    return [];
  }

  /** The peer says how to send to it. */
  init(payload: Uint8Array, now: Millis): readonly ForwarderEvent[] {
    if (this.#failure !== undefined) return [];
    const decoded = decodeEspInit(payload);
    if (!decoded.ok) {
      this.#failure ??= `the peer's message about encryption makes no sense: ${decoded.reason}`;
      return [];
    }
    const told = decoded.value;
    const followed = this.#followed;
    if (followed !== undefined) {
      // The same nonce again would be the same key, and its counter would begin anew.
      const repeated = told.nonce.every((octet, i) => octet === followed.nonce[i]);
      if (!this.options.rekey || told.spi === followed.spi || repeated) return [];
    }
    this.#later = told;
    return this.#follow(now);
  }

  /** Follows what the peer said last, if it is time. */
  #follow(now: Millis): readonly ForwarderEvent[] {
    if (this.#later === undefined || this.#nextOutbound !== undefined) return [];
    if (now < this.#followAt()) return [];
    const { nonce, spi } = this.#later;
    this.#followed = this.#later;
    this.#later = undefined;
    this.#sentAt = now;
    this.#nextOutbound = spi;
    const { link, path, peer, sessionKey } = this.options;
    const round = ++this.#sendRound;
    const effect = {
      ...{ kind: "xfrm", do: "send" } as const,
      ...{ link, round, path, spi, nonce, peer, sessionKey },
    };
    return [{ kind: "xfrm", effect }];
  }

  #followAt(): number {
    return this.#later === undefined || this.#nextOutbound !== undefined
      ? Infinity
      : this.#sentAt + LEAST_ROUND_MS;
  }

  /** These associations are in the kernel. What is missing of ours is made anew; where the peer cannot follow, the
   * result says why the connection has to end. */
  present(keys: ReadonlySet<string>, now: Millis): readonly ForwarderEvent[] | string {
    const { local, remote } = this.options.path;
    const gone = (src: EspSa["src"], dst: EspSa["dst"], spi: number | undefined) =>
      spi !== undefined && !keys.has(saKey({ src, dst, spi }));
    if (gone(remote, local, this.#old?.spi)) this.#old = undefined;
    const [inbound, outbound] = [gone(remote, local, this.#inbound), gone(local, remote, this.#outbound)];
    if (this.#failure !== undefined || !inbound && !outbound) return [];
    if (!this.options.rekey) return "another program has removed the keys of this connection from the kernel";
    if (inbound) this.#inbound = undefined;
    const events = inbound ? [...this.renew(now)] : [];
    if (outbound) events.push({ kind: "control", tag: FASTDP_RENEW_SA, payload: new Uint8Array(0) });
    if (outbound) this.#outbound = undefined;
    return events;
  }

  /** The path cannot be guarded, or anything else stands in the way. */
  fail(reason: string): void {
    this.#failure ??= reason;
  }

  /** The kernel answers. */
  news(news: LinkXfrmNews, now: Millis): readonly ForwarderEvent[] {
    switch (news.kind) {
      case "xfrm-receiving":
        return news.round === this.#round ? this.#receiving(news, now) : [];
      case "xfrm-sending":
        return news.round === this.#sendRound ? this.#sending() : [];
      case "xfrm-failed":
        // A new key that cannot be had leaves the old one in use.
        if (!this.ready) this.#failure ??= news.reason;
        if (news.of === "receive") this.#asked = false;
        else this.#nextOutbound = undefined;
        return [];
    }
  }

  #receiving(
    { spi, nonce }: { readonly spi: number; readonly nonce: Uint8Array },
    now: Millis,
  ): readonly ForwarderEvent[] {
    const { rekey } = this.options;
    this.#asked = false;
    const older = this.#old?.spi;
    if (this.#inbound !== undefined) this.#old = { spi: this.#inbound, until: after(now, OLD_SA_MS) };
    this.#inbound = spi;
    this.#rekeyAt = rekey ? now + REKEY_MS : Infinity;
    const told = { kind: "control", tag: FASTDP_INIT_SA, payload: encodeEspInit({ nonce, spi }) } as const;
    return older === undefined ? [told] : [told, this.#forgetInbound(older)];
  }

  #sending(): readonly ForwarderEvent[] {
    const old = this.#outbound;
    this.#outbound = this.#nextOutbound;
    this.#nextOutbound = undefined;
    if (old === undefined) return [];
    const { local, remote } = this.options.path;
    const sa = { src: local, dst: remote, spi: old };
    return [{ kind: "xfrm", effect: { kind: "xfrm", do: "forget", sa } }];
  }

  /** Time has passed. */
  wake(now: Millis): readonly ForwarderEvent[] {
    const events: ForwarderEvent[] = [];
    if (this.#old !== undefined && now >= this.#old.until) {
      events.push(this.#forgetInbound(this.#old.spi));
      this.#old = undefined;
    }
    if (now >= this.#rekeyAt) {
      this.#rekeyAt = now + REKEY_MS;
      if (!this.#asked) events.push(...this.#receive(now));
    }
    events.push(...this.#follow(now));
    return events;
  }

  /** Earliest time at which wake() may do something. */
  nextWake(): number {
    return Math.min(this.#rekeyAt, this.#followAt(), this.#old?.until ?? Infinity);
  }

  #forgetInbound(spi: number): ForwarderEvent {
    const { local, remote } = this.options.path;
    return { kind: "xfrm", effect: { kind: "xfrm", do: "forget", sa: { src: remote, dst: local, spi } } };
  }
}
