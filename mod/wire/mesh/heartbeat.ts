/** The frame that tests a tunnel (source: spec dataplane.md 2.7): full-size, so that it proves the path's MTU too. */
import { bad, type Decoded, good } from "../../core/brand.ts";
import type { ConnUid } from "../../core/names.ts";
import { ETHERNET_HEADER } from "../packet/ethernet.ts";

/** Header, connection id, length. */
const SHORTEST = 24;
/** The same with a promise. The original has zeros there, and does not look at them. */
const WITH_PROMISE = 26;
/** And another, about full-size ones, in those. */
const WITH_BOTH = 28;
/** Largest length the length field can say. */
const LONGEST = 65_535;

/** What VXLAN adds to an inner IP packet: Ethernet 14, VXLAN 8, UDP 8, and IPv4 20 or IPv6 40. */
export function vxlanOverhead({ ipv6 }: { readonly ipv6: boolean }): number {
  return ipv6 ? 70 : 50;
}

/** A heartbeat for a datapath of this MTU. */
export function encodeHeartbeat(connUid: ConnUid, mtu: number): Uint8Array<ArrayBuffer> {
  const length = Math.min(Math.max(ETHERNET_HEADER + mtu, SHORTEST), LONGEST);
  const frame = new Uint8Array(length);
  const view = new DataView(frame.buffer);
  view.setBigUint64(14, connUid);
  view.setUint16(22, length);
  return frame;
}

/** The smallest heartbeat: it says that we are there, and nothing about the path's MTU. */
export function encodeSmallHeartbeat(connUid: ConnUid): Uint8Array<ArrayBuffer> {
  return encodeHeartbeat(connUid, WITH_PROMISE - ETHERNET_HEADER);
}

/** Writes into a full-size heartbeat that the next of full size comes within so many milliseconds. */
export function setFullPromise(frame: Uint8Array<ArrayBuffer>, withinMs: number): void {
  if (frame.length >= WITH_BOTH) new DataView(frame.buffer).setUint16(WITH_PROMISE, withinMs);
}

/** What a full-size heartbeat promises of the next one of full size; 0: nothing. */
export function fullPromiseOf(frame: Uint8Array): number {
  return frame.length < WITH_BOTH ? 0 : (frame[WITH_PROMISE]! << 8) | frame[WITH_PROMISE + 1]!;
}

/** Writes into a heartbeat that the next one comes within so many milliseconds; 0 promises nothing. */
export function setPromise(frame: Uint8Array<ArrayBuffer>, withinMs: number): void {
  if (frame.length >= WITH_PROMISE) new DataView(frame.buffer).setUint16(SHORTEST, withinMs);
}

/** What a heartbeat promises, see setPromise(); old peers promise nothing. */
export function promiseOf(frame: Uint8Array): number {
  return frame.length < WITH_PROMISE ? 0 : (frame[SHORTEST]! << 8) | frame[SHORTEST + 1]!;
}

/** Whether a heartbeat is larger than the smallest one, and so says something about the path. */
export function isFullSize(frame: Uint8Array): boolean {
  return frame.length > WITH_PROMISE;
}

/** Whether a frame is special: whole header, both MACs zero. */
export function isSpecial(frame: Uint8Array): boolean {
  if (frame.length < ETHERNET_HEADER) return false;
  for (let i = 0; i < 12; i++) if (frame[i] !== 0) return false;
  return true;
}

/** The connection a heartbeat belongs to; damaged or cut ones are refused. */
export function decodeHeartbeat(frame: Uint8Array): Decoded<ConnUid> {
  if (frame.length < SHORTEST) return bad(`heartbeat needs ${SHORTEST} bytes, has ${frame.length}`);
  if (!isSpecial(frame)) return bad("heartbeat has MAC addresses");
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const length = view.getUint16(22);
  if (length !== frame.length) return bad(`heartbeat says ${length} bytes, has ${frame.length}`);
  return good(view.getBigUint64(14) as ConnUid);
}
