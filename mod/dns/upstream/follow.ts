/** An alias that leads out of the mesh: what it stands for is asked elsewhere, and put behind the alias. */
import { type DnsRecord, type DnsReply, readName } from "../../wire/dns/dns_reply.ts";
import { encodeEscaped } from "../../wire/dns/dns_text.ts";
import type { DnsQuery } from "../../wire/dns/dns_query.ts";
import { DNS_HEADER, FLAG, RECORD_TYPE } from "../../wire/dns/dns_types.ts";

/** Types whose data have no names in them, so that they mean the same in another message. */
const PLAIN: ReadonlySet<number> = new Set([RECORD_TYPE.A, RECORD_TYPE.AAAA, RECORD_TYPE.TXT]);
const IN = 1;

/** The question for what an alias stands for, and what an answer to it depends on. */
export function questionFor(
  target: Uint8Array,
  type: number,
): { readonly message: Uint8Array<ArrayBuffer>; readonly query: DnsQuery } {
  const message = new Uint8Array(DNS_HEADER + target.length + 4);
  const view = new DataView(message.buffer);
  view.setUint16(2, FLAG.RD);
  view.setUint16(4, 1);
  message.set(target, DNS_HEADER);
  const nameEnd = DNS_HEADER + target.length;
  view.setUint16(nameEnd, type);
  view.setUint16(nameEnd + 2, IN);
  const query = {
    flags: FLAG.RD,
    questions: 1,
    nameEnd,
    labels: 0,
    type,
    udpSize: undefined,
    ednsVersion: 0,
  };
  return { message, query };
}

/** The answer that ends with an alias, and behind it what the reply says, up to `limit` octets; cut off is what does not
 * fit. `bytes` is the reply as it came. */
export function joinedAnswer(
  begun: Uint8Array,
  { bytes, reply, type, limit }: {
    readonly bytes: Uint8Array;
    readonly reply: DnsReply;
    readonly type: number;
    readonly limit: number;
  },
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(limit);
  out.set(begun);
  const view = new DataView(out.buffer);
  let at = begun.length;
  let flags = view.getUint16(2) & ~FLAG.AA | reply.flags & (FLAG.TC | 15);
  for (const record of reply.answers) {
    const written = write(record, { bytes, type, out, at });
    if (written === undefined) continue;
    if (written > limit) {
      flags |= FLAG.TC;
      break;
    }
    at = written;
    view.setUint16(6, view.getUint16(6) + 1);
  }
  view.setUint16(2, flags);
  return out.subarray(0, at);
}

/** Writes a record without pointers; where it ends, which is beyond `out` if it does not fit; undefined: it is left out. */
function write(
  record: DnsRecord,
  { at, bytes, out, type }: {
    readonly bytes: Uint8Array;
    readonly type: number;
    readonly out: Uint8Array;
    readonly at: number;
  },
): number | undefined {
  const isAlias = record.type === RECORD_TYPE.CNAME;
  if (!isAlias && (record.type !== type || !PLAIN.has(type))) return undefined;
  const target = isAlias ? readName(bytes, record.dataAt) : undefined;
  if (isAlias && target === undefined) return undefined;
  const owner = encodeEscaped(record.name);
  const data = target === undefined ? record.data : encodeEscaped(target.name);
  const end = at + owner.length + 10 + data.length;
  if (end > out.length) return end;
  out.set(owner, at);
  const view = new DataView(out.buffer, out.byteOffset + at + owner.length);
  view.setUint16(0, record.type);
  view.setUint16(2, IN);
  view.setUint32(4, record.ttl);
  view.setUint16(8, data.length);
  out.set(data, end - data.length);
  return end;
}
