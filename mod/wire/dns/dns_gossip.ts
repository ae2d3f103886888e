/** What peers tell each other of names, on the channel `nameserver` (source: spec dns.md, section 2). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { type PeerName, peerNameFromNumber, peerNameToNumber } from "../../core/names.ts";
import { GobDecoder, GobEncoder, type GobType, type ValueOf } from "../mesh/gob.ts";
import { isContainerId, isHostname } from "./dns_text.ts";
import { isRecordData, RECORD_TYPE } from "./dns_types.ts";

/** Most entries of one message, and most digests. */
const MAX_GOSSIPED = { entries: 65_536, digests: 8_192 } as const;

/** One record of a name, as its origin tells it. */
export interface DnsEntry {
  /** Whose record it is; `weave:extern` and the like where it is no container's. */
  readonly container: string;
  /** The peer that made it, and that alone may change it. */
  readonly origin: PeerName;
  /** The whole name with a dot at its end, in the letters that were given. */
  readonly hostname: string;
  /** The type of the record: A, and between our peers some others. */
  readonly type: number;
  /** The address of an A record as a 32-bit integer; else 0. */
  readonly addr: number;
  /** The data of any other record, as hex. */
  readonly rdata: string;
  /** Higher is newer. */
  readonly version: number;
  /** Seconds since 1970 when it was deleted; 0 while it lives. */
  readonly tombstone: number;
  /** Deleted only as long as its target does not answer. Other makes see a deleted entry. */
  readonly unhealthy: boolean;
  /** Never on the wire: its host's daemon is away, and it is answered where no other one is. */
  readonly away?: boolean;
}

/** What a peer has of one origin, in short: equal sums stand for equal entries. */
export interface DnsDigest {
  /** The peer that made the entries. */
  readonly origin: PeerName;
  /** Up to 52 bits. */
  readonly sum: number;
}

/** One message. */
export interface DnsGossip {
  /** Seconds since 1970 at the sender. */
  readonly timestamp: number;
  /** No two with the same identity. */
  readonly entries: readonly DnsEntry[];
  /** All that the sender has, in short; empty from peers of other makes. */
  readonly digests: readonly DnsDigest[];
  /** Entries that were left out because they make no sense. */
  readonly dropped: number;
}

const slice = <E extends GobType, N extends string>(elem: E, name: N) =>
  ({ kind: "slice", name, elem }) as const;
const FIELDS = [
  ["ContainerID", "string"],
  ["Origin", "uint"],
  ["Addr", "uint"],
  ["Hostname", "string"],
  ["Version", "int"],
  ["Tombstone", "int"],
] as const;
const ENTRY = { kind: "struct", name: "Entry", fields: FIELDS } as const satisfies GobType;
const MARKED_ENTRY = {
  kind: "struct",
  name: "Entry",
  fields: [...FIELDS, ["Unhealthy", "bool"]],
} as const satisfies GobType;
const RECORD = {
  kind: "struct",
  fields: [
    ["ContainerID", "string"],
    ["Origin", "uint"],
    ["Type", "uint"],
    ["Data", "bytes"],
    ["Hostname", "string"],
    ["Version", "int"],
    ["Tombstone", "int"],
    ["Unhealthy", "bool"],
  ],
} as const satisfies GobType;
const DIGEST = { kind: "struct", fields: [["Origin", "uint"], ["Sum", "uint"]] } as const satisfies GobType;
const EXTENSION = {
  kind: "struct",
  name: "meshnetNames",
  fields: [["Records", slice(RECORD, "records")], ["Digests", slice(DIGEST, "digests")]],
} as const satisfies GobType;
/** As other makes of peers know it. */
const PLAIN = {
  kind: "struct",
  name: "GossipData",
  fields: [["Timestamp", "int"], ["Entries", slice(ENTRY, "Entries")]],
} as const satisfies GobType;
/** With what only our peers understand; the others pass over the fields. */
const EXTENDED = {
  kind: "struct",
  name: "GossipData",
  fields: [["Timestamp", "int"], ["Entries", slice(MARKED_ENTRY, "Entries")], ["Meshnet", EXTENSION]],
} as const satisfies GobType;

/** What tells the entries of one origin apart. */
export function entryIdentity({ hostname, container, type, addr, rdata }: DnsEntry): string {
  return type === RECORD_TYPE.A
    ? `${hostname} ${container} ${addr}`
    : `${hostname} ${container} ${type} ${rdata}`;
}

