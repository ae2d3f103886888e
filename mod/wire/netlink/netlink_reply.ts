/** What answers a request: errors with their explanation, multi-part replies (include/uapi/linux/netlink.h). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import type { NetlinkAnswer, NetlinkCodec, NetlinkVerdict } from "../../core/ports.ts";
import { AttributeReader, NLM_F, NLMSG, NLMSG_HEADER, splitMessages } from "./netlink.ts";
import type { NetlinkMessage } from "./netlink.ts";

const NLMSGERR = { message: 1, offset: 2, missingType: 5, missingNest: 6 } as const;

/** A verdict with everything that the kernel tells about it. */
export interface DetailedVerdict extends NetlinkVerdict {
  /** Offset in the request of the attribute it complains about. */
  readonly offset: number | undefined;
  /** The request's payload as the kernel returned it; undefined when it was left out. */
  readonly request: NetlinkMessage | undefined;
}

/** Decodes an error (type 2) or the end of a dump (type 3), which may carry an error too. */
export function decodeVerdict(message: NetlinkMessage): Decoded<DetailedVerdict> {
  const { body, flags, type } = message;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  if (body.length < 4) {
    // The end of a dump had no error number in old kernels.
    if (type !== NLMSG.done) return bad(`error needs 4 bytes, has ${body.length}`);
    return good({ errno: 0, text: undefined, offset: undefined, missingType: undefined, request: undefined });
  }
  const errno = -view.getInt32(0, true) | 0;
  let explained = 4;
  let request: NetlinkMessage | undefined;
  if (type === NLMSG.error && body.length >= 4 + NLMSG_HEADER) {
    const whole = (flags & NLM_F.capped) === 0;
    const length = whole ? view.getUint32(4, true) : NLMSG_HEADER;
    if (length < NLMSG_HEADER || length > body.length - 4) {
      return bad(`request in error has length ${length}`);
    }
    const split = whole ? splitMessages(body.subarray(4, 4 + length)) : undefined;
    request = split?.ok ? split.value[0] : undefined;
    explained += (length + 3) & ~3;
  }
  let text: string | undefined;
  let offset: number | undefined;
  let missingType: number | undefined;
  if ((flags & NLM_F.ackTlvs) !== 0) {
    const reader = new AttributeReader(body, explained);
    while (reader.next()) {
      if (reader.type === NLMSGERR.message) text = reader.text();
      if (reader.type === NLMSGERR.offset) offset = reader.u32();
      if (reader.type === NLMSGERR.missingType) missingType = reader.u32();
    }
    if (reader.failure !== undefined) return bad(`extended acknowledgement: ${reader.failure}`);
  }
  return good({ errno, text, offset, missingType, request });
}

/** Sets length, sequence and port id of the single message in `bytes`, and asks for an acknowledgement unless
 * it is a dump. Returns whether it is a dump. */
export function completeRequest(bytes: Uint8Array<ArrayBuffer>, seq: number, pid: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags = view.getUint16(6, true);
  const dump = (flags & NLM_F.dump) === NLM_F.dump;
  view.setUint32(0, bytes.length, true);
  view.setUint16(6, flags | NLM_F.request | (dump ? 0 : NLM_F.ack), true);
  view.setUint32(8, seq, true);
  view.setUint32(12, pid, true);
  return dump;
}

/** Collects what answers one request: everything up to the acknowledgement, the error or the end of the dump.
 * Messages with another sequence number are stale or unsolicited and are left out. */
export class ReplyCollector implements NetlinkAnswer {
  readonly #seq: number;
  /** Whole reply messages, header included: copies. */
  readonly replies: Uint8Array<ArrayBuffer>[] = [];
  /** Set once the request is answered. */
  verdict: DetailedVerdict | undefined;
  /** See NetlinkAnswer. */
  interrupted = false;

  /** Collects answers to the request sent with sequence number `seq`. */
  constructor(seq: number) {
    this.#seq = seq;
  }
  /** Takes one datagram. True when the answer is complete; a reason when the bytes make no sense. */
  take(datagram: Uint8Array): Decoded<boolean> {
    const split = splitMessages(datagram);
    if (!split.ok) return split;
    for (const message of split.value) {
      if (message.seq !== this.#seq || this.verdict !== undefined) continue;
      // An error may echo a request, whose flags mean something else.
      if ((message.flags & NLM_F.dumpInterrupted) !== 0 && message.type >= NLMSG.done) {
        this.interrupted = true;
      }
      if (message.type === NLMSG.error || message.type === NLMSG.done) {
        const verdict = decodeVerdict(message);
        if (!verdict.ok) return verdict;
        this.verdict = verdict.value;
      } else if (message.type > NLMSG.overrun) {
        const { buffer, byteOffset, byteLength } = message.body;
        const start = byteOffset - NLMSG_HEADER;
        this.replies.push(new Uint8Array(buffer, start, NLMSG_HEADER + byteLength).slice());
      }
    }
    return good(this.verdict !== undefined);
  }
}

/** The codec for netlink sockets. */
export const NETLINK_CODEC: NetlinkCodec = {
  complete: (request, seq, portId) => void completeRequest(request, seq, portId),
  answerTo: (seq) => new ReplyCollector(seq),
};
