/** Messages from one peer to another about addresses (source: spec ipam.md, section 4.2). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { concatBytes } from "../../core/bytes.ts";
import { GobDecoder, GobEncoder, type GobType } from "../mesh/gob.ts";
import { decodeIpamState, encodeIpamState } from "./ipam_state.ts";
import type { IpamMessage, IpamRange } from "./ipam_types.ts";

/** First byte. Never send another one: peers of other makes would stall on it. */
const TYPE = { request: 0, update: 1, denied: 2 } as const;
const RANGE = {
  kind: "struct",
  name: "Range",
  fields: [["Start", "uint"], ["End", "uint"]],
} as const satisfies GobType;

/** The type byte and one gob stream. */
export function encodeIpamMessage(message: IpamMessage): Uint8Array<ArrayBuffer> {
  const body = message.kind === "update" ? encodeIpamState(message.state) : encodeRange(message.range);
  return concatBytes(Uint8Array.of(TYPE[message.kind]), body);
}

function encodeRange({ start, end }: IpamRange): Uint8Array<ArrayBuffer> {
  return new GobEncoder().encode({ Start: BigInt(start), End: BigInt(end) }, RANGE);
}

/** Decodes a message; undefined for one of a type that we do not know. */
export function decodeIpamMessage(bytes: Uint8Array): Decoded<IpamMessage | undefined> {
  const body = bytes.subarray(1);
  switch (bytes[0]) {
    case undefined:
      return bad("message about addresses is empty");
    case TYPE.update: {
      const state = decodeIpamState(body);
      return state.ok ? good({ kind: "update", state: state.value }) : state;
    }
    case TYPE.request:
    case TYPE.denied: {
      const range = decodeRange(body);
      if (!range.ok) return range;
      return good({ kind: bytes[0] === TYPE.request ? "request" : "denied", range: range.value });
    }
    default:
      return good(undefined);
  }
}

function decodeRange(bytes: Uint8Array): Decoded<IpamRange> {
  const gob = new GobDecoder(bytes).next(RANGE);
  if (!gob.ok) return bad(`range of addresses is unreadable: ${gob.reason}`);
  const { Start, End } = gob.value;
  if (End > 0xffff_ffffn || Start >= End) return bad(`range of addresses is ${Start} to ${End}`);
  return good({ start: Number(Start), end: Number(End) });
}
