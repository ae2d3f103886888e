import assert from "node:assert/strict";
import { fromHex } from "../../../../mod/core/bytes.ts";
import { type PeerName, peerNameFromNumber } from "../../../../mod/core/names.ts";
import {
  decodeDnsGossip,
  type DnsEntry,
  type DnsGossip,
  encodeDnsGossip,
  entryIdentity,
} from "../../../../mod/wire/dns/dns_gossip.ts";
import { encodeName } from "../../../../mod/wire/dns/dns_text.ts";
import { RECORD_TYPE } from "../../../../mod/wire/dns/dns_types.ts";
import { GobEncoder, type GobType } from "../../../../mod/wire/mesh/gob.ts";
import { fuzz } from "../../fuzz.ts";
import { check, fc } from "../../properties.ts";
import { loadVectors } from "../../vectors.ts";

interface EntryJson {
  readonly addr: string;
  readonly containerID: string;
  readonly hostname: string;
  readonly origin: PeerName;
  readonly tombstone: number;
  readonly version: number;
}
interface Vector {
  readonly name: string;
  readonly hex: string;
  readonly meaning: { readonly entries: readonly EntryJson[]; readonly timestamp: number };
}

const number = (text: string) => text.split(".").reduce((value, octet) => value * 256 + Number(octet), 0);

function gossipOf({ entries, timestamp }: Vector["meaning"]): DnsGossip {
  const made = entries.map(({ addr, containerID, hostname, origin, tombstone, version }) => ({
    ...{ container: containerID, origin, hostname, type: RECORD_TYPE.A, addr: number(addr), rdata: "" },
    ...{ version, tombstone, unhealthy: false },
  }));
  return { timestamp, entries: made, digests: [], dropped: 0 };
}

const { vectors } = loadVectors<{ vectors: Vector[] }>("dns-gossip");
/** The original's ids of its types have more octets than ours, in each message as often. */
const LONGER_IDS = fromHex(vectors[0]!.hex).length -
  encodeDnsGossip({ timestamp: 1_700_000_000, entries: [], digests: [] }).length;

for (const { name, hex, meaning } of vectors) {
  Deno.test(`decodeDnsGossip() and encodeDnsGossip(): ${name}`, () => {
    const bytes = fromHex(hex);
    const gossip = gossipOf(meaning);
    assert.deepEqual(decodeDnsGossip(bytes), { ok: true, value: gossip });
    const encoded = encodeDnsGossip({ ...gossip, entries: gossip.entries.toReversed() });
    assert.deepEqual(decodeDnsGossip(encoded), { ok: true, value: gossip });
    assert.equal(bytes.length - encoded.length, LONGER_IDS, "type ids alone may differ");
  });
}

const peers = fc.integer({ min: 1, max: 2 ** 48 - 1 }).map((n) => peerNameFromNumber(n)!);
const whole = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 ** 52 - 1 }));
const hostnames = fc.stringMatching(/^([A-Za-z0-9_-]{1,20}\.){1,4}$/);
const data = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 32 - 1 }).map((addr) => ({ type: RECORD_TYPE.A, addr, rdata: "" })),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((ip) => ({
    ...{ type: RECORD_TYPE.AAAA, addr: 0, rdata: ip.toHex() },
  })),
  hostnames.map((name) => ({ type: RECORD_TYPE.CNAME, addr: 0, rdata: encodeName(name).toHex() })),
  hostnames.map((name) => ({
    ...{ type: RECORD_TYPE.SRV, addr: 0, rdata: `000a00140050${encodeName(name).toHex()}` },
  })),
  fc.integer({ min: 1, max: 3 }).map((order) => ({ type: RECORD_TYPE.ORDER, addr: 0, rdata: `0${order}` })),
);
const entries: fc.Arbitrary<DnsEntry> = fc.record({
  ...{ container: fc.stringMatching(/^[a-z0-9:]{0,64}$/), origin: peers, hostname: hostnames, data },
  ...{ version: whole, tombstone: whole, unhealthy: fc.boolean() },
}).map(({ data, ...rest }) => ({ ...rest, ...data, unhealthy: rest.unhealthy && rest.tombstone > 0 }));
const gossips: fc.Arbitrary<DnsGossip> = fc.record({
  timestamp: fc.integer({ min: 0, max: 2 ** 33 }),
  entries: fc.uniqueArray(entries, { selector: (entry) => `${entry.origin} ${entryIdentity(entry)}` }),
  digests: fc.array(fc.record({ origin: peers, sum: whole }, { noNullPrototype: true })),
  dropped: fc.constant(0),
}, { noNullPrototype: true });

