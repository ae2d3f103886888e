/** Numbers of the DNS, and what the data of records looks like (RFC 1035, 2782, 3596, 6891). */
import { MAX_LABEL, MAX_NAME_OCTETS } from "./dns_text.ts";

/** Types of records, as far as we know them. */
export const RECORD_TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  ANY: 255,
  /** Ours, from the range for private use: in which order a name's addresses are answered. Never on a DNS port. */
  ORDER: 65_280,
} as const;

/** Response codes. */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

/** Flags of a message's header, the second 16-bit word. */
export const FLAG = { QR: 0x8000, OPCODE: 0x7800, AA: 0x0400, TC: 0x0200, RD: 0x0100, RA: 0x0080 } as const;

/** Octets of a message's header. */
export const DNS_HEADER = 12;

/** Where the name behind `at` ends if it is whole, not compressed and within bounds; else -1. */
function plainNameEnd(bytes: Uint8Array, at: number): number {
  for (let next = at; next < bytes.length;) {
    const length = bytes[next]!;
    next += length + 1;
    if (length > MAX_LABEL || next - at > MAX_NAME_OCTETS) return -1;
    if (length === 0) return next;
  }
  return -1;
}

/** Whether these are the data of a record that names may have beside addresses: AAAA, SRV, CNAME, and our ORDER. */
export function isRecordData(type: number, data: Uint8Array): boolean {
  switch (type) {
    case RECORD_TYPE.AAAA:
      return data.length === 16;
    case RECORD_TYPE.CNAME:
      return plainNameEnd(data, 0) === data.length;
    case RECORD_TYPE.SRV:
      return data.length > 6 && plainNameEnd(data, 6) === data.length;
    case RECORD_TYPE.ORDER:
      return data.length === 1 && data[0]! >= 1 && data[0]! <= 3;
    default:
      return false;
  }
}
