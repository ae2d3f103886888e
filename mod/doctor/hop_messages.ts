/** What hosts ask each other about a way through the mesh: an extension of the protocol, between our peers. JSON in
 * unicasts of a gossip channel of its own; who does not announce the extension is never asked. */
import { type Ip, parseIp } from "../core/addr.ts";
import { bad, type Decoded, good } from "../core/brand.ts";
import type { PeerName } from "../core/names.ts";
import { parsePeerName } from "../core/names.ts";

/** The extension, as it is announced. */
export const PATH_EXTENSION = "path1";
/** The gossip channel. */
export const PATH_CHANNEL = "meshnet-path";
/** Longest message, in octets. */
const MAX_BYTES = 4096;
/** Longest text in one, in characters. */
const MAX_TEXT = 400;
/** Texts are cut to these lengths in turn, until the message fits. The shortest leaves names of peers and MAC addresses whole,
 * and fits whatever the texts are: there are 18, and a character has 6 octets at most. */
const CUTS = [MAX_TEXT, 200, 100, 48, 24] as const;
/** Most texts of a list. */
const MAX_LIST = 8;

/** A question to one host on the way. */
export interface HopQuestion {
  /** Tells its answer from others. */
  readonly id: number;
  /** The last host of the way; null: the asked one itself. */
  readonly to: PeerName | null;
  /** The first host of the way. */
  readonly from: PeerName | null;
  /** MAC addresses of the frames that are asked for, and the IP address of the destination. */
  readonly src: string | null;
  readonly dst: string | null;
  readonly ip: string | null;
}

/** What a host knows of something that is attached to it. */
export interface HopEnd {
  readonly target: string;
  readonly name: string | null;
  readonly mac: string | null;
  readonly problem: string | null;
}

/** How a host sends on. */
export interface HopLink {
  readonly overlay: "fastdp" | "sleeve" | null;
  readonly cipher: string | null;
  readonly mtu: number | null;
  readonly rttMs: number | null;
  readonly address: string | null;
  readonly info: string;
}

/** What one host says. */
export interface HopAnswer {
  readonly id: number;
  readonly nickname: string;
  /** Its clock, in milliseconds since 1970. */
  readonly clock: number;
  /** The next host on the way, and whether it may be asked in its turn. */
  readonly next: PeerName | null;
  readonly nextKnows: boolean;
  readonly link: HopLink | null;
  /** The port of its datapath behind which the destination is. */
  readonly port: string | null;
  readonly dropped: string | null;
  readonly out: readonly string[];
  /** Packets of its flows, there and back; -1: there are no flows. */
  readonly there: number;
  readonly back: number;
  /** What is attached there with the destination's address. */
  readonly end: HopEnd | null;
}

/** A message of the channel. */
export type HopMessage =
  | { readonly kind: "question"; readonly question: HopQuestion }
  | { readonly kind: "answer"; readonly answer: HopAnswer }
  /** Somebody else uses this address, which the receiver may have given to a container: it is to look. */
  | { readonly kind: "look"; readonly ip: Ip };

/** The octets of a message. Texts are cut where they are too long, so that whoever gets it takes it. */
export function encodeHopMessage(message: HopMessage): Uint8Array {
  let bytes = new Uint8Array();
  for (const most of CUTS) {
    bytes = new TextEncoder().encode(JSON.stringify(message, (_key, value: unknown) => cut(value, most)));
    if (bytes.length <= MAX_BYTES) break;
  }
  return bytes;
}

function cut(value: unknown, most: number): unknown {
  if (typeof value === "string") return value.slice(0, most);
  return Array.isArray(value) ? value.slice(0, MAX_LIST) : value;
}

type Fields = Readonly<Record<string, unknown>>;

