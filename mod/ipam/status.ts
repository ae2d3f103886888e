/** How address allocation is doing, for those who ask. */
import { type Cidr, formatCidr, type Ip } from "../core/addr.ts";
import type { PeerName } from "../core/names.ts";
import type { IpamRefusal } from "./allocator_types.ts";
import { ASIDE } from "./owned.ts";
import type { Parts } from "./parts.ts";
import { distance } from "./ring.ts";
import type { Waiting } from "./requests.ts";
import type { OpenTakeover } from "./takeover.ts";

/** What one peer owns. */
export interface OwnerStatus {
  /** Who. */
  readonly peer: PeerName;
  /** Its nickname, or nothing. */
  readonly nickname: string;
  /** Whether it is this host, or the mesh reaches it. */
  readonly reachable: boolean;
  /** Addresses. */
  readonly size: number;
  /** How many of them are free, as it last said. */
  readonly free: number;
  /** Of all addresses. */
  readonly percent: number;
}

/** A range of the ring. */
export interface EntryStatus {
  /** Its first address. */
  readonly token: Ip;
  /** Addresses. */
  readonly size: number;
  /** Whose it is. */
  readonly peer: PeerName;
  /** The owner's nickname, or nothing. */
  readonly nickname: string;
  /** Whether it is this host, or the mesh reaches the owner. */
  readonly isKnownPeer: boolean;
  /** Of what the owner says of it. */
  readonly version: number;
}

/** A snapshot. */
export interface AllocatorStatus {
  /** What goes on: `blocked` means that nothing is handed out, and `trouble` says why. */
  readonly state:
    | "idle"
    | "awaiting-consensus"
    | "priming"
    | "waiting"
    | "all-unreachable"
    | "ready"
    | "blocked";
  /** Why nothing is handed out. */
  readonly trouble: IpamRefusal | undefined;
  /** The election, while there is one. */
  readonly election: { readonly quorum: number; readonly known: number } | undefined;
  /** The universe. */
  readonly range: Cidr;
  /** Addresses of the universe. */
  readonly rangeSize: number;
  /** Addresses of ours that are in use. */
  readonly active: number;
  /** By share, the largest first. */
  readonly owners: readonly OwnerStatus[];
  /** Peers that are known, with their nicknames. */
  readonly nicknames: readonly { readonly name: PeerName; readonly nickname: string }[];
  /** In order of token. */
  readonly entries: readonly EntryStatus[];
  /** Who waits for an address. */
  readonly pendingAllocates: readonly { readonly ident: string; readonly subnet: string }[];
  /** Who waits for a certain address. */
  readonly pendingClaims: readonly { readonly ident: string; readonly address: string }[];
  /** Who is gone for good, and why nobody has taken over yet. */
  readonly takeovers: readonly OpenTakeover[];
  /** Who holds which addresses. */
  readonly held: readonly { readonly ident: string; readonly cidrs: readonly Cidr[] }[];
  /** Addresses that nobody gets for a while, since somebody uses them who did not ask for them. */
  readonly aside: readonly Cidr[];
}

/** A snapshot of an allocator. */
export function statusOf(
  parts: Parts,
  waiting: Iterable<Waiting>,
  takeovers: readonly OpenTakeover[],
): AllocatorStatus {
  const { ring, universe, nicknames, self, space, owned, election } = parts;
  const nicknameOf = (peer: PeerName) => nicknames.get(peer) ?? "";
  const known = (peer: PeerName) => peer === self || parts.reaches(peer);
  const all = [...waiting];
  parts.report();
  return {
    state: stateOf(parts, all),
    trouble: parts.blocked(),
    election: ring.isEmpty && election !== undefined
      ? { quorum: election.quorum, known: election.known.size }
      : undefined,
    range: universe.cidr,
    rangeSize: universe.size,
    active: space.used.size,
    owners: ring.shares().sort((a, b) => b.size - a.size).map(({ owner, size, free }) => ({
      ...{ peer: owner, nickname: nicknameOf(owner), reachable: known(owner), size, free },
      percent: 100 * size / universe.size,
    })),
    nicknames: [...nicknames].map(([name, nickname]) => ({ name, nickname })),
    entries: ring.entries.map(({ token, owner, version }, index) => ({
      token: universe.ipAt(token),
      size: distance(token, ring.entries[(index + 1) % ring.entries.length]!.token, universe.size),
      ...{ peer: owner, nickname: nicknameOf(owner), isKnownPeer: known(owner), version },
    })),
    pendingAllocates: all.flatMap((request) =>
      request.kind === "allocate"
        ? [{ ident: request.event.ident, subnet: formatCidr(request.event.subnet) }]
        : []
    ),
    pendingClaims: all.flatMap((request) =>
      request.kind === "claim"
        ? [{ ident: request.event.ident, address: formatCidr(request.event.cidr) }]
        : []
    ),
    takeovers,
    held: [...owned.all].flatMap(([ident, { cidrs }]) => ident === ASIDE ? [] : [{ ident, cidrs }]),
    aside: owned.of(ASIDE),
  };
}

function stateOf(parts: Parts, waiting: readonly Waiting[]): AllocatorStatus["state"] {
  const { ring, self, awaiting, election } = parts;
  if (parts.blocked() !== undefined) return "blocked";
  if (ring.isEmpty) return !awaiting ? "idle" : election === undefined ? "priming" : "awaiting-consensus";
  if (ring.owners().every((owner) => owner !== self && !parts.reaches(owner))) return "all-unreachable";
  return waiting.some(({ kind }) => kind === "allocate") ? "waiting" : "ready";
}
