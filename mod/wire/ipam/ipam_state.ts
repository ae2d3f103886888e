/** What peers tell each other of address allocation (source: spec ipam.md, section 4). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { type PeerName, peerNameFromNumber, peerNameToNumber } from "../../core/names.ts";
import { GobDecoder, GobEncoder, type GobType, type ValueOf } from "../mesh/gob.ts";
import { nicknameOf } from "../mesh/mesh_text.ts";
import {
  type IpamMembers,
  type IpamRing,
  type IpamState,
  MAX_IPAM_CLAIMS,
  MAX_IPAM_ENTRIES,
  MAX_IPAM_MEMBERS,
  MAX_IPAM_PROMISES,
  NO_PROPOSAL,
  nodeKey,
  type PaxosClaims,
  type PaxosNode,
  type ProposalId,
} from "./ipam_types.ts";

const slice = <E extends GobType, N extends string>(elem: E, name: N) =>
  ({ kind: "slice", name, elem }) as const;
const PEERS = slice("uint", "[]mesh.PeerName");
const NODE = { kind: "struct", fields: [["Name", "uint"], ["UID", "uint"]] } as const satisfies GobType;
const PROPOSAL = {
  kind: "struct",
  name: "ProposalID",
  fields: [["Round", "uint"], ["Proposer", NODE]],
} as const satisfies GobType;
const ACCEPTED = {
  kind: "struct",
  name: "AcceptedValue",
  fields: [["Value", slice("uint", "Value")], ["Origin", PROPOSAL]],
} as const satisfies GobType;
const CLAIMS = {
  kind: "struct",
  fields: [["Promise", PROPOSAL], ["Accepted", PROPOSAL], ["AcceptedVal", ACCEPTED]],
} as const satisfies GobType;
const ENTRY = {
  kind: "struct",
  fields: [["Token", "uint"], ["Peer", "uint"], ["Version", "uint"], ["Free", "uint"]],
} as const satisfies GobType;
const RING = {
  kind: "struct",
  name: "Ring",
  fields: [
    ["Start", "uint"],
    ["End", "uint"],
    ["Peer", "uint"],
    ["Entries", slice(ENTRY, "entries")],
    ["Seeds", PEERS],
  ],
} as const satisfies GobType;
const PROMISE = {
  kind: "struct",
  fields: [["Victim", "uint"], ["Life", "uint"], ["Claimant", "uint"]],
} as const satisfies GobType;
const MEMBER = {
  kind: "struct",
  fields: [
    ["Peer", "uint"],
    ["Life", "uint"],
    ["Tag", "uint"],
    ["Seq", "uint"],
    ["Promises", slice(PROMISE, "promises")],
  ],
} as const satisfies GobType;
const LOST = { kind: "struct", fields: [["Peer", "uint"], ["Life", "uint"]] } as const satisfies GobType;
const MEMBERS = {
  kind: "struct",
  name: "meshnetMembers",
  fields: [["Members", slice(MEMBER, "members")], ["Lost", slice(LOST, "lost")]],
} as const satisfies GobType;
const FIELDS = [
  ["Now", "int"],
  ["Nicknames", { kind: "map", name: "map[mesh.PeerName]string", key: "uint", elem: "string" }],
  ["Paxos", { kind: "map", name: "GossipState", key: NODE, elem: CLAIMS }],
  ["Ring", RING],
] as const;
/** As other makes of peers know it. */
const PLAIN = { kind: "struct", name: "gossipState", fields: FIELDS } as const satisfies GobType;
/** With what only our peers understand; the others pass over the field. */
const EXTENDED = {
  kind: "struct",
  name: "gossipState",
  fields: [...FIELDS, ["Meshnet", MEMBERS]],
} as const satisfies GobType;

const number = (peer: PeerName) => BigInt(peerNameToNumber(peer));

