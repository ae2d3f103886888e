/** Gossip frames (source: spec mesh.md, section 4.4). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { ByteWriter } from "../../core/bytes.ts";
import { type PeerName, peerNameFromNumber, peerNameToNumber } from "../../core/names.ts";
import { GobDecoder } from "./gob_decode.ts";
import { writeUint } from "./gob_types.ts";
import { TAG } from "./mesh_tag.ts";

/** One gossip message of a channel. `payload` is opaque here and a view into the decoded message. */
export type GossipFrame =
  /** `source` of a gossip is the immediate sender, of a broadcast the originator. */
  | {
    readonly tag: "gossip" | "broadcast";
    readonly channel: string;
    readonly source: PeerName;
    readonly payload: Uint8Array;
  }
  /** Relays pass the message on byte for byte. */
  | {
    readonly tag: "unicast";
    readonly channel: string;
    readonly source: PeerName;
    readonly destination: PeerName;
    readonly payload: Uint8Array;
  };

const TAG_BYTE = { gossip: TAG.gossip, unicast: TAG.gossipUnicast, broadcast: TAG.gossipBroadcast } as const;

const BASIC = { uint: 3, bytes: 5, string: 6 } as const;
const utf8 = new TextEncoder();

/**
 * The message of a frame, tag byte included. Its gob stream has basic types alone, so it is written in place: large
 * payloads are copied once.
 */
export function encodeGossipFrame(frame: GossipFrame): Uint8Array<ArrayBuffer> {
  const channel = utf8.encode(frame.channel);
  const out = new ByteWriter(64 + channel.length + frame.payload.length);
  out.u8(TAG_BYTE[frame.tag]);
  writeBytes(out, BASIC.string, channel);
  writeName(out, frame.source);
  if (frame.tag === "unicast") writeName(out, frame.destination);
  writeBytes(out, BASIC.bytes, frame.payload);
  return out.view();
}

/** One gob message: length, type (an int: twice the id), no struct, then length and content. */
function writeBytes(out: ByteWriter, type: number, content: Uint8Array): void {
  writeUint(out, BigInt(2 + uintSize(content.length) + content.length));
  out.u8(type * 2).u8(0);
  writeUint(out, BigInt(content.length));
  out.bytes(content);
}

function writeName(out: ByteWriter, peer: PeerName): void {
  const number = peerNameToNumber(peer);
  writeUint(out, BigInt(2 + uintSize(number)));
  out.u8(BASIC.uint * 2).u8(0);
  writeUint(out, BigInt(number));
}

/** Bytes of an unsigned number (spec mesh.md 3.1). */
function uintSize(value: number): number {
  let size = 1;
  if (value >= 0x80) { for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) size++; }
  return size;
}

/** Decodes a message with tag 4, 5 or 6. What follows the last value is ignored, as other peers do. */
export function decodeGossipFrame(message: Uint8Array): Decoded<GossipFrame> {
  const byte = message[0];
  const tag = byte === TAG.gossip
    ? "gossip"
    : byte === TAG.gossipUnicast
    ? "unicast"
    : byte === TAG.gossipBroadcast
    ? "broadcast"
    : undefined;
  if (tag === undefined) return bad(`gossip frame has tag ${byte}, expected 4, 5 or 6`);
  const gob = new GobDecoder(message.subarray(1));
  const channel = gob.next("string");
  if (!channel.ok) return bad(`channel of a gossip frame: ${channel.reason}`);
  const source = nextName(gob, "source");
  if (!source.ok) return source;
  const destination = tag === "unicast" ? nextName(gob, "destination") : undefined;
  if (destination?.ok === false) return destination;
  const payload = gob.next("bytes");
  if (!payload.ok) return bad(`payload of a gossip frame: ${payload.reason}`);
  const common = { channel: channel.value, source: source.value, payload: payload.value };
  if (tag !== "unicast") return good({ tag, ...common });
  return good({ tag, ...common, destination: destination!.value });
}

function nextName(gob: GobDecoder, what: string): Decoded<PeerName> {
  const number = gob.next("uint");
  if (!number.ok) return bad(`${what} of a gossip frame: ${number.reason}`);
  const name = peerNameFromNumber(number.value);
  return name === undefined ? bad(`${what} of a gossip frame is no peer name: ${number.value}`) : good(name);
}
