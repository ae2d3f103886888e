import assert from "node:assert/strict";
import { fromHex } from "../../../../mod/core/bytes.ts";
import { type PeerName, peerNameFromNumber } from "../../../../mod/core/names.ts";
import { decodeIpamMessage, encodeIpamMessage } from "../../../../mod/wire/ipam/ipam_message.ts";
import { decodeIpamState, encodeIpamState } from "../../../../mod/wire/ipam/ipam_state.ts";
import {
  type IpamRing,
  type IpamState,
  MAX_IPAM_ENTRIES,
  NO_PROPOSAL,
  nodeKey,
  type ProposalId,
} from "../../../../mod/wire/ipam/ipam_types.ts";
import { fuzz } from "../../fuzz.ts";
import { check, fc } from "../../properties.ts";
import { loadVectors } from "../../vectors.ts";

interface ProposalJson {
  readonly round: number;
  readonly proposerName: PeerName;
  readonly proposerUID: number;
}
interface StateJson {
  readonly now: number;
  readonly nicknames: Readonly<Record<PeerName, string>>;
  readonly paxos:
    | readonly {
      readonly node: { readonly name: PeerName; readonly uid: number };
      readonly promise: ProposalJson;
      readonly accepted: ProposalJson;
      readonly acceptedVal: { readonly value: readonly PeerName[]; readonly origin: ProposalJson };
    }[]
    | null;
  readonly ring: {
    readonly start: string;
    readonly endExclusive: string;
    readonly peer: PeerName;
    readonly entries: readonly { token: string; peer: PeerName; version: number; free: number }[];
    readonly seeds: readonly PeerName[];
  } | null;
}
interface Vector {
  readonly name: string;
  readonly channel?: string;
  readonly hex: string;
  readonly meaning: StateJson & {
    readonly type?: number;
    readonly state?: StateJson;
    readonly start?: string;
    readonly endExclusive?: string;
  };
}

const address = (text: string) => text.split(".").reduce((value, octet) => value * 256 + Number(octet), 0);
const node = (name: PeerName, uid: number) => ({ name, uid: BigInt(uid) });

function proposalOf({ round, proposerName, proposerUID }: ProposalJson): ProposalId {
  return round === 0 ? NO_PROPOSAL : { round, proposer: node(proposerName, proposerUID) };
}

function ringOf(ring: NonNullable<StateJson["ring"]>): IpamRing {
  return {
    start: address(ring.start),
    end: address(ring.endExclusive),
    peer: ring.peer,
    entries: ring.entries.map((entry) => ({
      token: address(entry.token),
      owner: entry.peer,
      version: entry.version,
      free: entry.free,
    })),
    seeds: ring.seeds,
  };
}

function stateOf(json: StateJson): IpamState {
  const paxos = json.paxos?.map(({ node: { name, uid }, promise, accepted, acceptedVal }) => {
    const claims = {
      promise: proposalOf(promise),
      accepted: proposalOf(accepted),
      value: acceptedVal.value,
      origin: proposalOf(acceptedVal.origin),
    };
    return [nodeKey(node(name, uid)), { node: node(name, uid), claims }] as const;
  });
  return {
    now: json.now,
    nicknames: new Map(Object.entries(json.nicknames) as [PeerName, string][]),
    paxos: paxos === undefined ? undefined : new Map(paxos),
    ring: json.ring === null ? undefined : ringOf(json.ring),
    members: undefined,
  };
}

const vectors = loadVectors<{ vectors: Vector[] }>("ipam-gossip").vectors.filter(({ channel }) => channel);

