/** What clients make of an answer: the resolvers that sort, those that do not, and those that turn the list. */
import type { ClientAddress } from "../../../mod/dns/answers/choice.ts";

/** Which target a client uses first. `turn` counts its connections. */
export type Resolver = (answers: readonly number[], turn: number) => number;

function mask(prefix: number): number {
  return prefix === 0 ? 0 : (0xffff_ffff << (32 - prefix)) >>> 0;
}

/** The address that the kernel uses towards a target: that of the most specific route, else that of the default route. */
export function sourceFor(addresses: readonly ClientAddress[], target: number): ClientAddress {
  const inSubnet = ({ addr, prefix }: ClientAddress) =>
    ((addr & mask(prefix)) >>> 0) === ((target & mask(prefix)) >>> 0);
  const routes = addresses.filter(inSubnet).sort((a, b) => b.prefix - a.prefix);
  return routes[0] ?? addresses[0]!;
}

/** glibc's rule 9 (RFC 3484): within the subnet of the source the length of the common prefix, else 0. */
function glibcKey(addresses: readonly ClientAddress[], target: number): number {
  const { addr, prefix } = sourceFor(addresses, target);
  if (((addr & mask(prefix)) >>> 0) !== ((target & mask(prefix)) >>> 0)) return 0;
  let bits = 0;
  while (bits < 32 && addr >>> (31 - bits) === target >>> (31 - bits)) bits++;
  return bits;
}

/** getaddrinfo of glibc in a namespace that has some IPv6 address: sorts, stably. */
export function glibc(addresses: readonly ClientAddress[]): Resolver {
  return (answers) => answers.toSorted((a, b) => glibcKey(addresses, b) - glibcKey(addresses, a))[0]!;
}

/** musl, Go's own resolver, c-ares, gethostbyname: the first one. */
export const unsorted: Resolver = (answers) => answers[0]!;

/** Clients that go round the list by themselves. */
export const turning: Resolver = (answers, turn) => answers[turn % answers.length]!;

/**
 * How unlikely it is that draws come from an even distribution: the sum of chi-square, and its bound, which even draws
 * exceed once in a million times (Wilson and Hilferty).
 */
export function chiSquare(counts: readonly number[]): { readonly sum: number; readonly bound: number } {
  const expected = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  const sum = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  const freedom = counts.length - 1;
  const part = 2 / (9 * freedom);
  return { sum, bound: freedom * (1 - part + 4.753 * Math.sqrt(part)) ** 3 };
}
