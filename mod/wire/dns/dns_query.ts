/** What clients ask (RFC 1035, section 4; RFC 6891). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { DNS_HEADER, RECORD_TYPE } from "./dns_types.ts";
import { MAX_LABEL, MAX_NAME_OCTETS } from "./dns_text.ts";

/** The parts of a query that an answer depends on. Its first name begins at DNS_HEADER. */
export interface DnsQuery {
  /** The second 16-bit word of the header. */
  readonly flags: number;
  /** How many questions there are; what follows is of the first one, and means nothing when there is none. */
  readonly questions: number;
  /** Where the name ends. */
  readonly nameEnd: number;
  /** How many labels the name has. */
  readonly labels: number;
  /** The type of record that is asked for. */
  readonly type: number;
  /** How long an answer over UDP may be, if the client says so (EDNS0). */
  readonly udpSize: number | undefined;
  /** Version of EDNS that the client speaks; 0 without. */
  readonly ednsVersion: number;
}

/** Reads a query of at least DNS_HEADER octets. Its name is not compressed, since there is nothing to point to. */
export function readQuery(bytes: Uint8Array): Decoded<DnsQuery> {
  const flags = u16(bytes, 2);
  const questions = u16(bytes, 4);
  const plainRecords = u16(bytes, 6) + u16(bytes, 8);
  const additional = u16(bytes, 10);
  let at = DNS_HEADER;
  let labels = 0;
  if (questions === 0) {
    return good({ flags, questions, nameEnd: at, labels, type: 0, udpSize: undefined, ednsVersion: 0 });
  }
  for (let length = -1; length !== 0; at += length + 1) {
    length = bytes[at]!;
    if (!(length <= MAX_LABEL)) return bad(`question's name is damaged at octet ${at}`);
    if (length > 0) labels++;
  }
  const nameEnd = at;
  if (nameEnd - DNS_HEADER > MAX_NAME_OCTETS) {
    return bad(`question's name has ${nameEnd - DNS_HEADER} octets`);
  }
  if (nameEnd + 4 > bytes.length) return bad("question is cut off");
  const type = u16(bytes, nameEnd);
  at += 4;
  for (let i = 1; i < questions; i++) {
    at = skipName(bytes, at) + 4;
    if (!(at <= bytes.length)) return bad(`question ${i + 1} is cut off`);
  }
  let udpSize: number | undefined;
  let ednsVersion = 0;
  for (let i = 0; i < plainRecords + additional; i++) {
    const fixed = skipName(bytes, at);
    if (!(fixed + 10 <= bytes.length)) return bad(`record ${i + 1} is cut off`);
    if (i >= plainRecords && u16(bytes, fixed) === RECORD_TYPE.OPT) {
      if (udpSize !== undefined || fixed !== at + 1) return bad("EDNS record is damaged");
      udpSize = u16(bytes, fixed + 2);
      ednsVersion = bytes[fixed + 5]!;
    }
    at = fixed + 10 + u16(bytes, fixed + 8);
    if (at > bytes.length) return bad(`data of record ${i + 1} are cut off`);
  }
  return good({ flags, questions, nameEnd, labels, type, udpSize, ednsVersion });
}

function u16(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 8 | bytes[at + 1]!;
}

/** Where a name ends, of which nobody wants to know how it goes on behind a pointer; NaN if it is damaged. */
function skipName(bytes: Uint8Array, at: number): number {
  while (at < bytes.length) {
    const length = bytes[at]!;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    if (length > MAX_LABEL) return NaN;
    at += length + 1;
  }
  return NaN;
}