/** The order on the wire: hostname in its letters, origin, container, address. */
export function compareOnWire(a: DnsEntry, b: DnsEntry): number {
  return order(a.hostname, b.hostname) || order(a.origin, b.origin) || order(a.container, b.container) ||
    a.addr - b.addr || a.type - b.type || order(a.rdata, b.rdata);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** One gob stream with a message. Equal messages give equal bytes. */
export function encodeDnsGossip(gossip: Omit<DnsGossip, "dropped">): Uint8Array<ArrayBuffer> {
  const { timestamp, digests } = gossip;
  const sorted = gossip.entries.toSorted(compareOnWire);
  const entries = sorted.filter(({ type }) => type === RECORD_TYPE.A).map(entryOut);
  const records = sorted.filter(({ type }) => type !== RECORD_TYPE.A).map(recordOut);
  const value = { Timestamp: BigInt(timestamp), Entries: entries };
  if (records.length === 0 && digests.length === 0 && !entries.some(({ Unhealthy }) => Unhealthy)) {
    return new GobEncoder().encode(value, PLAIN);
  }
  const Digests = digests.map(({ origin, sum }) => ({ Origin: numberOf(origin), Sum: BigInt(sum) }));
  return new GobEncoder().encode({ ...value, Meshnet: { Records: records, Digests } }, EXTENDED);
}

function numberOf(peer: PeerName): bigint {
  return BigInt(peerNameToNumber(peer));
}

function entryOut(entry: DnsEntry): ValueOf<typeof MARKED_ENTRY> {
  return {
    ContainerID: entry.container,
    Origin: numberOf(entry.origin),
    Addr: BigInt(entry.addr),
    Hostname: entry.hostname,
    Version: BigInt(entry.version),
    Tombstone: BigInt(entry.tombstone),
    Unhealthy: entry.unhealthy,
  };
}

function recordOut(entry: DnsEntry): ValueOf<typeof RECORD> {
  const { Addr: _, ...common } = entryOut(entry);
  return { ...common, Type: BigInt(entry.type), Data: Uint8Array.fromHex(entry.rdata) };
}

/**
 * Decodes the message that is all of a gob stream. Entries that make no sense are left out, for the sender may only pass
 * them on; a message with the same identity twice is refused, for no sender may make one.
 */
export function decodeDnsGossip(bytes: Uint8Array): Decoded<DnsGossip> {
  const gob = new GobDecoder(bytes).next(EXTENDED);
  if (!gob.ok) return bad(`gossip of names is unreadable: ${gob.reason}`);
  const { Timestamp, Entries, Meshnet } = gob.value;
  const count = Entries.length + Meshnet.Records.length;
  const { entries: mostEntries, digests: mostDigests } = MAX_GOSSIPED;
  if (count > mostEntries) return bad(`gossip has ${count} names, at most ${mostEntries} are allowed`);
  if (Meshnet.Digests.length > mostDigests) {
    return bad(`gossip has ${Meshnet.Digests.length} digests, at most ${mostDigests} are allowed`);
  }
  const reader = new EntryReader();
  const entries: DnsEntry[] = [];
  const seen = new Set<string>();
  const add = (entry: DnsEntry | undefined) => {
    if (entry !== undefined) entries.push(entry);
  };
  for (const entry of Entries) add(reader.entry(entry));
  for (const record of Meshnet.Records) add(reader.record(record));
  for (const entry of entries) seen.add(`${entry.origin} ${entryIdentity(entry)}`);
  if (seen.size < entries.length) return bad("gossip has an entry twice");
  const digests = Meshnet.Digests.flatMap(({ Origin, Sum }) => {
    const [origin, sum] = [reader.origin(Origin), reader.whole(Sum)];
    return origin === undefined || sum === undefined ? [] : [{ origin, sum }];
  });
  const timestamp = Number(BigInt.asIntN(53, Timestamp));
  return good({ timestamp, entries, digests, dropped: count - entries.length });
}

/** Makes entries of what was decoded. Names of peers recur, and are made once. */
class EntryReader {
  readonly #origins = new Map<bigint, PeerName | undefined>();

  origin(value: bigint): PeerName | undefined {
    if (!this.#origins.has(value)) {
      this.#origins.set(value, peerNameFromNumber(value <= 0xffff_ffff_ffffn ? value : -1));
    }
    return this.#origins.get(value);
  }

  /** A number that no later arithmetic can spoil. */
  whole(value: bigint): number | undefined {
    return value >= 0n && value < 1n << 52n ? Number(value) : undefined;
  }

  entry(value: ValueOf<typeof MARKED_ENTRY>): DnsEntry | undefined {
    if (value.Addr > 0xffff_ffffn) return undefined;
    return this.#make(value, { type: RECORD_TYPE.A, addr: Number(value.Addr), rdata: "" });
  }

  record(value: ValueOf<typeof RECORD>): DnsEntry | undefined {
    if (value.Type > 0xffffn || !isRecordData(Number(value.Type), value.Data)) return undefined;
    return this.#make(value, { type: Number(value.Type), addr: 0, rdata: value.Data.toHex() });
  }

  #make(
    value: Omit<ValueOf<typeof MARKED_ENTRY>, "Addr">,
    data: Pick<DnsEntry, "type" | "addr" | "rdata">,
  ): DnsEntry | undefined {
    const { ContainerID: container, Hostname: hostname, Unhealthy } = value;
    const origin = this.origin(value.Origin);
    const [version, tombstone] = [this.whole(value.Version), this.whole(value.Tombstone)];
    if (origin === undefined || version === undefined || tombstone === undefined) return undefined;
    if (!isHostname(hostname) || !isContainerId(container)) return undefined;
    return {
      container,
      origin,
      hostname,
      ...data,
      version,
      tombstone,
      unhealthy: Unhealthy && tombstone > 0,
    };
  }
}
