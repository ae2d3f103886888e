/** The frame by which a loop is found: sent out of one port, it must not come back. */
import { BROADCAST, type Mac, macAt, macToBytes } from "../../core/addr.ts";
import { ByteWriter } from "../../core/bytes.ts";

/** EtherType for local experiments (IEEE 802). */
const ETHERTYPE_LOCAL = 0x88b5;
const MAGIC = new TextEncoder().encode("meshnet loop");
/** Numbers of probes are below this; a probe bears its own in its source address, so no other flow is about it. */
export const PROBE_NUMBERS: number = 2 ** 40;
/** First octet of source addresses: locally administered, no group. */
const SOURCE = 0x0e * PROBE_NUMBERS;
const HEADER = 14;
const LENGTH = 60;

/** The probe of a number, which nobody can guess who has not seen it. */
export function encodeLoopProbe(number: number): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(LENGTH).bytes(macToBytes(BROADCAST));
  writer.bytes(macToBytes(SOURCE + number as Mac)).u16(ETHERTYPE_LOCAL).bytes(MAGIC);
  return writer.bytes(new Uint8Array(LENGTH - HEADER - MAGIC.length)).finish();
}

/** The number of the probe at `at`; undefined: the frame is none. */
export function loopProbeAt(bytes: Uint8Array, at: number, end: number): number | undefined {
  if (end - at < HEADER + MAGIC.length) return undefined;
  if (bytes[at + 12] !== ETHERTYPE_LOCAL >> 8 || bytes[at + 13] !== (ETHERTYPE_LOCAL & 255)) return undefined;
  for (let i = 0; i < MAGIC.length; i++) if (bytes[at + HEADER + i] !== MAGIC[i]) return undefined;
  const number = macAt(bytes, at + 6) - SOURCE;
  return number >= 0 && number < PROBE_NUMBERS ? number : undefined;
}