for (const { name, hex, meaning } of vectors) {
  const bytes = fromHex(hex);
  if (meaning.type === undefined) {
    Deno.test(`decodeIpamState() and encodeIpamState(): ${name}`, () => {
      const state = stateOf(meaning);
      assert.deepEqual(decodeIpamState(bytes), { ok: true, value: state });
      const encoded = encodeIpamState(state);
      assert.deepEqual(decodeIpamState(encoded), { ok: true, value: state });
      assert.ok(
        Math.abs(encoded.length - bytes.length) <= 2,
        "only type ids and the order of definitions may differ",
      );
    });
  } else {
    Deno.test(`decodeIpamMessage() and encodeIpamMessage(): ${name}`, () => {
      const decoded = decodeIpamMessage(bytes);
      assert.ok(decoded.ok && decoded.value !== undefined);
      const message = decoded.value;
      if (meaning.type === 1) assert.deepEqual(message, { kind: "update", state: stateOf(meaning.state!) });
      else {
        const range = { start: address(meaning.start!), end: address(meaning.endExclusive!) };
        assert.deepEqual(message, { kind: meaning.type === 0 ? "request" : "denied", range });
      }
      assert.deepEqual(decodeIpamMessage(encodeIpamMessage(message)), decoded);
    });
  }
}

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(model, { noNullPrototype: true });
const peers = fc.integer({ min: 1, max: 2 ** 48 - 1 }).map((n) => peerNameFromNumber(n)!);
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const proposals = record({
  round: fc.integer({ min: 1, max: 99 }),
  proposer: record({ name: peers, uid: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
});
const states: fc.Arbitrary<IpamState> = record({
  now: fc.integer({ min: 0, max: 2 ** 40 }),
  nicknames: fc.array(fc.tuple(peers, fc.stringMatching(/^[a-z]{0,9}$/))).map((pairs) => new Map(pairs)),
  paxos: fc.option(
    fc.array(fc.tuple(proposals, proposals, fc.array(peers))).map((list) =>
      new Map(list.map(([promise, accepted, value]) => [
        nodeKey(promise.proposer),
        { node: promise.proposer, claims: { promise, accepted, value, origin: NO_PROPOSAL } },
      ]))
    ),
    { nil: undefined },
  ),
  ring: fc.option(
    record({
      ...{ start: u32, end: fc.integer({ min: 1, max: 2 ** 32 - 1 }), peer: peers, seeds: fc.array(peers) },
      entries: fc.array(record({ token: u32, owner: peers, version: u32, free: u32 })),
    }),
    { nil: undefined },
  ),
  members: fc.option(
    record({
      members: fc.array(
        record({
          ...{ peer: peers, life: u32, tag: u32, seq: u32 },
          promises: fc.array(record({ victim: peers, life: u32, claimant: peers })),
        }),
        { minLength: 1 },
      ),
      lost: fc.array(record({ peer: peers, life: u32 })),
    }),
    { nil: undefined },
  ),
}).map((state) => state.ring === undefined ? state : { ...state, paxos: undefined });

Deno.test("decodeIpamState(encodeIpamState(x)) is x", () => {
  check(fc.property(states, (state) => {
    assert.deepEqual(decodeIpamState(encodeIpamState(state)), { ok: true, value: state });
  }));
});

Deno.test("encodeIpamState() gives the same bytes whatever the order of insertion", () => {
  check(fc.property(states, (state) => {
    const turned = { ...state, nicknames: new Map([...state.nicknames].reverse()) };
    assert.deepEqual(encodeIpamState(turned), encodeIpamState(state));
  }));
});

Deno.test("decoders of addresses return, whatever the bytes", () => {
  const options = { mutations: 60, truncations: 120 };
  const all = vectors.map(({ hex }) => fromHex(hex));
  const [extended] = fc.sample(states.filter((state) => state.members !== undefined), {
    numRuns: 1,
    seed: 7,
  });
  const samples = [...all, encodeIpamState(extended!)];
  fuzz(decodeIpamState, samples, options);
  fuzz((bytes) => decodeIpamMessage(bytes), samples, options);
});

Deno.test("every truncation of a state is refused", () => {
  const bytes = fromHex(vectors.find(({ name }) => name === "ring-after-consensus")!.hex);
  for (let end = 0; end < bytes.length; end++) assert.equal(decodeIpamState(bytes.slice(0, end)).ok, false);
});

Deno.test("messages that make no sense are refused with the reason, unknown ones are passed over", () => {
  const refused = (bytes: Uint8Array) => {
    const decoded = decodeIpamMessage(bytes);
    return decoded.ok ? undefined : decoded.reason;
  };
  assert.equal(refused(Uint8Array.of()), "message about addresses is empty");
  assert.deepEqual(decodeIpamMessage(Uint8Array.of(3, 1, 2)), { ok: true, value: undefined });
  const upsideDown = encodeIpamMessage({ kind: "request", range: { start: 9, end: 4 } });
  assert.equal(refused(upsideDown), "range of addresses is 9 to 4");
  const entry = { token: 0, owner: peerNameFromNumber(1)!, version: 0, free: 0 };
  const ring = {
    start: 0,
    end: 4,
    peer: entry.owner,
    seeds: [],
    entries: Array(MAX_IPAM_ENTRIES + 1).fill(entry),
  };
  const state = { now: 0, nicknames: new Map(), paxos: undefined, ring, members: undefined };
  assert.equal(
    refused(encodeIpamMessage({ kind: "update", state })),
    "state has 65537 entries, at most 65536 are allowed",
  );
});
