/** Writes what clients are answered, straight into a buffer that is used again and again. */
import type { DnsQuery } from "./dns_query.ts";
import { DNS_HEADER, FLAG, RECORD_TYPE } from "./dns_types.ts";

/** Octets of a record besides its owner's name and its data. */
const RECORD = 10;
/** Class IN. */
const IN = 1;

/** What answers to clients with EDNS end with: version 0, and how long a question over UDP may be (RFC 6891, 6.1). */
const OPT = Uint8Array.of(0, 0, RECORD_TYPE.OPT, 0x10, 0, 0, 0, 0, 0, 0, 0);
/** Where the upper bits of the response code are in it. */
const UPPER_RCODE = 5;

/** Octets that EDNS adds to an answer. */
export const OPT_OCTETS: number = OPT.length;

/** Puts an EDNS record behind a whole answer that has none; there is room from `length` on. The result is its length. */
export function appendOpt(out: Uint8Array, length: number, upperRcode = 0): number {
  out.set(OPT, length);
  out[length + UPPER_RCODE] = upperRcode;
  out[11] = 1;
  return length + OPT.length;
}

/** One answer at a time: `begin`, records, `finish`. Names are not compressed, as in the original's answers. */
export class AnswerWriter {
  #out: Uint8Array = new Uint8Array(0);
  #query: DnsQuery | undefined;
  #at = 0;
  #answers = 0;
  #authorities = 0;
  readonly #edns: boolean;
  /** What the answer under way needs for EDNS. */
  #octetsOfOpt = 0;

  /** `edns`: whether EDNS is answered with EDNS. */
  constructor({ edns }: { readonly edns: boolean }) {
    this.#edns = edns;
  }

  /** Begins with the header and the first question of a query. `out` has room for these, 271 octets. */
  begin(bytes: Uint8Array, query: DnsQuery, out: Uint8Array): void {
    this.#out = out;
    this.#query = query;
    this.#answers = this.#authorities = 0;
    this.#octetsOfOpt = this.#edns && query.udpSize !== undefined ? OPT_OCTETS : 0;
    const end = query.questions === 0 ? DNS_HEADER : query.nameEnd + 4;
    for (let i = 0; i < end; i++) out[i] = bytes[i]!;
    this.#at = end;
  }

  /** How many records of `owner`, or of the question's name, with `data` octets of data fit, up to `limit` octets of
   * answer. */
  room(data: number, limit: number, owner?: Uint8Array): number {
    const each = this.#ownerOctets(owner) + RECORD + data;
    return Math.max(0, Math.floor((this.#end(limit) - this.#at) / each));
  }

  /** Appends an address of `owner`, or of the question's name; there is room. */
  address(addr: number, ttl: number, owner?: Uint8Array): void {
    const out = this.#out;
    let at = this.#head(owner, RECORD_TYPE.A, ttl, 4);
    out[at++] = addr >>> 24;
    out[at++] = addr >>> 16;
    out[at++] = addr >>> 8;
    out[at++] = addr;
    this.#at = at;
  }

  /** Appends a record of `owner`, or of the question's name; false when there is no room up to `limit`. */
  record(owner: Uint8Array | undefined, type: number, ttl: number, data: Uint8Array, limit: number): boolean {
    if (this.#at + this.#ownerOctets(owner) + RECORD + data.length > this.#end(limit)) {
      return false;
    }
    const at = this.#head(owner, type, ttl, data.length);
    this.#out.set(data, at);
    this.#at = at + data.length;
    return true;
  }

  /** Appends the SOA record of the domain that begins at `at`, in the question's name, behind all others, if there is room
   * up to `limit`. All names in it are that domain, by pointers. It answers the question, or says who is responsible. */
  soa(at: number, { isAnswer, limit, times }: {
    readonly isAnswer: boolean;
    readonly limit: number;
    /** Serial, refresh, retry, expire, minimum. */
    readonly times: readonly number[];
  }): void {
    const pointer = Uint8Array.of(0xc0 | at >> 8, at);
    const data = new Uint8Array(2 * pointer.length + 4 * times.length);
    data.set(pointer);
    data.set(pointer, pointer.length);
    const view = new DataView(data.buffer, 2 * pointer.length);
    times.forEach((value, i) => view.setUint32(4 * i, value));
    if (!this.record(pointer, RECORD_TYPE.SOA, 0, data, limit) || isAnswer) return;
    this.#answers--;
    this.#authorities++;
  }

  /** Fills in the header, with these marks (AA, TC), and answers EDNS with EDNS; the result is the length of the answer.
   * Of a response code beyond 15 the upper bits go there. */
  finish(rcode: number, marks: number): number {
    const length = this.finishPart(rcode & 15, marks);
    return this.#octetsOfOpt === 0 ? length : appendOpt(this.#out, length, rcode >> 4);
  }

  /** The same for an answer to which more is added: without EDNS. */
  finishPart(rcode: number, marks: number): number {
    const { flags, questions } = this.#query!;
    this.#header(
      flags & (FLAG.OPCODE | FLAG.RD) | FLAG.QR | marks |
        (questions > 0 ? FLAG.RA : 0) | rcode,
      questions === 0 ? 0 : 1,
    );
    return this.#at;
  }

  /** An answer to a message of which no more than the header makes sense. */
  refuse(bytes: Uint8Array, rcode: number, out: Uint8Array): number {
    this.begin(bytes, {
      flags: bytes[2]! << 8 | bytes[3]!,
      questions: 0,
      nameEnd: 0,
      labels: 0,
      type: 0,
      udpSize: undefined,
      ednsVersion: 0,
    }, out);
    return this.finish(rcode, 0);
  }

  /** Where records end at the latest. */
  #end(limit: number): number {
    return Math.min(limit, this.#out.length) - this.#octetsOfOpt;
  }

  #ownerOctets(owner: Uint8Array | undefined): number {
    return owner?.length ?? this.#query!.nameEnd - DNS_HEADER;
  }

  #header(flags: number, questions: number): void {
    const out = this.#out;
    out[2] = flags >>> 8;
    out[3] = flags;
    out[4] = 0;
    out[5] = questions;
    out[6] = this.#answers >>> 8;
    out[7] = this.#answers;
    out[8] = 0;
    out[9] = this.#authorities;
    out[10] =
      out[11] =
        0;
  }

  #head(owner: Uint8Array | undefined, type: number, ttl: number, length: number): number {
    const out = this.#out;
    let at = this.#at;
    if (owner === undefined) {
      const { nameEnd } = this.#query!;
      for (let i = DNS_HEADER; i < nameEnd; i++) out[at++] = out[i]!;
    } else {
      out.set(owner, at);
      at += owner.length;
    }
    out[at++] = type >>> 8;
    out[at++] = type;
    out[at++] = 0;
    out[at++] = IN;
    out[at++] = ttl >>> 24;
    out[at++] = ttl >>> 16;
    out[at++] = ttl >>> 8;
    out[at++] = ttl;
    out[at++] = length >>> 8;
    out[at++] = length;
    this.#answers++;
    return at;
  }
}