/** The message in some octets; what is of no known kind is undefined, so that more kinds may come. */
export function decodeHopMessage(bytes: Uint8Array): Decoded<HopMessage | undefined> {
  if (bytes.length > MAX_BYTES) return bad(`a message about a way has ${bytes.length} octets`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return bad("a message about a way is no JSON");
  }
  if (!isFields(value)) return bad("a message about a way is no object");
  if (value["kind"] === "question") {
    return wrap(questionIn(value["question"]), (question) => ({ kind: "question", question }));
  }
  if (value["kind"] === "answer") {
    return wrap(answerIn(value["answer"]), (answer) => ({ kind: "answer", answer }));
  }
  if (value["kind"] === "look") {
    const ip = parseIp(String(value["ip"]));
    return ip === undefined ? bad("a message about an address has none") : good({ kind: "look", ip });
  }
  return good(undefined);
}

function wrap<T>(value: T | undefined, make: (value: T) => HopMessage): Decoded<HopMessage> {
  return value === undefined
    ? bad("a message about a way lacks something, or has something else")
    : good(make(value));
}

function questionIn(value: unknown): HopQuestion | undefined {
  if (!isFields(value)) return undefined;
  const id = numberIn(value["id"]);
  const [to, from] = [peerIn(value["to"]), peerIn(value["from"])];
  const [src, dst, ip] = [textIn(value["src"]), textIn(value["dst"]), textIn(value["ip"])];
  if (id === undefined || to === undefined || from === undefined) return undefined;
  if (src === undefined || dst === undefined || ip === undefined) return undefined;
  return { id, to, from, src, dst, ip };
}

function answerIn(value: unknown): HopAnswer | undefined {
  if (!isFields(value)) return undefined;
  const [id, clock, there, back] = ["id", "clock", "there", "back"].map((key) => numberIn(value[key]));
  const [nickname, port, dropped] = ["nickname", "port", "dropped"].map((key) => textIn(value[key]));
  const next = peerIn(value["next"]);
  const link = value["link"] === null ? null : linkIn(value["link"]);
  const end = value["end"] === null ? null : endIn(value["end"]);
  const out = value["out"];
  if (id === undefined || clock === undefined || there === undefined || back === undefined) return undefined;
  if (typeof nickname !== "string" || port === undefined || dropped === undefined) return undefined;
  if (next === undefined || link === undefined || end === undefined) return undefined;
  if (!Array.isArray(out) || out.length > MAX_LIST || !out.every((one) => typeof one === "string")) {
    return undefined;
  }
  const nextKnows = value["nextKnows"] === true;
  const texts = out.map((one: string) => one.slice(0, MAX_TEXT));
  return { id, clock, there, back, nickname, port, dropped, next, nextKnows, link, end, out: texts };
}

function linkIn(value: unknown): HopLink | undefined {
  if (!isFields(value)) return undefined;
  const [overlay, cipher, address, info] = ["overlay", "cipher", "address", "info"].map((key) =>
    textIn(value[key])
  );
  const [mtu, rttMs] = ["mtu", "rttMs"].map((key) => value[key] === null ? null : numberIn(value[key]));
  if (overlay !== null && overlay !== "fastdp" && overlay !== "sleeve") return undefined;
  if (cipher === undefined || address === undefined || typeof info !== "string") return undefined;
  if (mtu === undefined || rttMs === undefined) return undefined;
  return { overlay, cipher, address, info, mtu, rttMs };
}

function endIn(value: unknown): HopEnd | undefined {
  if (!isFields(value)) return undefined;
  const [target, name, mac, problem] = ["target", "name", "mac", "problem"].map((key) => textIn(value[key]));
  if (typeof target !== "string" || name === undefined || mac === undefined || problem === undefined) {
    return undefined;
  }
  return { target, name, mac, problem };
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function numberIn(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function textIn(value: unknown): string | null | undefined {
  if (value === null) return null;
  return typeof value === "string" ? value.slice(0, MAX_TEXT) : undefined;
}

function peerIn(value: unknown): PeerName | null | undefined {
  return value === null ? null : typeof value === "string" ? parsePeerName(value) : undefined;
}
