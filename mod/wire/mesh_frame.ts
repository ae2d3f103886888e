/** Gossip frames (source: spec mesh.md, section 4.4). */
import { bad, type Decoded, good } from "../core/brand.ts";
import { ByteWriter } from "../core/bytes.ts";
import { type PeerName, peerNameFromNumber, peerNameToNumber } from "../core/names.ts";
import { GobDecoder } from "./gob_decode.ts";
import { GobEncoder } from "./gob_encode.ts";
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

/** The message of a frame, tag byte included. */
export function encodeGossipFrame(frame: GossipFrame): Uint8Array<ArrayBuffer> {
  const gob = new GobEncoder();
  const name = (peer: PeerName) => gob.encode(BigInt(peerNameToNumber(peer)), "uint");
  const out = new ByteWriter(64 + frame.channel.length + frame.payload.length);
  out.u8(TAG_BYTE[frame.tag]).bytes(gob.encode(frame.channel, "string")).bytes(name(frame.source));
  if (frame.tag === "unicast") out.bytes(name(frame.destination));
  return out.bytes(gob.encode(frame.payload, "bytes")).finish();
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