/** One gob stream with a state. Equal states give equal bytes. */
export function encodeIpamState(state: IpamState): Uint8Array<ArrayBuffer> {
  const value = {
    Now: BigInt(state.now),
    Nicknames: new Map(
      [...state.nicknames].sort(byKey).map(([peer, nickname]) => [number(peer), nickname] as const),
    ),
    Paxos: state.paxos === undefined ? undefined : new Map(
      [...state.paxos].sort(byKey).map(([, { node, claims }]) => [nodeOut(node), claimsOut(claims)] as const),
    ),
    Ring: state.ring === undefined ? undefined : ringOut(state.ring),
  };
  // Fields that are undefined are left out of the stream: nil in the words of other peers.
  if (state.members === undefined) return new GobEncoder().encode(value as ValueOf<typeof PLAIN>, PLAIN);
  const extended = { ...value, Meshnet: membersOut(state.members) };
  return new GobEncoder().encode(extended as ValueOf<typeof EXTENDED>, EXTENDED);
}

function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1;
}

function nodeOut({ name, uid }: PaxosNode): ValueOf<typeof NODE> {
  return { Name: number(name), UID: uid };
}

function proposalOut({ round, proposer }: ProposalId): ValueOf<typeof PROPOSAL> {
  return { Round: BigInt(round), Proposer: nodeOut(proposer) };
}

function claimsOut({ promise, accepted, value, origin }: PaxosClaims): ValueOf<typeof CLAIMS> {
  return {
    Promise: proposalOut(promise),
    Accepted: proposalOut(accepted),
    AcceptedVal: { Value: value.map(number), Origin: proposalOut(origin) },
  };
}

function ringOut(ring: IpamRing): ValueOf<typeof RING> {
  return {
    Start: BigInt(ring.start),
    End: BigInt(ring.end),
    Peer: number(ring.peer),
    Entries: ring.entries.map(({ token, owner, version, free }) => ({
      Token: BigInt(token),
      Peer: number(owner),
      Version: BigInt(version),
      Free: BigInt(free),
    })),
    Seeds: ring.seeds.map(number),
  };
}

function membersOut({ members, lost }: IpamMembers): ValueOf<typeof MEMBERS> {
  return {
    Members: members.map(({ peer, life, tag, seq, promises }) => ({
      Peer: number(peer),
      Life: BigInt(life),
      Tag: BigInt(tag),
      Seq: BigInt(seq),
      Promises: promises.map(({ victim, life, claimant }) => ({
        Victim: number(victim),
        Life: BigInt(life),
        Claimant: number(claimant),
      })),
    })),
    Lost: lost.map(({ peer, life }) => ({ Peer: number(peer), Life: BigInt(life) })),
  };
}

/** Decodes the state that is all of a gob stream. */
export function decodeIpamState(bytes: Uint8Array): Decoded<IpamState> {
  const gob = new GobDecoder(bytes).next(EXTENDED);
  if (!gob.ok) return bad(`address allocation state is unreadable: ${gob.reason}`);
  const reader = new Reader();
  const { Now, Nicknames, Ring, Paxos, Meshnet } = gob.value;
  const ring = Ring.End === 0n ? undefined : ringIn(Ring, reader);
  const state: IpamState = {
    now: Number(Now),
    nicknames: nicknamesIn(Nicknames, reader),
    paxos: ring === undefined && isSent(bytes, "Paxos") ? paxosIn(Paxos, reader) : undefined,
    ring,
    members: Meshnet.Members.length === 0 ? undefined : membersIn(Meshnet, reader),
  };
  return reader.failure === undefined ? good(state) : bad(reader.failure);
}

/** Whether a field is in the stream at all: an empty map means something else than none. */
function isSent(bytes: Uint8Array, field: string): boolean {
  const untyped = new GobDecoder(bytes).next();
  return untyped.ok && typeof untyped.value === "object" && field in untyped.value;
}

/** Checks numbers while a value is taken apart; remembers the first that is none. */
class Reader {
  failure: string | undefined;

  peer(value: bigint): PeerName {
    const name = peerNameFromNumber(value <= 0xffff_ffff_ffffn ? value : -1);
    if (name === undefined) this.failure ??= `peer name is ${value}, expected 48 bits`;
    return name ?? peerNameFromNumber(0)!;
  }

