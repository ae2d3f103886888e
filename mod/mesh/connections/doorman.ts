/** Who may connect to this host, and who must leave when there are too many: each source has a share. */
import { type Ip, ipToBytes, isIpv4 } from "../../core/addr.ts";
import { toHex } from "../../core/bytes.ts";
import type { Millis } from "../../core/time.ts";
import { TokenBucket } from "../../core/token_bucket.ts";
import type { Connection } from "./connection.ts";

/** Connections of one source that may be in their introduction at the same time. */
export const PER_SOURCE = 16;
/** Connections of all strangers that may be, and of all friends. */
export const MAX_WAITING = { stranger: 128, friend: 256 } as const;
/** Connections of one source, and of all strangers, that may come at once, and milliseconds until one more may. */
export const SOURCE_RATE = { burst: 32, refill: 50 } as const;
/** See SOURCE_RATE. */
export const STRANGER_RATE = { burst: 128, refill: 20 } as const;
/** Connections of strangers of one network, of which somebody may have all addresses: it leaves others a fifth. */
export const NETWORK_RATE = { burst: 96, refill: 25 } as const;
/** Sources that are remembered, and networks. One that is forgotten begins anew; STRANGER_RATE bounds what that is good for. */
export const MAX_SOURCES = 4_096;
const MAX_FRIENDS = 1_024;

interface Source {
  readonly rate: TokenBucket;
  /** Its connections that are being introduced, oldest first. */
  readonly greeting: Set<Connection>;
  kind: "stranger" | "friend";
}

/** What shares something with others: an IPv4 address, or the /64 network of an IPv6 address, which one host can have
 * for itself. */
export function sourceOf(ip: Ip): string {
  return isIpv4(ip) ? ip : `${toHex(ipToBytes(ip).subarray(0, 8))}/64`;
}

/** The network of an address: what one customer of a provider may have, /24 of IPv4 and /48 of IPv6. */
export function neighbourhoodOf(ip: Ip): string {
  return isIpv4(ip) ? `${ip.slice(0, ip.lastIndexOf("."))}/24` : `${toHex(ipToBytes(ip).subarray(0, 6))}/48`;
}

/**
 * Counts accepted connections until their introduction is over. Friends are the addresses of given targets and of peers
 * that were introduced before: strangers take nothing from them.
 */
export class Doorman {
  readonly #sources = new Map<string, Source>();
  readonly #strangers: TokenBucket;
  readonly #networks = new Map<string, TokenBucket>();
  readonly #friends = new Set<string>();
  /** Connections that are being introduced. */
  readonly #waiting = { stranger: 0, friend: 0 };
  /** Connections that were not let in. */
  turnedAway = 0;

  constructor(now: Millis) {
    this.#strangers = new TokenBucket(STRANGER_RATE.burst, { refill: STRANGER_RATE.refill, now });
  }

  /** A peer was introduced at this address: it will be let in again. */
  befriend(ip: Ip): void {
    const source = sourceOf(ip);
    this.#friends.delete(source);
    this.#friends.add(source);
    if (this.#friends.size > MAX_FRIENDS) this.#friends.delete(this.#friends.values().next().value!);
  }

  /** Whether a connection of this address may come in now. `given`: it is that of a target. */
  mayEnter(ip: Ip, given: boolean, now: Millis): boolean {
    const key = sourceOf(ip);
    const source = this.#source(key, now);
    this.#become(source, given || this.#friends.has(key) ? "friend" : "stranger");
    const enters = source.rate.take(now) === 0 &&
      (source.kind === "friend" ||
        this.#network(neighbourhoodOf(ip), now).take(now) === 0 && this.#strangers.take(now) === 0);
    if (!enters) this.turnedAway++;
    return enters;
  }

  /** A connection was let in and begins its introduction; gives the one that must leave for it, if one must: the
   * oldest of the source that has most. */
  begin(connection: Connection, now: Millis): Connection | undefined {
    const source = this.#source(sourceOf(connection.origin.remote.ip), now);
    const { kind, greeting } = source;
    const crowded = greeting.size >= PER_SOURCE ? source : undefined;
    const greediest = this.#waiting[kind] >= MAX_WAITING[kind] ? this.#greediest(kind) : undefined;
    const victim = first((crowded ?? greediest)?.greeting);
    greeting.add(connection);
    this.#waiting[kind]++;
    return victim;
  }

  /** A connection has been introduced, or has ended. Harmless for others. */
  over(connection: Connection): void {
    const source = this.#sources.get(sourceOf(connection.origin.remote.ip));
    if (source?.greeting.delete(connection)) this.#waiting[source.kind]--;
  }

  #become(source: Source, kind: Source["kind"]): void {
    this.#waiting[source.kind] -= source.greeting.size;
    this.#waiting[kind] += source.greeting.size;
    source.kind = kind;
  }

  #source(key: string, now: Millis): Source {
    const { burst, refill } = SOURCE_RATE;
    const known: Source = this.#sources.get(key) ??
      { rate: new TokenBucket(burst, { refill, now }), greeting: new Set(), kind: "stranger" };
    this.#sources.delete(key); // the table is in order of use
    this.#sources.set(key, known);
    if (this.#sources.size > MAX_SOURCES) this.#forget();
    return known;
  }

  #network(key: string, now: Millis): TokenBucket {
    const { burst, refill } = NETWORK_RATE;
    const known = this.#networks.get(key) ?? new TokenBucket(burst, { refill, now });
    this.#networks.delete(key); // in order of use, too
    this.#networks.set(key, known);
    if (this.#networks.size > MAX_SOURCES) this.#networks.delete(this.#networks.keys().next().value!);
    return known;
  }

  /** Forgets the source that was quiet for longest. */
  #forget(): void {
    for (const [key, { greeting }] of this.#sources) {
      if (greeting.size === 0) return void this.#sources.delete(key);
    }
  }

  /** The source of its kind with most connections, and among equals the one that was quiet for longest. */
  #greediest(kind: Source["kind"]): Source | undefined {
    let most: Source | undefined;
    for (const source of this.#sources.values()) {
      if (source.kind === kind && source.greeting.size > (most?.greeting.size ?? 0)) most = source;
    }
    return most;
  }
}

function first(connections: ReadonlySet<Connection> | undefined): Connection | undefined {
  return connections?.values().next().value;
}
