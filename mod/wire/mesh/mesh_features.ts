/** What each end tells the other in the introduction (source: spec mesh.md, section 2.5). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { fromHex, toHex } from "../../core/bytes.ts";
import {
  parsePeerName,
  parseU64,
  type PeerName,
  type PeerUid,
  type ShortId,
  toShortId,
  UNKNOWN_PEER,
} from "../../core/names.ts";
import { GobDecoder } from "./gob_decode.ts";
import { GobEncoder } from "./gob_encode.ts";
import type { GobType } from "./gob_types.ts";
import { nicknameOf } from "./mesh_text.ts";

/** The features of one end of a connection. */
export interface Features {
  /** Who it is. */
  readonly name: PeerName;
  /** Free text, usually the host name; may be empty. */
  readonly nickname: string;
  /** Which of its processes. */
  readonly uid: PeerUid;
  /** Random per connection attempt and end: unsigned 64 bits. */
  readonly connId: bigint;
  /** Its id on the fast data path, if it has one. */
  readonly shortId: ShortId | undefined;
  /** Whether the sender trusts the receiver, so that overlay traffic between them may go in clear. */
  readonly trusted: boolean;
  /** Overlay names in order of preference; undefined for a very old peer, which has sleeve alone. */
  readonly overlays: readonly string[] | undefined;
  /** Protocol version 1 with a password: 32 bytes. In version 2 the key does not travel here: undefined. */
  readonly publicKey: Uint8Array | undefined;
  /** What the sender understands beyond the protocol, by name; not there for peers of other makes. */
  readonly extensions?: readonly string[];
}

/** The gob type of features. */
export const FEATURES = { kind: "map", key: "string", elem: "string" } as const satisfies GobType;

/** One gob stream with our features. Version 1 knows fewer keys: no short id, trust or overlays. */
export function encodeFeatures(features: Features, version: 1 | 2): Uint8Array<ArrayBuffer> {
  const { name, nickname, uid, connId, shortId, trusted, overlays, publicKey } = features;
  const map = new Map<string, string>([
    ["PeerNameFlavour", "mac"],
    ["Name", name],
    ["NickName", nickname],
    ["UID", `${uid}`],
    ["ConnID", `${connId}`],
  ]);
  if (version === 2) {
    if (shortId !== undefined) map.set("ShortID", `${shortId}`);
    map.set("Trusted", `${trusted}`);
    if (overlays !== undefined) map.set("Overlays", overlays.join(" "));
    if (features.extensions !== undefined) map.set("Meshnet", features.extensions.join(" "));
  } else if (publicKey !== undefined) map.set("PublicKey", toHex(publicKey));
  return new GobEncoder().encode(map, FEATURES);
}

/** Decodes the features that start a gob stream; what follows them is ignored. */
export function decodeFeatures(bytes: Uint8Array, version: 1 | 2): Decoded<Features> {
  const map = new GobDecoder(bytes).next(FEATURES);
  return map.ok ? featuresOf(map.value, version) : bad(`features are unreadable: ${map.reason}`);
}

/** Reads features from their map; unknown keys, and in version 1 keys that it does not have, are ignored. */
export function featuresOf(map: ReadonlyMap<string, string>, version: 1 | 2): Decoded<Features> {
  const missing = ["PeerNameFlavour", "Name", "NickName", "UID", "ConnID"].find((key) => !map.has(key));
  if (missing !== undefined) return bad(`feature ${missing} is missing`);
  const optional = (key: string) => version === 2 ? map.get(key) : undefined;
  const refuse = (key: string, wanted: string) =>
    bad(`feature ${key} is ${quote(map.get(key) ?? "")}, expected ${wanted}`);

  if (map.get("PeerNameFlavour") !== "mac") return refuse("PeerNameFlavour", `"mac"`);
  const name = parsePeerName(map.get("Name")!);
  if (name === undefined || name === UNKNOWN_PEER) return refuse("Name", "a peer name");
  const uid = parseU64(map.get("UID")!);
  if (uid === undefined) return refuse("UID", "an unsigned 64-bit number");
  const connId = parseU64(map.get("ConnID")!);
  if (connId === undefined) return refuse("ConnID", "an unsigned 64-bit number");
  const shortIdText = optional("ShortID");
  const shortId = shortIdText === undefined ? undefined : toShortId(Number(parseU64(shortIdText) ?? -1n));
  if (shortIdText !== undefined && shortId === undefined) return refuse("ShortID", "a number from 0 to 4095");
  const trusted = parseBool(optional("Trusted") ?? "false");
  if (trusted === undefined) return refuse("Trusted", "true or false");
  const overlays = optional("Overlays")?.split(" ").filter((overlay) => overlay !== "");
  const keyText = version === 1 ? map.get("PublicKey") : undefined;
  if (keyText !== undefined && !/^[0-9a-f]{64}$/i.test(keyText)) return refuse("PublicKey", "64 hex digits");
  const publicKey = keyText === undefined ? undefined : fromHex(keyText);
  const nickname = nicknameOf(map.get("NickName")!);
  const extensions = optional("Meshnet")?.split(" ").filter((extension) => extension !== "");
  const features = { name, nickname, uid: uid as PeerUid, connId, shortId, trusted, overlays, publicKey };
  return good(extensions === undefined ? features : { ...features, extensions });
}

/** The words of Go's strconv.ParseBool. */
function parseBool(text: string): boolean | undefined {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  return /^(0|f|F|FALSE|false|False)$/.test(text) ? false : undefined;
}

/** Text of a peer for a message to people: bounded, and with no control characters. */
function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text);
}