  u32(value: bigint, what: string): number {
    if (value > 0xffff_ffffn) this.failure ??= `${what} is ${value}, expected 32 bits`;
    return Number(value);
  }

  count(count: number, limit: number, what: string): boolean {
    if (count > limit) this.failure ??= `state has ${count} ${what}, at most ${limit} are allowed`;
    return this.failure === undefined;
  }
}

function nicknamesIn(map: ReadonlyMap<bigint, string>, reader: Reader): Map<PeerName, string> {
  if (!reader.count(map.size, MAX_IPAM_ENTRIES, "nicknames")) return new Map();
  return new Map([...map].map(([peer, nickname]) => [reader.peer(peer), nicknameOf(nickname)]));
}

function ringIn(ring: ValueOf<typeof RING>, reader: Reader): IpamRing | undefined {
  if (!reader.count(ring.Entries.length, MAX_IPAM_ENTRIES, "entries")) return undefined;
  if (!reader.count(ring.Seeds.length, MAX_IPAM_ENTRIES, "seeds")) return undefined;
  return {
    start: reader.u32(ring.Start, "start of the range"),
    end: reader.u32(ring.End, "end of the range"),
    peer: reader.peer(ring.Peer),
    entries: ring.Entries.map((entry) => ({
      token: reader.u32(entry.Token, "token"),
      owner: reader.peer(entry.Peer),
      version: reader.u32(entry.Version, "version"),
      free: reader.u32(entry.Free, "free count"),
    })),
    seeds: ring.Seeds.map((seed) => reader.peer(seed)),
  };
}

function paxosIn(
  paxos: ReadonlyMap<ValueOf<typeof NODE>, ValueOf<typeof CLAIMS>>,
  reader: Reader,
): IpamState["paxos"] {
  if (!reader.count(paxos.size, MAX_IPAM_CLAIMS, "claims")) return undefined;
  return new Map([...paxos].map(([id, claims]) => {
    const node = nodeIn(id, reader);
    const value = claims.AcceptedVal.Value;
    const fits = reader.count(value.length, MAX_IPAM_CLAIMS, "peers in an accepted value");
    return [nodeKey(node), {
      node,
      claims: {
        promise: proposalIn(claims.Promise, reader),
        accepted: proposalIn(claims.Accepted, reader),
        value: fits ? value.map((peer) => reader.peer(peer)) : [],
        origin: proposalIn(claims.AcceptedVal.Origin, reader),
      },
    }];
  }));
}

function nodeIn({ Name, UID }: ValueOf<typeof NODE>, reader: Reader): PaxosNode {
  return { name: reader.peer(Name), uid: UID };
}

function proposalIn({ Round, Proposer }: ValueOf<typeof PROPOSAL>, reader: Reader): ProposalId {
  const round = reader.u32(Round, "round");
  return round === 0 ? NO_PROPOSAL : { round, proposer: nodeIn(Proposer, reader) };
}

function membersIn({ Members, Lost }: ValueOf<typeof MEMBERS>, reader: Reader): IpamMembers | undefined {
  if (!reader.count(Members.length, MAX_IPAM_MEMBERS, "members")) return undefined;
  if (!reader.count(Lost.length, MAX_IPAM_MEMBERS, "lost members")) return undefined;
  return {
    members: Members.map(({ Peer, Life, Tag, Seq, Promises }) => ({
      peer: reader.peer(Peer),
      life: reader.u32(Life, "life"),
      tag: reader.u32(Tag, "tag"),
      seq: reader.u32(Seq, "sequence number"),
      promises: reader.count(Promises.length, MAX_IPAM_PROMISES, "promises of a member")
        ? Promises.map(({ Victim, Life, Claimant }) => ({
          victim: reader.peer(Victim),
          life: reader.u32(Life, "life"),
          claimant: reader.peer(Claimant),
        }))
        : [],
    })),
    lost: Lost.map(({ Peer, Life }) => ({ peer: reader.peer(Peer), life: reader.u32(Life, "life") })),
  };
}
