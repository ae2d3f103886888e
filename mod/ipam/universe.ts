/** The range that all peers share out, and its addresses as numbers. */
import { bad, type Decoded, good } from "../core/brand.ts";
import { type Cidr, formatCidr, type Ip, ipFromBytes, ipToBytes, ipv4Number, isIpv4 } from "../core/addr.ts";

/**
 * An address inside: how far it is from the first address of the universe. Sums and differences of these are what
 * this folder is made of, so they are plain numbers, exact up to 2^53, whether the address has 32 bits or 128.
 */
export type Offset = number;

/** Addresses from `start` to before `end`; may reach beyond the universe where a person named it. */
export interface Span {
  /** The first one. */
  readonly start: Offset;
  /** The one after the last. */
  readonly end: Offset;
}

/** Smallest subnet that addresses are allocated in. */
const MIN_SUBNET = 4;
/** Bits of an offset that may vary: a universe has at most this many. */
const MAX_BITS = 48;

/** A range of which every peer must have the same. IPv4 has a form on the wire; IPv6 is ready inside alone. */
export class Universe {
  readonly #v4: number;
  readonly #v6: bigint;
  /** How many addresses there are. */
  readonly size: number;

  private constructor(readonly cidr: Cidr) {
    const ipv4 = isIpv4(cidr.ip);
    this.#v4 = ipv4 ? ipv4Number(cidr.ip) : 0;
    this.#v6 = ipv4 ? 0n : bigOf(cidr.ip);
    this.size = 2 ** ((ipv4 ? 32 : 128) - cidr.prefix);
  }

  /** The universe of a subnet, or why it cannot be one. */
  static of(cidr: Cidr): Decoded<Universe> {
    const wrong = subnetFault(cidr);
    if (wrong !== undefined) return bad(wrong.why);
    const bits = (isIpv4(cidr.ip) ? 32 : 128) - cidr.prefix;
    if (bits > MAX_BITS) {
      return bad(`range ${formatCidr(cidr)} is too large, at most /${128 - MAX_BITS} works`);
    }
    const universe = new Universe(cidr);
    if (isIpv4(cidr.ip) && universe.#v4 + universe.size > 0xffff_ffff) {
      return bad(`range ${formatCidr(cidr)} reaches 255.255.255.255, which no peer can express`);
    }
    return good(universe);
  }

  /** First address as it is on the wire. */
  get wireStart(): number {
    return this.#v4;
  }

  /** The whole universe. */
  get span(): Span {
    return { start: 0, end: this.size };
  }

  /** Where an address is; undefined outside. */
  offsetOf(ip: Ip): Offset | undefined {
    if (isIpv4(ip) !== isIpv4(this.cidr.ip)) return undefined;
    const offset = isIpv4(ip) ? ipv4Number(ip) - this.#v4 : Number(bigOf(ip) - this.#v6);
    return offset >= 0 && offset < this.size ? offset : undefined;
  }

  /** The address of an offset. */
  ipAt(offset: Offset): Ip {
    return isIpv4(this.cidr.ip) ? ipv4Text(this.#v4 + offset) : ipv6Text(this.#v6 + BigInt(offset));
  }

  /** Where a subnet is, which may lie outside or reach beyond; undefined for the other family. */
  spanOf(cidr: Cidr): Span | undefined {
    if (isIpv4(cidr.ip) !== isIpv4(this.cidr.ip)) return undefined;
    if (isIpv4(cidr.ip)) {
      const start = ipv4Number(cidr.ip) - this.#v4;
      return { start, end: start + 2 ** (32 - cidr.prefix) };
    }
    const start = bigOf(cidr.ip) - this.#v6;
    const clip = (at: bigint) =>
      Number(at < -1n ? -1n : at > BigInt(this.size) ? BigInt(this.size) + 1n : at);
    return { start: clip(start), end: clip(start + (1n << BigInt(128 - cidr.prefix))) };
  }

  /** A span for people: as CIDR where it is one, else `first-last`. */
  spanText(span: Span): string {
    if (isIpv4(this.cidr.ip)) return rangeText(this.#v4 + span.start, this.#v4 + span.end);
    return `${this.ipAt(span.start)}-${this.ipAt(span.end - 1)}`;
  }
}

/** Why something cannot be a subnet, and what to give instead. */
export interface SubnetFault {
  /** A clause: what is wrong. */
  readonly why: string;
  /** A sentence. */
  readonly fix: string;
}

/** Why addresses cannot be allocated in a subnet; undefined when they can. */
export function subnetFault(cidr: Cidr): SubnetFault | undefined {
  const bits = (isIpv4(cidr.ip) ? 32 : 128) - cidr.prefix;
  if (2 ** bits < MIN_SUBNET) {
    const least = bits + cidr.prefix - Math.log2(MIN_SUBNET);
    return {
      why: `it has fewer than ${MIN_SUBNET} addresses`,
      fix: `Give a prefix length of at most ${least}`,
    };
  }
  const first = firstIn(cidr);
  if (first === cidr.ip) return undefined;
  return {
    why: `the subnet of that length begins at ${first}`,
    fix: `Give ${formatCidr({ ip: first, prefix: cidr.prefix })}`,
  };
}

/** The address with which a network begins. */
function firstIn({ ip, prefix }: Cidr): Ip {
  const bytes = ipToBytes(ip);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = bytes[i]! & 0xff << 8 - Math.min(8, Math.max(0, prefix - i * 8));
  }
  return ipFromBytes(bytes)!;
}

/** A range of 32-bit addresses: a CIDR if it is one, else `first-last`. */
export function rangeText(start: number, end: number): string {
  const size = end - start;
  const bits = Math.log2(size);
  if (Number.isInteger(bits) && start % size === 0) return `${ipv4Text(start)}/${32 - bits}`;
  return `${ipv4Text(start)}-${ipv4Text(end - 1)}`;
}

/** A 32-bit address as text; one that is out of bounds counts on from the other end. */
export function ipv4Text(value: number): Ip {
  return `${value >>> 24}.${value >>> 16 & 0xff}.${value >>> 8 & 0xff}.${value & 0xff}` as Ip;
}

/** How many addresses there are in a span. */
export function spanSize({ start, end }: Span): number {
  return end - start;
}

/** What both cover; undefined when nothing. */
export function commonSpan(a: Span, b: Span): Span | undefined {
  const start = Math.max(a.start, b.start);
  const end = Math.min(a.end, b.end);
  return start < end ? { start, end } : undefined;
}

/** Sorted spans with those that touch or overlap made one. */
export function joined(spans: readonly Span[]): Span[] {
  const out: { start: Offset; end: Offset }[] = [];
  for (const { start, end } of spans.toSorted((a, b) => a.start - b.start)) {
    const last = out.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else if (end > start) out.push({ start, end });
  }
  return out;
}

/** The largest span of a power of two addresses, aligned to its size, within a span (spec ipam.md 3). */
export function largestAligned({ start, end }: Span, base = 0): Span {
  const size = end - start;
  const power = 2 ** Math.floor(Math.log2(size));
  const first = Math.ceil((base + start) / power) * power - base;
  if (first + power <= end) return { start: first, end: first + power };
  const half = power / 2;
  const rest = (base + start) % power;
  const at = rest <= half ? base + start - rest + half : base + start - rest + power;
  return { start: at - base, end: at - base + half };
}

function bigOf(ip: Ip): bigint {
  return ipToBytes(ip).reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);
}

function ipv6Text(value: bigint): Ip {
  return ipFromBytes(Uint8Array.fromHex(value.toString(16).padStart(32, "0")))!;
}
