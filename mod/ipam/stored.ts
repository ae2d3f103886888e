/** The form in which addresses are remembered from one run to the next: records by key. */
import { formatCidr, type Ip, parseCidr, parseIp } from "../core/addr.ts";
import { bad, type Decoded, good } from "../core/brand.ts";
import { parsePeerName, type PeerName } from "../core/names.ts";
import type { MembersRecord } from "./members.ts";
import { Owned } from "./owned.ts";
import { type Entry, MAX_VERSION, Ring } from "./ring.ts";
import { ringFault } from "./ring_merge.ts";
import type { Offset, Universe } from "./universe.ts";

/** Version of the form; a reader refuses higher ones. */
const FORM = 1;
/** Peers that a copy is to join: they are only named. */
const MAX_JOINED = 8;
/** Keys of all records begin with this. */
export const STORE_PREFIX = "ipam/";
/** Keys of records. */
export const STORE_KEY = {
  ring: `${STORE_PREFIX}ring`,
  members: `${STORE_PREFIX}members`,
  owned: `${STORE_PREFIX}owned/`,
  joins: `${STORE_PREFIX}joins`,
} as const;

/** What earlier runs have left. */
export interface Stored {
  /** Empty where there was none. */
  readonly ring: Ring;
  /** Versions of its own entries, by token, as of when the host knew best what is its own. */
  readonly sure: ReadonlyMap<Offset, number>;
  /** Members of the last run. */
  readonly members: MembersRecord | undefined;
  /** Who holds what. */
  readonly owned: Owned;
  /** Who shared the range out: this host is to join them; undefined: it may begin by itself. */
  readonly joins: readonly string[] | undefined;
  /** Records that could not be used and why, in sentences. */
  readonly faults: readonly string[];
  /** Keys of records that no longer count. */
  readonly stale: readonly string[];
}

/** Reads all records. What cannot be read is left out and told of: a ring that is wrong is worse than none. */
export function readStored(records: ReadonlyMap<string, string>, universe: Universe, self: PeerName): Stored {
  const faults: string[] = [];
  const stale: string[] = [];
  const read = <T>(
    key: string,
    text: string | undefined,
    decode: (json: unknown) => Decoded<T>,
  ): T | undefined => {
    if (text === undefined) return undefined;
    const decoded = decode(parseJson(text));
    if (decoded.ok) return decoded.value;
    faults.push(decoded.reason);
    stale.push(key);
    return undefined;
  };
  const ring = read(STORE_KEY.ring, records.get(STORE_KEY.ring), (json) => readRing(json, universe, self));
  const members = read(STORE_KEY.members, records.get(STORE_KEY.members), readMembers);
  const joins = read(STORE_KEY.joins, records.get(STORE_KEY.joins), readJoins);
  const owned = new Owned();
  const holders = [...records].filter(([key]) => key.startsWith(STORE_KEY.owned));
  for (const [key, text] of holders) {
    read(key, text, (json) => owned.restore(key.slice(STORE_KEY.owned.length), json));
  }
  const { sure = new Map() } = ring ?? {};
  return { ring: ring?.ring ?? new Ring(universe.size, self), sure, members, owned, joins, faults, stale };
}

/** The record of a ring. `sure`: see `Stored`. */
export function writeRing(ring: Ring, universe: Universe, sure: Stored["sure"]): string {
  const entries = ring.entries.map(({ token, owner, version, free }) => ({
    token: universe.ipAt(token),
    ...{ owner, version, free, sure: sure.get(token) },
  }));
  const range = formatCidr(universe.cidr);
  return JSON.stringify({ form: FORM, peer: ring.self, range, seeds: ring.seeds, entries });
}

/** What a copied machine keeps of the records that were copied with it: only the names of the hosts that it is to join. All
 * else belongs to the original. `undefined`: the record goes. */
export function recordsOfCopy(
  records: Iterable<readonly [key: string, value: string]>,
  original: string,
): readonly (readonly [key: string, value: string | undefined])[] {
  const all = new Map(records);
  const ring = parseJson(all.get(STORE_KEY.ring));
  const entries = isObject(ring) && Array.isArray(ring.entries) ? ring.entries : [];
  const owners = entries.flatMap((one) => isObject(one) && typeof one.owner === "string" ? [one.owner] : []);
  const peers = [...new Set([original, ...owners])].slice(0, MAX_JOINED);
  const gone = [...all.keys()].filter((key) => key !== STORE_KEY.joins).map((key) =>
    [key, undefined] as const
  );
  return [...gone, [STORE_KEY.joins, JSON.stringify({ form: FORM, peers })]];
}

