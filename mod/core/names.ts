/** Identifiers of peers and connections (source: spec mesh.md, sections 2.5, 2.6, 6.5). */
import type { Brand } from "./brand.ts";

/** A peer's 48-bit name as canonical text, `xx:xx:xx:xx:xx:xx` in lower case. Text order is numeric order. */
export type PeerName = Brand<string, "PeerName">;
/** A peer's process incarnation: unsigned 64 bits, never 0 except for a placeholder. */
export type PeerUid = Brand<bigint, "PeerUid">;
/** XOR of both ends' connection ids: unsigned 64 bits, the same value at both ends. */
export type ConnUid = Brand<bigint, "ConnUid">;
/** A peer's 12-bit overlay id, 0..4095. */
export type ShortId = Brand<number, "ShortId">;

/** Name 0, "unknown": marks ourselves as next hop in routing tables. */
export const UNKNOWN_PEER = "00:00:00:00:00:00" as PeerName;
/** Number of short ids. */
export const SHORT_IDS = 4096;

const MAX_NAME = 0xffff_ffff_ffff;
/** Two lower-case hex digits for each octet. */
const HEX: readonly string[] = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, "0"));

/** Three octets as text. */
function hex24(n: number): string {
  return `${HEX[n >>> 16]}:${HEX[n >>> 8 & 0xff]}:${HEX[n & 0xff]}`;
}

/** The canonical name of a 48-bit integer, or undefined when it is out of range. */
export function peerNameFromNumber(value: number | bigint): PeerName | undefined {
  const n = Number(value);
  if (!Number.isInteger(n) || n < 0 || n > MAX_NAME) return undefined;
  const high = Math.floor(n / 0x100_0000);
  const low = n % 0x100_0000;
  return `${hex24(high)}:${hex24(low)}` as PeerName;
}

/** The 48-bit integer of a name. */
export function peerNameToNumber(name: PeerName): number {
  return parseInt(name.replaceAll(":", ""), 16);
}

/** Folds bytes of any length big-endian into a name; more than 48 significant bits give undefined. */
export function peerNameFromBytes(bytes: Uint8Array): PeerName | undefined {
  let number = 0;
  for (let i = 0; i < bytes.length; i++) {
    number = number * 256 + bytes[i]!;
    if (number > MAX_NAME) return undefined;
  }
  return peerNameFromNumber(number);
}

/** The six bytes of a name, most significant first. */
export function peerNameToBytes(name: PeerName): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(name.replaceAll(":", ""));
}

/** Parses text as a name: six octets of 1 or 2 hex digits, one `::` standing for missing octets.
 * Spaces before it are skipped, because other peers do so too. */
export function parsePeerName(text: string): PeerName | undefined {
  const octet = /^[0-9a-f]{1,2}$/i;
  const split = (part: string) => part === "" ? [] : part.split(":");
  const halves = text.replace(/^ +/, "").split("::");
  if (halves.length > 2) return undefined;
  const head = split(halves[0]!);
  const tail = halves.length === 2 ? split(halves[1]!) : [];
  const given = [...head, ...tail];
  if (given.length === 0 || !given.every((o) => octet.test(o))) return undefined;
  if (halves.length === 1 ? given.length !== 6 : given.length > 5) return undefined;
  const zeros = Array<string>(6 - given.length).fill("0");
  return [...head, ...zeros, ...tail].map((o) => o.toLowerCase().padStart(2, "0")).join(":") as PeerName;
}

const U64 = (1n << 64n) - 1n;

/** Parses a decimal unsigned 64-bit integer (spec mesh.md 2.5: UID, ConnID). */
export function parseU64(text: string): bigint | undefined {
  if (!/^\+?[0-9]{1,20}$/.test(text)) return undefined;
  const value = BigInt(text.replace("+", ""));
  return value <= U64 ? value : undefined;
}

/** A number as short id, or undefined outside 0..4095. */
export function toShortId(value: number): ShortId | undefined {
  return Number.isInteger(value) && value >= 0 && value < SHORT_IDS ? value as ShortId : undefined;
}
