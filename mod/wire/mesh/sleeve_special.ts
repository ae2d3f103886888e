/** Sleeve's own frames: no MAC addresses, no type; they test the path (source: spec dataplane.md 5.5). */
import type { ConnUid } from "../../core/names.ts";
import type { Decoded } from "../../core/brand.ts";
import { bad, good } from "../../core/brand.ts";
import { ETHERNET_HEADER } from "../packet/ethernet.ts";

/** Octets of a heartbeat: header and connection id. */
export const SLEEVE_HEARTBEAT = 22;
/** Octets of a beat. Peers that do not know beats take it for a probe, of a size that nobody uses. */
export const SLEEVE_BEAT = 26;
/** What the octet behind the connection id says. */
const BEAT = { answer: 0, ask: 1, verified: 2 } as const;
/** Octets of a fragmentation test. */
export const FRAG_TEST = 60_001;
/** Octets of a frame that is too big for the path on purpose: the kernel refuses it and says what would fit. */
export const MTU_KICK = 60_000;

/** Control messages of sleeve (spec dataplane.md 1.2). */
export const SLEEVE_CONTROL = { established: 1, fragmentsArrive: 2, mtuVerified: 3 } as const;

/** Control messages between ends that both understand beats: do you get anything from me (with the number of a beat);
 * yes, I do. */
export const SLEEVE_BEAT_CONTROL = { check: 4, heard: 5 } as const;

/** What a special frame is. */
export type SpecialFrame =
  /** The connection is alive. */
  | { readonly kind: "heartbeat"; readonly connUid: ConnUid }
  /** The connection is alive; `ask`: answer with the same number, else: it is the answer. */
  | { readonly kind: "beat"; readonly connUid: ConnUid; readonly ask: boolean; readonly seq: number }
  /** Inner packets of this size have arrived, as control 3 says it, for when the control connection is stuck. */
  | { readonly kind: "mtu-verified"; readonly connUid: ConnUid; readonly mtu: number }
  /** Fragments of a large packet arrive. */
  | { readonly kind: "frag-test" }
  /** Inner packets of this size arrive. */
  | { readonly kind: "mtu-probe"; readonly mtu: number };

/** Whether `[from, to)` is a special frame: a whole header, and nothing in it. */
export function isSpecialFrame(bytes: Uint8Array, from: number, to: number): boolean {
  return to - from >= ETHERNET_HEADER && isZero(bytes, from, from + ETHERNET_HEADER);
}

/** What the special frame in `[from, to)` says. */
export function decodeSpecial(bytes: Uint8Array, from: number, to: number): Decoded<SpecialFrame> {
  if (!isSpecialFrame(bytes, from, to)) return bad("frame is not a special one");
  const length = to - from;
  if (length === SLEEVE_HEARTBEAT) return good({ kind: "heartbeat", connUid: readUid(bytes, from) });
  if (length === SLEEVE_BEAT) {
    const at = from + SLEEVE_HEARTBEAT;
    const number = bytes[at + 2]! << 8 | bytes[at + 3]!;
    const connUid = readUid(bytes, from);
    if (bytes[at] === BEAT.verified) return good({ kind: "mtu-verified", connUid, mtu: number });
    return good({ kind: "beat", connUid, ask: bytes[at] === BEAT.ask, seq: number });
  }
  if (length !== FRAG_TEST) return good({ kind: "mtu-probe", mtu: length - ETHERNET_HEADER });
  return isZero(bytes, from, to) ? good({ kind: "frag-test" }) : bad("fragmentation test is not all zeros");
}

/** Whether a special frame says that the connection is alive. */
export function isBeat({ kind }: SpecialFrame): boolean {
  return kind === "heartbeat" || kind === "beat";
}

/** Octets of a special frame. */
export function specialLength(frame: SpecialFrame): number {
  switch (frame.kind) {
    case "heartbeat":
      return SLEEVE_HEARTBEAT;
    case "beat":
    case "mtu-verified":
      return SLEEVE_BEAT;
    case "frag-test":
      return FRAG_TEST;
    case "mtu-probe":
      return frame.mtu + ETHERNET_HEADER;
  }
}

/** Writes a special frame at `at`, where specialLength() octets must be free. */
export function writeSpecial(bytes: Uint8Array, at: number, frame: SpecialFrame): void {
  bytes.fill(0, at, at + specialLength(frame));
  if (frame.kind === "frag-test" || frame.kind === "mtu-probe") return;
  if (frame.kind !== "heartbeat") {
    const isBeat = frame.kind === "beat";
    const number = isBeat ? frame.seq : frame.mtu;
    bytes[at + SLEEVE_HEARTBEAT] = isBeat ? frame.ask ? BEAT.ask : BEAT.answer : BEAT.verified;
    bytes[at + SLEEVE_HEARTBEAT + 2] = number >>> 8;
    bytes[at + SLEEVE_HEARTBEAT + 3] = number;
  }
  let left: bigint = frame.connUid;
  for (let i = at + SLEEVE_HEARTBEAT - 1; left > 0n; i--, left >>= 8n) bytes[i] = Number(left & 0xffn);
}

/** Payload of the control message "inner packets of this size arrive". */
export function encodeVerifiedMtu(mtu: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(mtu >>> 8, mtu);
}

/** The size that such a payload says; longer ones are read as far as they are known. */
export function decodeVerifiedMtu(payload: Uint8Array): Decoded<number> {
  if (payload.length < 2) return bad(`verified MTU needs 2 bytes, has ${payload.length}`);
  return good(payload[0]! << 8 | payload[1]!);
}

function readUid(bytes: Uint8Array, from: number): ConnUid {
  let connUid = 0n;
  for (let at = from + ETHERNET_HEADER; at < from + SLEEVE_HEARTBEAT; at++) {
    connUid = connUid << 8n | BigInt(bytes[at]!);
  }
  return connUid as ConnUid;
}

function isZero(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] !== 0) return false;
  return true;
}
