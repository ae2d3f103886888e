/** Writes what clients are answered, straight into a buffer that is used again and again. */
import type { DnsQuery } from "./dns_query.ts";
import { DNS_HEADER, FLAG, RCODE, RECORD_TYPE } from "./dns_types.ts";

/** Octets of a record besides its owner's name and its data. */
const RECORD = 10;
/** Class IN. */
const IN = 1;

/** One answer at a time: `begin`, records, `finish`. Names are not compressed, as in the original's answers. */
export class AnswerWriter {
  #out: Uint8Array = new Uint8Array(0);
  #query: DnsQuery | undefined;
  #at = 0;
  #answers = 0;

  /** Begins with the header and the first question of a query. `out` has room for these, 271 octets. */
  begin(bytes: Uint8Array, query: DnsQuery, out: Uint8Array): void {
    this.#out = out;
    this.#query = query;
    this.#answers = 0;
    const end = query.questions === 0 ? DNS_HEADER : query.nameEnd + 4;
    for (let i = 0; i < end; i++) out[i] = bytes[i]!;
    this.#at = end;
  }

  /** How many records of `owner`, or of the question's name, with `data` octets of data fit, up to `limit` octets of
   * answer. */
  room(data: number, limit: number, owner?: Uint8Array): number {
    const each = this.#ownerOctets(owner) + RECORD + data;
    return Math.max(0, Math.floor((Math.min(limit, this.#out.length) - this.#at) / each));
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
    if (this.#at + this.#ownerOctets(owner) + RECORD + data.length > Math.min(limit, this.#out.length)) {
      return false;
    }
    const at = this.#head(owner, type, ttl, data.length);
    this.#out.set(data, at);
    this.#at = at + data.length;
    return true;
  }

  /** Fills in the header; the result is the length of the answer. */
  finish(rcode: number, cut = false): number {
    const { flags, questions } = this.#query!;
    const isKnown = rcode === RCODE.NOERROR;
    this.#header(
      flags & (FLAG.OPCODE | FLAG.RD) | FLAG.QR | (isKnown ? FLAG.AA : 0) | (cut ? FLAG.TC : 0) |
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
      udpSize: 0,
    }, out);
    return this.finish(rcode);
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
    out[8] =
      out[9] =
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
