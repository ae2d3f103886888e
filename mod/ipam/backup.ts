/** The file that `ipam export` writes and `ipam import` reads: who owns what, and what this host's names hold. Pure. */
import { type Cidr, formatCidr, parseCidr, parseIp } from "../core/addr.ts";
import { bad, type Decoded, good } from "../core/brand.ts";
import { parsePeerName, type PeerName } from "../core/names.ts";
import { MAX_IPAM_ENTRIES } from "../wire/ipam/ipam_types.ts";
import { type Entry, MAX_VERSION } from "./ring.ts";
import { type RingContent, ringFault } from "./ring_merge.ts";
import type { Universe } from "./universe.ts";

/** What tells such a file from others. */
const FORMAT = "meshnet addresses";
/** Version of the form; a reader refuses higher ones. */
const FORM = 1;
/** Most holders, and characters of the name of one: more than the control socket takes. */
const MAX_HOLDERS = 65_536;
const MAX_NAME = 256;

/** What one name holds. */
export interface BackupHolder {
  readonly ident: string;
  /** Whether it goes back when there is no such container. */
  readonly isContainer: boolean;
  readonly cidrs: readonly Cidr[];
}

/** Everything that such a file says. */
export interface Backup {
  /** The host that wrote it: its names hold the addresses. */
  readonly peer: PeerName;
  /** When it was written, for people. */
  readonly written: string;
  readonly nicknames: ReadonlyMap<PeerName, string>;
  readonly ring: RingContent;
  readonly held: readonly BackupHolder[];
}

/** The content of a file, to be written as JSON. */
export function writeBackup({ held, nicknames, peer, ring, written }: Backup, universe: Universe): unknown {
  return {
    ...{ format: FORMAT, form: FORM, peer, written, range: formatCidr(universe.cidr), seeds: ring.seeds },
    nicknames: Object.fromEntries(nicknames),
    entries: ring.entries.map(({ free, owner, token, version }) => ({
      ...{ from: universe.ipAt(token), owner, version, free },
    })),
    held: held.map(({ cidrs, ident, isContainer }) => ({
      ...{ holder: ident, container: isContainer, addresses: cidrs.map(formatCidr) },
    })),
  };
}

type Json = Readonly<Record<string, unknown>>;

/** Reads the content of a file for this range; a reason names what is wrong, with its value. */
export function readBackup(json: unknown, universe: Universe): Decoded<Backup> {
  if (!isObject(json) || json.format !== FORMAT) return bad(`"format" is not ${JSON.stringify(FORMAT)}`);
  if (json.form !== FORM) {
    return bad(
      `"form" is ${shown(json.form)}, and this version reads ${FORM}: use the version that wrote it`,
    );
  }
  const range = formatCidr(universe.cidr);
  if (json.range !== range) {
    return bad(
      `its "range" is ${shown(json.range)}, and this host runs with ${range}: start it with the same`,
    );
  }
  const peer = peerOf(json.peer);
  if (peer === undefined) return bad(`"peer" is no peer name: ${shown(json.peer)}`);
  const nicknames = readNicknames(json.nicknames);
  if (!nicknames.ok) return nicknames;
  const ring = readRing(json, universe);
  if (!ring.ok) return ring;
  const held = readHeld(json.held);
  if (!held.ok) return held;
  const written = typeof json.written === "string" ? json.written.slice(0, 64) : "";
  return good({ peer, written, nicknames: nicknames.value, ring: ring.value, held: held.value });
}

function readNicknames(value: unknown): Decoded<ReadonlyMap<PeerName, string>> {
  if (!isObject(value)) return bad(`"nicknames" is no object: ${shown(value)}`);
  const nicknames = new Map<PeerName, string>();
  for (const [name, nickname] of Object.entries(value).slice(0, MAX_IPAM_ENTRIES)) {
    const peer = peerOf(name);
    if (peer === undefined || typeof nickname !== "string" || nickname.length > MAX_NAME) {
      return bad(`"nicknames" has no name for a peer: ${shown(name)}: ${shown(nickname)}`);
    }
    nicknames.set(peer, nickname);
  }
  return good(nicknames);
}

function readRing({ entries: list, seeds }: Json, universe: Universe): Decoded<RingContent> {
  if (!Array.isArray(seeds) || seeds.length > MAX_IPAM_ENTRIES) {
    return bad(`"seeds" is no list: ${shown(seeds)}`);
  }
  const wrong = seeds.find((seed) => peerOf(seed) === undefined);
  if (wrong !== undefined) return bad(`"seeds" has a peer name that is none: ${shown(wrong)}`);
  if (!Array.isArray(list) || list.length === 0 || list.length > MAX_IPAM_ENTRIES) {
    return bad(`"entries" is no list of 1 to ${MAX_IPAM_ENTRIES} ranges: ${shown(list)}`);
  }
  const entries: Entry[] = [];
  for (const item of list) {
    const entry = isObject(item) ? entryOf(item, universe) : undefined;
    if (entry === undefined) return bad(`"entries" has a range that is none: ${shown(item)}`);
    entries.push(entry);
  }
  const fault = ringFault(entries, { size: universe.size, textOf: (at) => universe.ipAt(at) });
  if (fault !== undefined) return bad(`"entries" are wrong: ${fault}`);
  return good({ entries, seeds: [...new Set(seeds as PeerName[])].sort() });
}

function entryOf({ free, from, owner: name, version }: Json, universe: Universe): Entry | undefined {
  const ip = typeof from === "string" ? parseIp(from) : undefined;
  const token = ip === undefined ? undefined : universe.offsetOf(ip);
  const owner = peerOf(name);
  if (token === undefined || owner === undefined || !isCount(version, MAX_VERSION)) return undefined;
  return isCount(free, universe.size) ? { token, owner, version, free } : undefined;
}

function readHeld(value: unknown): Decoded<readonly BackupHolder[]> {
  if (!Array.isArray(value) || value.length > MAX_HOLDERS) return bad(`"held" is no list: ${shown(value)}`);
  const held: BackupHolder[] = [];
  const seen = new Map<string, string>();
  for (const item of value) {
    const holder = isObject(item) ? holderOf(item) : undefined;
    if (holder === undefined) return bad(`"held" has an entry that is none: ${shown(item)}`);
    for (const { ip } of holder.cidrs) {
      const other = seen.get(ip);
      if (other !== undefined) return bad(`"held" has ${ip} twice: for ${other} and for ${holder.ident}`);
      seen.set(ip, holder.ident);
    }
    held.push(holder);
  }
  return good(held);
}

function holderOf({ addresses, container, holder: ident }: Json): BackupHolder | undefined {
  if (typeof ident !== "string" || ident === "" || ident.length > MAX_NAME) return undefined;
  if (typeof container !== "boolean" || !Array.isArray(addresses) || addresses.length === 0) return undefined;
  const cidrs = addresses.map((text) => typeof text === "string" ? parseCidr(text) : undefined);
  return cidrs.includes(undefined) ? undefined : { ident, isContainer: container, cidrs: cidrs as Cidr[] };
}

function isObject(json: unknown): json is Json {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function isCount(value: unknown, max: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max;
}

function peerOf(value: unknown): PeerName | undefined {
  return typeof value === "string" ? parsePeerName(value) : undefined;
}

/** A value as one line that fits into a sentence. */
function shown(value: unknown): string {
  const text = value === undefined ? "missing" : JSON.stringify(value);
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}
