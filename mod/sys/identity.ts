/** Who this host is in the mesh: its peer name, its short id, its nickname. Kept from the first start on. */
import { bad, type Decoded, good } from "../core/brand.ts";
import { toHex } from "../core/bytes.ts";
import { MeshnetError, messageOf } from "../core/errors.ts";
import {
  parsePeerName,
  type PeerName,
  peerNameFromBytes,
  SHORT_IDS,
  type ShortId,
  toShortId,
} from "../core/names.ts";
import type { Random, Store } from "../core/ports.ts";
import { readTextIfReadable } from "./files.ts";

const KEY = "identity";
const VERSION = 1;
/** What the ids of a system are hashed with (spec dataplane.md 7.1). */
const NAME_PREFIX = "9oBJ0Jmip-";

/** What tells this machine from others: contents of files, line ends included; "" for what there is not. */
export interface SystemIds {
  readonly machineId: string;
  readonly productUuid: string;
}

/** Where a peer name came from. */
export type NameOrigin = "option" | "system-ids" | "random";

/** Who this host is. */
export interface Identity {
  readonly name: PeerName;
  readonly origin: NameOrigin;
  /** The overlay id to announce; kernel flows that outlive a restart carry it. */
  readonly shortId: ShortId;
  /** Set when the state was written on another machine, as on a cloned disk: the name that was given up. */
  readonly gaveUp: PeerName | undefined;
  /** Whether another name can be taken when another host has this one: nobody gave it, and no peer knows it yet. */
  readonly canRename: boolean;
  /** The name that was given up: another host had it, or the state was written on another machine. */
  readonly formerName: PeerName | undefined;
}

/** What is stored under KEY. Machine ids are kept as hashes only. */
interface StoredIdentity {
  readonly name: PeerName;
  readonly origin: NameOrigin;
  readonly shortId: ShortId;
  readonly machine: SystemIds;
  /** Whether a connection has worked under this name. */
  readonly settled?: boolean;
  /** Names that were given up because another host had them, the last one last. */
  readonly former?: readonly PeerName[];
}

/** After so many names something else is wrong. */
const MAX_RENAMES = 3;

/** Reads the ids of this machine. */
export function readSystemIds(root = ""): SystemIds {
  const first = (...paths: readonly string[]) => {
    for (const path of paths) {
      const text = readTextIfReadable(root + path);
      if (text !== undefined) return text;
    }
    return "";
  };
  return {
    machineId: first("/etc/machine-id", "/var/lib/dbus/machine-id"),
    productUuid: first("/sys/class/dmi/id/product_uuid", "/sys/hypervisor/uuid"),
  };
}

/** Makes six octets a name of the locally administered kind. */
function localName(octets: Uint8Array): PeerName {
  const six = octets.slice(0, 6);
  six[0] = (six[0]! & 0xfe) | 2;
  return peerNameFromBytes(six)!;
}

/** SHA-256 of text by WebCrypto: node:crypto would cost every start 40 ms and 6 MB. */
async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

/** The peer name of a machine, the same as an original peer would take; undefined when it has no ids. */
export async function nameFromSystemIds(ids: SystemIds): Promise<PeerName | undefined> {
  if (ids.machineId === "" && ids.productUuid === "") return undefined;
  return localName(await sha256(NAME_PREFIX + ids.machineId + ids.productUuid));
}

/** A hash that tells ids apart without giving them away (machine-id(5) asks for that). */
async function fingerprint(id: string): Promise<string> {
  const text = id.trim();
  if (text === "" || text === "uninitialized") return "";
  return toHex((await sha256("meshnet identity " + text)).subarray(0, 8));
}

async function fingerprints(ids: SystemIds): Promise<SystemIds> {
  return { machineId: await fingerprint(ids.machineId), productUuid: await fingerprint(ids.productUuid) };
}

/** Whether both are known and differ. What cannot be read this time tells nothing. */
function differ(then: string, now: string): boolean {
  return then !== "" && now !== "" && then !== now;
}

/** What is known of either machine, the present one first. */
function learnt(now: SystemIds, then: SystemIds): SystemIds {
  return { machineId: now.machineId || then.machineId, productUuid: now.productUuid || then.productUuid };
}

function encode(identity: StoredIdentity): string {
  return JSON.stringify({ version: VERSION, ...identity });
}

function decode(text: string): Decoded<StoredIdentity> {
  let json: Record<string, unknown> | null;
  try {
    json = JSON.parse(text);
  } catch (thrown) {
    return bad(messageOf(thrown));
  }
  if (json?.version !== VERSION) {
    return bad(`version is ${JSON.stringify(json?.version)}, expected ${VERSION}`);
  }
  const name = typeof json.name === "string" ? parsePeerName(json.name) : undefined;
  const shortId = typeof json.shortId === "number" ? toShortId(json.shortId) : undefined;
  const { origin } = json;
  const machine = json.machine as Record<string, unknown> | undefined;
  if (name === undefined) return bad(`name is ${JSON.stringify(json.name)}`);
  if (shortId === undefined) return bad(`shortId is ${JSON.stringify(json.shortId)}`);
  if (origin !== "option" && origin !== "system-ids" && origin !== "random") {
    return bad(`origin is ${origin}`);
  }
  if (typeof machine?.machineId !== "string" || typeof machine.productUuid !== "string") {
    return bad("machine is missing");
  }
  const former = Array.isArray(json.former) ? json.former.map(parsePeerName) : [];
  if (!former.every((each) => each !== undefined)) return bad("former names are not valid");
  return good({
    ...{ name, shortId, origin },
    machine: { machineId: machine.machineId, productUuid: machine.productUuid },
    ...typeof json.settled === "boolean" ? { settled: json.settled } : {}, // older states do not say
    ...former.length > 0 ? { former } : {},
  });
}

