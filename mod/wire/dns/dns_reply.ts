/** Reads what other name servers answer: everything is bounded by the octets that are there. */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { ByteReader } from "../../core/bytes.ts";
import { DNS_HEADER } from "./dns_types.ts";
import { MAX_LABEL, MAX_NAME_OCTETS } from "./dns_text.ts";

/** One record of an answer. */
export interface DnsRecord {
  /** The owner as a whole name; what is not plain in it is written as `\DDD`. */
  readonly name: string;
  /** The type of the record. */
  readonly type: number;
  /** For how many seconds it holds. */
  readonly ttl: number;
  /** Where its data begin in the message, in which they may point to names. */
  readonly dataAt: number;
  /** The data, as a view of the message. */
  readonly data: Uint8Array;
}

/** An answer. */
export interface DnsReply {
  /** Tells it from others. */
  readonly id: number;
  /** The second 16-bit word of the header; the lowest four bits are the response code. */
  readonly flags: number;
  /** What was asked, as the server understood it. */
  readonly questions: readonly { readonly name: string; readonly type: number; readonly class: number }[];
  /** Records that answer. */
  readonly answers: readonly DnsRecord[];
  /** Records that say who would know. */
  readonly authority: readonly DnsRecord[];
  /** Other records. */
  readonly additional: readonly DnsRecord[];
}

/** Decodes a message; one that is cut off, or has names that go round in circles, is refused. */
export function decodeReply(bytes: Uint8Array): Decoded<DnsReply> {
  const reader = new ByteReader(bytes);
  const [id, flags] = [reader.u16("id"), reader.u16("flags")];
  const counts = [reader.u16(), reader.u16(), reader.u16(), reader.u16("counts")];
  const name = () => {
    const read = readName(bytes, reader.at);
    if (read === undefined) reader.fail(`name is damaged at octet ${reader.at}`);
    else reader.take(read.next - reader.at);
    return read?.name ?? ".";
  };
  const list = <T>(count: number, read: () => T): T[] => {
    const all: T[] = [];
    for (let i = 0; i < count && reader.failure === undefined; i++) all.push(read());
    return all;
  };
  const record = (): DnsRecord => {
    const owner = name();
    const type = reader.u16("type");
    reader.u16("class");
    const ttl = reader.u32("time to live");
    const length = reader.u16("length of data");
    const dataAt = reader.at;
    return { name: owner, type, ttl, dataAt, data: reader.take(length, "data") };
  };
  const questions = list(counts[0]!, () => ({
    ...{ name: name(), type: reader.u16("type"), class: reader.u16("class") },
  }));
  const [answers, authority, additional] = counts.slice(1).map((count) => list(count, record));
  if (reader.failure !== undefined) return bad(`answer is unreadable: ${reader.failure}`);
  return good({
    ...{ id, flags, questions, answers: answers!, authority: authority!, additional: additional! },
  });
}

/** A name that may be compressed, and where it ends. Pointers lead backwards only, so that they end. */
export function readName(
  bytes: Uint8Array,
  at: number,
): { readonly name: string; readonly next: number } | undefined {
  let text = "";
  let octets = 1;
  let next: number | undefined;
  let before = at;
  for (;;) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    if (length >= 0xc0) {
      if (at + 1 >= bytes.length) return undefined;
      next ??= at + 2;
      const target = (length & 0x3f) << 8 | bytes[at + 1]!;
      if (target >= before || target < DNS_HEADER) return undefined;
      before = at = target;
      continue;
    }
    if (length > MAX_LABEL || at + 1 + length > bytes.length) return undefined;
    if (length === 0) return { name: text === "" ? "." : text, next: next ?? at + 1 };
    octets += length + 1;
    if (octets > MAX_NAME_OCTETS) return undefined;
    for (let i = at + 1; i <= at + length; i++) text += plain(bytes[i]!);
    text += ".";
    at += length + 1;
  }
}

/** An octet of a label as text: with a backslash what is not plain. */
function plain(octet: number): string {
  const isPlain = octet > 0x20 && octet < 0x7f && octet !== 0x2e && octet !== 0x5c && octet !== 0x22;
  return isPlain ? String.fromCharCode(octet) : `\\${String(octet).padStart(3, "0")}`;
}