/** The record of members. */
export function writeMembers(record: MembersRecord): string {
  return JSON.stringify({ form: FORM, ...record });
}

type Json = Readonly<Record<string, unknown>>;

function parseJson(text: string | undefined): unknown {
  try {
    if (text === undefined) return undefined;
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(json: unknown): json is Json {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function isCount(value: unknown, max: number = MAX_VERSION): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max;
}

function peerOf(value: unknown): PeerName | undefined {
  return typeof value === "string" ? parsePeerName(value) : undefined;
}

function listOf<T>(value: unknown, one: (item: Json) => T | undefined): readonly T[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const out = value.map((item) => isObject(item) ? one(item) : undefined);
  return out.includes(undefined) ? undefined : out as T[];
}

function readRing(
  json: unknown,
  universe: Universe,
  self: PeerName,
): Decoded<Pick<Stored, "ring" | "sure">> {
  if (!isObject(json) || json.form !== FORM) return bad("the stored ring is unreadable");
  if (json.peer !== self) return bad(`the stored ring is of peer ${json.peer}, and this is ${self}`);
  const range = typeof json.range === "string" ? parseCidr(json.range) : undefined;
  if (range === undefined || formatCidr(range) !== formatCidr(universe.cidr)) {
    return bad(`the stored ring has the range ${json.range}, not ${formatCidr(universe.cidr)}`);
  }
  const entries = listOf(json.entries, (item) => entryOf(item, universe));
  const seeds = Array.isArray(json.seeds) ? json.seeds.map(peerOf) : [undefined];
  if (entries === undefined || seeds.includes(undefined)) return bad("the stored ring is unreadable");
  const fault = ringFault(entries, { size: universe.size, textOf: (at) => universe.ipAt(at) });
  if (fault !== undefined) return bad(`the stored ring is wrong: ${fault}`);
  const sure = entries.flatMap(({ token, sure }) => sure === undefined ? [] : [[token, sure] as const]);
  const plain = entries.map(({ sure: _, ...entry }) => entry);
  return good({ ring: new Ring(universe.size, self, plain, seeds as PeerName[]), sure: new Map(sure) });
}

function entryOf(item: Json, universe: Universe): (Entry & { readonly sure?: number }) | undefined {
  const ip: Ip | undefined = typeof item.token === "string" ? parseIp(item.token) : undefined;
  const token = ip === undefined ? undefined : universe.offsetOf(ip);
  const owner = peerOf(item.owner);
  if (token === undefined || owner === undefined || !isCount(item.version)) return undefined;
  const { free, sure, version } = item;
  if (!isCount(free, universe.size) || sure !== undefined && !isCount(sure)) return undefined;
  return { token, owner, version, free, ...sure === undefined ? {} : { sure } };
}

function readJoins(json: unknown): Decoded<readonly string[]> {
  const peers = isObject(json) && json.form === FORM && Array.isArray(json.peers) ? json.peers : undefined;
  return peers?.every((one) => typeof one === "string")
    ? good(peers)
    : bad("the stored names of whom to join are unreadable");
}

function readMembers(json: unknown): Decoded<MembersRecord> {
  const wrong = bad("the stored members are unreadable");
  if (!isObject(json) || json.form !== FORM || !isCount(json.life)) return wrong;
  const members = listOf(json.members, (item) => {
    const peer = peerOf(item.peer);
    const promises = listOf(item.promises, promiseOf);
    const { life, tag, seq } = item;
    if (peer === undefined || promises === undefined || !isCount(life)) return undefined;
    return isCount(tag) && isCount(seq) ? { peer, life, tag, seq, promises } : undefined;
  });
  const lost = listOf(json.lost, ({ peer, life }) => {
    const name = peerOf(peer);
    return name === undefined || !isCount(life) ? undefined : { peer: name, life };
  });
  return members === undefined || lost === undefined ? wrong : good({ life: json.life, members, lost });
}

function promiseOf({ victim, life, claimant }: Json) {
  const [lost, heir] = [peerOf(victim), peerOf(claimant)];
  return lost === undefined || heir === undefined || !isCount(life)
    ? undefined
    : { victim: lost, life, claimant: heir };
}