/** Entries in the order in which they come out: addresses first. */
function settled(gossip: DnsGossip): DnsGossip {
  const decoded = decodeDnsGossip(encodeDnsGossip({ ...gossip, entries: gossip.entries }));
  assert.ok(decoded.ok);
  return decoded.value;
}

Deno.test("decodeDnsGossip(encodeDnsGossip(x)) is x, in the order of the wire", () => {
  check(fc.property(gossips, (gossip) => {
    const { entries, ...rest } = settled(gossip);
    const { entries: given, ...others } = gossip;
    assert.deepEqual(rest, others);
    const byIdentity = (a: DnsEntry, b: DnsEntry) =>
      `${a.origin} ${entryIdentity(a)}` < `${b.origin} ${entryIdentity(b)}` ? -1 : 1;
    assert.deepEqual(entries.toSorted(byIdentity), given.toSorted(byIdentity));
    assert.deepEqual(encodeDnsGossip(settled(gossip)), encodeDnsGossip(gossip));
  }));
});

Deno.test("decodeDnsGossip() returns, whatever the bytes", () => {
  const samples = vectors.map(({ hex }) => fromHex(hex));
  const extended = fc.sample(gossips, { numRuns: 3, seed: 7 }).map(encodeDnsGossip);
  fuzz(decodeDnsGossip, [...samples, ...extended], { mutations: 60, truncations: 120 });
});

const FIELDS = [
  ...[["ContainerID", "string"], ["Origin", "uint"], ["Addr", "uint"], ["Hostname", "string"]],
  ...[["Version", "int"], ["Tombstone", "int"]],
] as [string, GobType][];
const DATA = {
  kind: "struct",
  fields: [["Timestamp", "int"], ["Entries", { kind: "slice", elem: { kind: "struct", fields: FIELDS } }]],
} as GobType;
const sane = { ContainerID: "c", Origin: 1n, Addr: 1n, Hostname: "a.b.", Version: 0n, Tombstone: 0n };
const decodeEntries = (...changes: readonly Partial<typeof sane>[]) =>
  decodeDnsGossip(
    new GobEncoder().encode(
      { Timestamp: 1n, Entries: changes.map((change) => ({ ...sane, ...change })) },
      DATA,
    ),
  );

const nonsense: readonly Partial<typeof sane>[] = [
  { Hostname: "" },
  { Hostname: "no-dot" },
  { Hostname: "." },
  { Hostname: "a..b." },
  { Hostname: `${"x".repeat(64)}.` },
  { Hostname: `${"x".repeat(60)}.`.repeat(5) },
  { Hostname: "\x1b[2J." },
  { Hostname: "a b." },
  { Hostname: "é." },
  { ContainerID: "x".repeat(129) },
  { ContainerID: "\n" },
  { Addr: 1n << 32n },
  { Origin: 1n << 48n },
  { Version: -1n },
  { Version: 1n << 52n },
  { Tombstone: -1n },
  { Tombstone: 1n << 60n },
];

for (const change of nonsense) {
  const [[field, value]] = Object.entries(change) as [[string, unknown]];
  Deno.test(`decodeDnsGossip() leaves out an entry whose ${field} is ${JSON.stringify(`${value}`)}`, () => {
    const decoded = decodeEntries(change, {});
    assert.ok(decoded.ok);
    assert.equal(decoded.value.dropped, 1);
    assert.deepEqual(decoded.value.entries.map(({ hostname }) => hostname), ["a.b."]);
  });
}

Deno.test("decodeDnsGossip() refuses a message with an entry twice", () => {
  assert.deepEqual(decodeEntries({}, { Version: 1n }), { ok: false, reason: "gossip has an entry twice" });
  assert.ok(decodeEntries({}, { Hostname: "A.b." }).ok, "another spelling is another entry");
});

Deno.test("decodeDnsGossip() refuses lists without end", () => {
  const many = Array.from({ length: 65_537 }, (_, i) => ({ Addr: BigInt(i) }));
  assert.deepEqual(decodeEntries(...many), {
    ok: false,
    reason: "gossip has 65537 names, at most 65536 are allowed",
  });
});
