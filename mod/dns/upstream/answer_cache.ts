/** Answers of other servers, kept as long as they say (RFC 1035, section 7.4; RFC 2308). */
import type { Millis } from "../../core/time.ts";
import { type DnsRecord, type DnsReply, readName } from "../../wire/dns/dns_reply.ts";
import { FLAG, RCODE, RECORD_TYPE } from "../../wire/dns/dns_types.ts";

/** Most answers, and most octets of them; beyond, those that were not asked for longest make way. */
const MAX_CACHED = { answers: 4_096, octets: 2 * 1024 * 1024 } as const;
/** Longest time for which an answer is kept, whatever it says, in seconds; and one that says that there is nothing. */
const LONGEST = { answer: 3_600, nothing: 300 } as const;
/** Between an owner's name and the data: type, class, time to live, length. */
const TTL_BEFORE_DATA = 6;

interface Cached {
  readonly reply: Uint8Array<ArrayBuffer>;
  /** Where times to live are in it. */
  readonly ttlsAt: readonly number[];
  readonly since: Millis;
  readonly until: Millis;
}

/** Keys are the caller's: equal ones stand for equal questions. */
export class AnswerCache {
  /** The one that was asked for last is the last. */
  readonly #answers = new Map<string, Cached>();
  #octets = 0;

  constructor(readonly limits: { readonly answers: number; readonly octets: number } = MAX_CACHED) {}

  /** How many answers there are, those included that are too old. */
  get size(): number {
    return this.#answers.size;
  }

  /** A copy of an answer that still holds, with what is left of its time; its id and the letters of its name are the
   * caller's affair. */
  get(key: string, now: Millis): Uint8Array<ArrayBuffer> | undefined {
    const cached = this.#answers.get(key);
    if (cached === undefined) return undefined;
    this.#remove(key, cached);
    if (now >= cached.until) return undefined;
    this.#insert(key, cached);
    const reply = cached.reply.slice();
    const view = new DataView(reply.buffer);
    const age = Math.floor((now - cached.since) / 1_000);
    for (const at of cached.ttlsAt) view.setUint32(at, Math.max(0, view.getUint32(at) - age));
    return reply;
  }

  /** Keeps a copy of an answer if it may be kept. */
  put(key: string, bytes: Uint8Array, reply: DnsReply, now: Millis): void {
    const seconds = lifetimeOf(bytes, reply);
    const old = this.#answers.get(key);
    if (old !== undefined) this.#remove(key, old);
    if (seconds <= 0 || bytes.length + key.length > this.limits.octets / 16) return;
    const ttlsAt = recordsOf(reply).map(({ dataAt }) => dataAt - TTL_BEFORE_DATA);
    const until = now + seconds * 1_000 as Millis;
    this.#insert(key, { reply: bytes.slice(), ttlsAt, since: now, until });
    for (const [oldest, cached] of this.#answers) {
      if (this.#answers.size <= this.limits.answers && this.#octets <= this.limits.octets) break;
      this.#remove(oldest, cached);
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#answers.clear();
    this.#octets = 0;
  }

  #insert(key: string, cached: Cached): void {
    this.#answers.set(key, cached);
    this.#octets += key.length + cached.reply.length;
  }

  #remove(key: string, cached: Cached): void {
    if (this.#answers.delete(key)) this.#octets -= key.length + cached.reply.length;
  }
}

/** Records with a time to live. */
function recordsOf({ answers, authority, additional }: DnsReply): DnsRecord[] {
  return [...answers, ...authority, ...additional].filter(({ type }) => type !== RECORD_TYPE.OPT);
}

/** For how many seconds an answer may be kept; 0 if it may not. */
function lifetimeOf(bytes: Uint8Array, reply: DnsReply): number {
  const rcode = reply.flags & 15;
  if ((reply.flags & FLAG.TC) !== 0 || rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) return 0;
  const type = reply.questions[0]?.type;
  const isThere = rcode === RCODE.NOERROR &&
    reply.answers.some((record) => record.type === type || type === RECORD_TYPE.ANY);
  const shortest = (most: number) => recordsOf(reply).reduce((a, { ttl }) => Math.min(a, plain(ttl)), most);
  if (isThere) return shortest(LONGEST.answer);
  const authority = reply.authority.find((record) => record.type === RECORD_TYPE.SOA);
  return authority === undefined ? 0 : shortest(Math.min(LONGEST.nothing, minimumIn(bytes, authority)));
}

/** Times to live beyond 31 bits count as 0 (RFC 2181, section 8). */
function plain(ttl: number): number {
  return ttl > 0x7fff_ffff ? 0 : ttl;
}

/** The last number of an SOA record: for how long it may be kept that something is not there. */
function minimumIn(bytes: Uint8Array, { data, dataAt }: DnsRecord): number {
  const host = readName(bytes, dataAt);
  const person = host && readName(bytes, host.next);
  if (person === undefined || person.next + 20 !== dataAt + data.length) return 0;
  return plain(new DataView(bytes.buffer, bytes.byteOffset).getUint32(person.next + 16));
}
