/** What people are told. */
import { type Cidr, formatCidr, type Ip } from "../core/addr.ts";
import type { PeerName } from "../core/names.ts";
import type { IpamRefusal } from "./allocator_types.ts";
import type { Ring } from "./ring.ts";
import { commonSpan, type Span, spanSize, type SubnetFault, type Universe } from "./universe.ts";

/** Most peers that one sentence names. */
const MAX_NAMED = 8;

/** What sentences about peers and ranges need. */
export interface Facts {
  /** The range of all addresses. */
  readonly universe: Universe;
  /** Who owns what. */
  readonly ring: Ring;
  /** Nicknames, as far as they are known. */
  readonly nicknames: ReadonlyMap<PeerName, string>;
  /** Whether the mesh reaches a peer. */
  readonly reaches: (peer: PeerName) => boolean;
}

/** `nickname (name)`, or the name alone. */
export function peerText(peer: PeerName, nicknames: ReadonlyMap<PeerName, string>): string {
  const nickname = nicknames.get(peer);
  return nickname === undefined || nickname === "" ? peer : `${nickname} (${peer})`;
}

/** Some peers with their names: a nickname may be that of two. */
function peersText(peers: readonly PeerName[], nicknames: ReadonlyMap<PeerName, string>): string {
  const more = peers.length - MAX_NAMED;
  const named = peers.slice(0, MAX_NAMED).map((peer) => peerText(peer, nicknames));
  return named.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** A ring, as far as people are told of it. */
interface ToldRing {
  readonly seeds: readonly PeerName[];
  readonly entries: readonly { readonly owner: PeerName; readonly free: number }[];
}

/** Two rings were begun by different peers: that of fewer hosts is to be given up, else the one with more free addresses. */
export function differentSeeds(
  theirs: ToldRing,
  ours: ToldRing,
  { nicknames, self }: { readonly nicknames: ReadonlyMap<PeerName, string>; readonly self: PeerName },
): string {
  const list = (peers: readonly PeerName[]) => peers.map((peer) => peerText(peer, nicknames)).join(", ");
  const [received, mine] = [list(theirs.seeds), list(ours.seeds)];
  const free = ({ entries }: ToldRing) => entries.reduce((sum, one) => sum + one.free, 0);
  const ownersOf = ({ entries }: ToldRing) => [...new Set(entries.map(({ owner }) => owner))].sort();
  const rank = (ring: ToldRing) => [ownersOf(ring).length, -free(ring)] as const;
  const [[a, x], [b, y]] = [rank(theirs), rank(ours)];
  const isTheirs = a !== b ? a < b : x !== y ? x < y : `${theirs.seeds}` > `${ours.seeds}`;
  const owners = ownersOf(isTheirs ? theirs : ours);
  const who = owners.length === 1 && owners[0] === self
    ? `this host, ${peerText(self, nicknames)}`
    : peersText(owners, nicknames);
  return `IP allocation was seeded by different peers (received: [${received}], ours: [${mine}]), to join the two run ` +
    `"meshnet reset" on ${who}, and start ${owners.length === 1 ? "it" : "them"} again`;
}

/** Two peers were started with different ranges. */
export function differentRanges(theirs: string, ours: string): string {
  return `Incompatible IP allocation ranges (received: ${theirs}, ours: ${ours}), ` +
    `to join theirs run "meshnet reset" and "meshnet up --ip-range ${theirs}"`;
}

/** No address is free: who holds what, and who cannot be asked. */
export function exhausted(subnet: Span, facts: Facts): IpamRefusal {
  const { universe, ring, nicknames, reaches } = facts;
  const held = new Map<PeerName, number>();
  ring.entries.forEach(({ owner }, index) => {
    for (const span of ring.spansAt(index)) {
      const part = commonSpan(span, subnet);
      if (part !== undefined) held.set(owner, (held.get(owner) ?? 0) + spanSize(part));
    }
  });
  const donors = ring.donors(subnet);
  const list = [...held].sort(([, a], [, b]) => b - a).slice(0, MAX_NAMED).map(([owner, size]) => {
    const who = owner === ring.self ? "this host" : nicknames.get(owner) || owner;
    const free = owner === ring.self ? 0 : donors.get(owner) ?? 0;
    const away = owner !== ring.self && !reaches(owner) ? ", unreachable" : "";
    return `${who} ${size} (${Math.min(free, size)} free${away})`;
  });
  const lost = [...donors.keys()].filter((peer) => !reaches(peer));
  const hint = lost.length > 0
    ? `Start ${peersText(lost, nicknames)}, or run "meshnet rmpeer" for those that are gone for good`
    : "Release addresses, or ask for one in another subnet";
  const what = universe.spanText(commonSpan(subnet, universe.span) ?? subnet);
  return refusal(
    "exhausted",
    `Cannot allocate an address: ${what} has none free, owners: ${list.join("; ")}`,
    hint,
  );
}

/** There is no agreement yet on who owns what. */
export function noRing(quorum: number, known: number, observer: boolean): IpamRefusal {
  if (observer) {
    return refusal(
      "no-ring",
      "Cannot allocate an address: this host is an observer and no other peer has begun",
      `Connect it to the others, or start it without "--ip-init observer"`,
    );
  }
  return refusal(
    "no-ring",
    `Cannot allocate an address: ${quorum} peers must agree on the first owners, ${known} are here`,
    `Start the others, or give the number of hosts with "--ip-init consensus=N" or their names with "--ip-init seed=..."`,
  );
}

/** A copy of a host that has not heard the others yet. */
export function waitsToBeHeard(
  joins: readonly string[],
  { nicknames }: Pick<Facts, "nicknames">,
): IpamRefusal {
  const who = joins.map((peer) => peerText(peer as PeerName, nicknames)).join(", ");
  return refusal(
    "no-ring",
    `Cannot allocate an address: this host is a copy of another one, and has not heard yet from those who share the ` +
      `range out: ${who}`,
    `Connect it to one of them with "meshnet connect HOST"; if there are none any more, run "meshnet prime"`,
  );
}

/** Another host runs under our name. */
export function cloned(self: PeerName, nickname: string): IpamRefusal {
  return refusal(
    "clone",
    `Cannot hand out addresses: another host runs as ${nickname} (${self}), it is a clone of this one`,
    `Run "meshnet reset" on the clone, then start meshnet on both`,
  );
}

/** Others have declared us lost. */
export function removed(self: PeerName): IpamRefusal {
  return refusal(
    "removed",
    `Cannot hand out addresses: other hosts have removed ${self} and may use its addresses`,
    `Run "meshnet reset" here and start again; if nobody has taken over yet, a restart is enough`,
  );
}

/** Why what others say is refused, on a host that they have removed while it was away. */
export function removedHere(): string {
  return "other hosts removed this one while it was away and own addresses now that are in use here: run " +
    `"meshnet reset" here and start it again`;
}

/** A take-over that waits for others. */
export function waitsFor(
  victim: PeerName,
  missing: readonly PeerName[],
  facts: Pick<Facts, "nicknames" | "reaches">,
): IpamRefusal {
  const { nicknames, reaches } = facts;
  const away = missing.filter((peer) => !reaches(peer));
  const hint = away.length > 0
    ? `Start ${peersText(away, nicknames)}, or remove them too; it goes on by itself when they answer`
    : "They may still reach it; it goes on by itself when they answer";
  return refusal(
    "peers-missing",
    `Cannot take over from ${peerText(victim, nicknames)} yet: no consent of ${
      peersText(missing, nicknames)
    }`,
    hint,
  );
}

/** A backup names owners that are not here. `here`: hosts that are, this one among them, by their nicknames. */
export function ownersMissing(
  missing: readonly PeerName[],
  { here, nicknames, self }: {
    readonly nicknames: ReadonlyMap<PeerName, string>;
    readonly here: ReadonlyMap<string, PeerName>;
    readonly self: PeerName;
  },
): IpamRefusal {
  const who = peersText(missing, nicknames);
  const gone = `--gone ${missing.slice(0, MAX_NAMED).join(",")}`;
  const renamed = missing.slice(0, MAX_NAMED).flatMap((was) => {
    const nickname = nicknames.get(was) ?? "";
    const now = here.get(nickname);
    return now === undefined ? [] : [{ nickname, now, was }];
  });
  const others = missing.filter((peer) => !renamed.some(({ was }) => was === peer));
  const back = renamed.map(({ nickname, now }) =>
    `; ${
      now === self ? `this host is ${nickname}` : `${nickname} is connected`
    }, but under another name, ${now}`
  );
  const [first] = renamed;
  return refusal(
    "owners-missing",
    `Cannot import: ${who} ${
      missing.length === 1 ? "owns" : "own"
    } addresses in the backup, and may have given some ` +
      `of them to others since${back.join("")}`,
    first === undefined
      ? `Connect this host to ${missing.length === 1 ? "it" : "them"} first; for those that are gone ` +
        `for good add ${gone}`
      : `Start ${first.nickname} again with \`meshnet up --name ${first.was}\`` +
        (renamed.length > 1 ? ", and the others likewise with the names that they had" : "") +
        (others.length > 0 ? `, and connect this host to ${peersText(others, nicknames)}` : "") +
        `; or, if nobody will come back under these names, import with ${gone}`,
  );
}

/** An address that is not ours to give. */
export function ownedByOther(text: string, owner: PeerName, facts: Pick<Facts, "nicknames">): IpamRefusal {
  return refusal(
    "owned-by-other",
    `cannot claim ${text}: ${peerText(owner, facts.nicknames)} owns it`,
    `Choose another address, or allocate one with "net:default"`,
  );
}

/** What is no subnet. */
export function badSubnet(subnet: Cidr, { fix, why }: SubnetFault): IpamRefusal {
  return refusal("bad-subnet", `cannot allocate an address of ${formatCidr(subnet)}: ${why}`, fix);
}

/** There is nothing to release. */
export function notFound(ident: string, ip: Ip | undefined): IpamRefusal {
  const message = ip === undefined
    ? `cannot release addresses of ${ident}: it has none`
    : `cannot release ${ip} of ${ident}: it does not have this address`;
  return refusal("not-found", message, `"meshnet ps" lists who has which address`);
}

/** A subnet that the universe has nothing of. */
export function outOfRange(subnet: Cidr, universe: Universe): IpamRefusal {
  const [text, all] = [formatCidr(subnet), formatCidr(universe.cidr)];
  const message = `cannot allocate an address of ${text}: it is outside ${all}, the range of this network`;
  return refusal("out-of-range", message, `Choose a subnet within ${all}`);
}

/** A refusal. */
export function refusal(code: IpamRefusal["code"], message: string, hint?: string): IpamRefusal {
  return { code, message, hint };
}