function readStored(store: Store): StoredIdentity | undefined {
  const text = store.get(KEY);
  const decoded = text === undefined ? bad("it is missing") : decode(text);
  if (decoded.ok) return decoded.value;
  if (text === undefined && store.list("").length === 0) return undefined; // it is the first that a daemon stores
  throw new MeshnetError("state/unreadable", `Cannot read this host's identity: ${decoded.reason}`, {
    hint:
      "Restore the state folder from a backup; or run `meshnet reset` to start anew as another peer, which loses " +
      "its attachments and the peers it was told to connect to",
  });
}

/**
 * Decides who this host is and stores that.
 *
 * - A name given as an option wins and is stored.
 * - Else the stored name, unless the state was written on another machine: its machine id or product uuid was known then,
 *   is known now, and differs. Such a disk was cloned or moved. Two hosts of one name would break the mesh for both, so
 *   this one gets a new name and short id, as at a first start, and `moved` says what goes with the old one.
 * - Else the name follows from the machine's ids; without any it is drawn.
 *
 * Throws "state/unreadable" for a stored identity that makes no sense: it is never replaced silently.
 */
export async function loadIdentity(
  store: Store,
  options: {
    readonly name: PeerName | undefined;
    readonly ids: SystemIds;
    readonly random: Random;
    /** What is stored together with another name, as the state is of another machine. */
    readonly moved?:
      | ((from: PeerName) => readonly (readonly [key: string, value: string | undefined])[])
      | undefined;
  },
): Promise<Identity> {
  const { ids, random } = options;
  const now = await fingerprints(ids);
  const stored = readStored(store);
  const moved = stored !== undefined &&
    (differ(stored.machine.machineId, now.machineId) || differ(stored.machine.productUuid, now.productUuid));
  const kept = moved ? undefined : stored;
  const [name, origin] = await chooseName(options, kept);
  const gaveUp = moved && stored.name !== name ? stored.name : undefined;
  const identity: StoredIdentity = {
    name,
    origin,
    // Another name is another peer, but ids of peers are drawn independently of names: it can keep its own.
    shortId: kept?.shortId ?? random.below(SHORT_IDS) as ShortId,
    machine: kept === undefined ? now : learnt(now, kept.machine),
    settled: false,
    former: [],
    ...kept?.name === name ? { settled: kept.settled ?? true, former: kept.former ?? [] } : {},
    ...gaveUp === undefined ? {} : { former: [gaveUp] },
  };
  const text = encode(identity);
  const alongside = gaveUp === undefined ? [] : options.moved?.(gaveUp) ?? [];
  if (store.get(KEY) !== text) store.putAll([[KEY, text], ...alongside]);
  const { former = [], settled = false } = identity;
  const canRename = origin !== "option" && !settled && former.length < MAX_RENAMES;
  return { name, origin, shortId: identity.shortId, gaveUp, canRename, formerName: former.at(-1) };
}

async function chooseName(
  options: { readonly name: PeerName | undefined; readonly ids: SystemIds; readonly random: Random },
  kept: StoredIdentity | undefined,
): Promise<readonly [name: PeerName, origin: NameOrigin]> {
  if (options.name !== undefined) return [options.name, "option"];
  if (kept !== undefined) return [kept.name, kept.origin];
  const derived = await nameFromSystemIds(options.ids);
  return derived === undefined ? [localName(options.random.bytes(6)), "random"] : [derived, "system-ids"];
}

/** Stores that a connection has worked under this host's name: it is kept from now on. Call after loadIdentity(). */
export function settleName(store: Store): void {
  const stored = readStored(store);
  if (stored !== undefined && !stored.settled) store.put(KEY, encode({ ...stored, settled: true }));
}

/** Draws another name, as another host has this one, and stores it for the next start. Call after loadIdentity(). */
export function takeAnotherName(store: Store, random: Random): PeerName {
  const stored = readStored(store)!;
  const name = localName(random.bytes(6));
  const former = [...stored.former ?? [], stored.name];
  const shortId = random.below(SHORT_IDS) as ShortId;
  const { machine } = stored;
  store.put(KEY, encode({ name, origin: "random", shortId, machine, settled: false, former }));
  return name;
}

/** Stores a new short id, after a collision made the mesh choose another. Call after loadIdentity(). */
export function storeShortId(store: Store, shortId: ShortId): void {
  const stored = readStored(store);
  if (stored !== undefined && stored.shortId !== shortId) store.put(KEY, encode({ ...stored, shortId }));
}

/** The name that a store has; undefined: it has none, or one that nobody can read. */
export function storedName(store: Store): PeerName | undefined {
  return readStored(store)?.name;
}
