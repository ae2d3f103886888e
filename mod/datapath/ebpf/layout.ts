/** What the programs and user space have in common: maps, and how what is in them lies in memory. Little-endian. */
import { type Ip, ipFromBytes, ipv4Number, isIpv4, macAt, macToBytes } from "../../core/addr.ts";
import {
  type FlowAction,
  type FlowKey,
  FOREIGN_SLEEVE,
  LOCAL_PORT,
  type SleeveKey,
  type TunnelKey,
  type Ufid,
} from "../../wire/netlink/ovs_keys.ts";
import type { Vni } from "../../wire/packet/vxlan.ts";

/** Version of all that is here. What another version left in the kernel is not taken over. */
export const LAYOUT = 1;

/** Kinds of maps (enum bpf_map_type). */
export const MAP_TYPE = { hash: 1, array: 2, perCpuArray: 6, ring: 27 } as const;
/** Elements of a hash are allocated when they are needed (BPF_F_NO_PREALLOC): an idle host needs little memory, and
 * nobody reads an element of which another flow has become the owner. */
const ON_DEMAND = 1;

/** What a map is made with. */
export interface MapShape {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly entries: number;
  readonly flags: number;
}

/** Most outputs of one flow, or of one frame that user space sends. */
export const MAX_OUTPUTS = 64;
/** Outputs in one element of `groups`. */
export const CHUNK = 32;
/** Elements that a frame's slot has, as a power of two. */
export const SLOT_SHIFT = 1;
/** Frames that user space sends take turns in so many elements. */
export const SLOTS = 1_024;

/** Elements of `groups`: with fewer than twice as many as flows the kernel needs half as much memory for an empty map. */
const GROUPS = 131_072;
/** Those that flows may have: the others are for frames that user space sends. */
export const FLOW_GROUPS: number = GROUPS - (SLOTS << SLOT_SHIFT);

/** A flow's key: where a frame came in, whose it is, MACs; `wide`: 1 for a flow of all MACs. Outer addresses are IPv4, or
 * the numbers of IPv6 ones (`numbers`, `addresses`): so those cost IPv4 nothing. */
export const KEY = { size: 32, ifindex: 0, id: 4, source: 8, destination: 12, macs: 16, wide: 28 } as const;
/** Bit of `id`: the frame has a VLAN tag. */
export const TAGGED = 0x8000_0000;
/** Bit of `id`: the outer addresses are numbers of IPv6 ones; 0 is the number of an address that has none. */
export const OUTER6 = 0x4000_0000;
/** One output. `kind`: see OUTPUT; `id`: the tunnel's, or the tag for user space. */
export const ACTION = { size: 20, kind: 0, ifindex: 4, id: 8, source: 12, destination: 16 } as const;
/** What becomes of a frame: it leaves through an interface, through a tunnel over IPv4 or IPv6, to user space, or to this
 * host itself. */
export const OUTPUT = { port: 1, tunnel: 2, sleeve: 3, leg: 4, tunnel6: 5 } as const;
/** A flow: `count` outputs, of which the first `locals` stay on this host. A single one is `only`, others are in `groups`. */
export const FLOW = {
  size: 56,
  ufid: 0,
  packets: 8,
  bytes: 16,
  count: 24,
  locals: 28,
  meter: 32,
  only: 36,
} as const;
/** Where `groups` has the outputs of a flow (its id, and number of the element), or of a frame (id 0, its slot). */
export const GROUP_KEY = { size: 16, ufid: 0, chunk: 8 } as const;
/** `count` is that of all outputs of a frame that user space sends. */
export const GROUP = { size: 8 + CHUNK * ACTION.size, count: 0, actions: 8 } as const;
/** A rate: frames counted in a stretch of time, and how many it may have. */
export const RATE = { size: 16, stretch: 0, count: 8, limit: 12 } as const;
/** Which TAP leads to user space, and how many misses of local ports were taken from it (element 0, which user space
 * writes); how many were handed to it (element 1, which programs write, as `tap`). */
export const CONFIG = { size: 8, tap: 0, taken: 4, given: 0 } as const;
/** The elements of `config`. */
export const CONFIG_AT = { settings: 0, given: 1 } as const;
/** What the programs count, by index. */
export const COUNT = { hits: 0, misses: 1, bounded: 2, dropped: 3 } as const;

/** The part of a flow's key that says where a frame comes from. */
export const ORIGIN_SIZE = 16;
/** A MAC address as a key. */
export const MAC_KEY_SIZE = 8;
/** A frame that was carried by whereabouts: its key as if it had a flow, with its length in the place of `wide`. */
export const NEWS = { size: KEY.size, bytes: KEY.wide } as const;
/** Octets of the ring; each piece of news takes 8 more than its size. */
const NEWS_RING = 512 * 1_024;

/** IPv6 addresses of hosts that have a number; 0 is none. */
export const ADDRESSES = 2_048;

/** Maps that programs of earlier versions of this layout lack: what they have besides goes on. */
export const LATER_MAPS: readonly string[] = ["numbers", "addresses", "origins", "places", "ways", "news"];

/** The maps, by the names that the programs use. */
export const MAPS = {
  flows: { type: MAP_TYPE.hash, keySize: KEY.size, valueSize: FLOW.size, entries: 66_000, flags: ON_DEMAND },
  groups: {
    type: MAP_TYPE.hash,
    keySize: GROUP_KEY.size,
    valueSize: GROUP.size,
    entries: GROUPS,
    flags: ON_DEMAND,
  },
  /** By 2 * ifindex + 1 or 2: what a port may send to everybody, or to groups, on other hosts. */
  meters: { type: MAP_TYPE.hash, keySize: 4, valueSize: RATE.size, entries: 8_192, flags: ON_DEMAND },
  /** By ifindex: misses that a port may have; with NEWS_RATE.bit: news of it. */
  rates: { type: MAP_TYPE.hash, keySize: 4, valueSize: RATE.size, entries: 8_192, flags: ON_DEMAND },
  /** By IPv6 address of an outer header: its number. */
  numbers: { type: MAP_TYPE.hash, keySize: 16, valueSize: 4, entries: ADDRESSES, flags: ON_DEMAND },
  /** By number: the address. */
  addresses: { type: MAP_TYPE.array, keySize: 4, valueSize: 16, entries: ADDRESSES, flags: 0 },
  /** Whereabouts. By the first octets of a flow's key: the place that such frames come from. */
  origins: { type: MAP_TYPE.hash, keySize: ORIGIN_SIZE, valueSize: 4, entries: 4_096, flags: ON_DEMAND },
  /** By MAC address: its place. Those for which there is no room are as unknown as before. */
  places: { type: MAP_TYPE.hash, keySize: MAC_KEY_SIZE, valueSize: 4, entries: 16_384, flags: ON_DEMAND },
  /** By place: how frames get there. */
  ways: { type: MAP_TYPE.hash, keySize: 4, valueSize: ACTION.size, entries: 4_096, flags: ON_DEMAND },
  /** Frames that went by whereabouts: they are to have flows. */
  news: { type: MAP_TYPE.ring, keySize: 0, valueSize: 0, entries: NEWS_RING, flags: 0 },
  config: { type: MAP_TYPE.array, keySize: 4, valueSize: CONFIG.size, entries: 2, flags: 0 },
  counts: { type: MAP_TYPE.perCpuArray, keySize: 4, valueSize: 8, entries: 4, flags: 0 },
} as const satisfies Readonly<Record<string, MapShape>>;
/** Name of a map in the programs. */
export type MapName = keyof typeof MAPS;

/** The name of a map in the kernel: at most 15 octets, with the version. */
export function kernelMapName(name: MapName): string {
  return `mesh${LAYOUT}_${name}`;
}

/** What stands in front of the frame of a miss on its way to user space; behind SPLIT octets of it the kernel puts a tag. If
 * the outer header is IPv6 its two addresses follow, the source first. */
export const MISS = { size: 16, split: 12, tagSize: 4, ends6: 32 } as const;
/** The TCI of that tag: no tag of the user-space path has bit 12. */
export const MISS_TCI = 0x1000;

/** How long a stretch of a rate is, as a power of two in nanoseconds. */
export const STRETCH = { misses: 26, meters: 30 } as const;
/** News of one port in a stretch of 67 ms, 40,000 a second; what is beyond goes on without. They are counted in `rates`, by
 * the interface with this bit. */
export const NEWS_RATE = { perStretch: 2_684, bit: 0x8000_0000 } as const;
/** Misses of one port in a stretch of 67 ms: 20,000 a second. */
export const MISSES_PER_STRETCH = 1_342;
/** Misses of local ports that wait in the TAP at most, so that there is always room for what peers send. */
export const WAITING_MISSES = 512;

/** Translates between numbers of ports and interfaces, and between tags and what they stand for. */
export interface Translator {
  indexOf(port: FlowKey["inPort"]): number | undefined;
  portOf(ifindex: number): FlowKey["inPort"] | undefined;
  /** 0: there is none. */
  tagOf(key: SleeveKey): number;
  /** The number of an IPv6 address, which gets one if need be; 0: there is none left. */
  numberOf(ip: Ip): number;
  /** The IPv6 address of a number. */
  addressOf(number: number): Ip | undefined;
  /** Whether an interface is this host's own leg. */
  isLeg(ifindex: number): boolean;
}

/** Writes the key of a flow; false: its port is not known, or there is no tag. */
export function writeFlowKey(out: Uint8Array, key: FlowKey, translator: Translator): boolean {
  const view = new DataView(out.buffer, out.byteOffset, KEY.size);
  const index = translator.indexOf(key.inPort);
  const tag = key.sleeve === undefined ? undefined : translator.tagOf(key.sleeve);
  if (index === undefined || tag === 0) return false;
  const ends = endsOf(key.tunnel, translator);
  if (ends === undefined) return false;
  const id = (key.tunnel?.id ?? tag ?? 0) | (key.tagged ? TAGGED : 0) | (ends.ipv6 ? OUTER6 : 0);
  view.setUint32(KEY.ifindex, index, true);
  view.setUint32(KEY.id, id >>> 0, true);
  view.setUint32(KEY.source, ends.source, true);
  view.setUint32(KEY.destination, ends.destination, true);
  out.fill(0, KEY.macs, KEY.size);
  if (key.ethDst !== undefined) out.set(macToBytes(key.ethDst), KEY.macs);
  if (key.ethSrc !== undefined) out.set(macToBytes(key.ethSrc), KEY.macs + 6);
  view.setUint32(KEY.wide, key.ethDst === undefined ? 1 : 0, true);
  return true;
}

interface Ends {
  readonly ipv6: boolean;
  readonly source: number;
  readonly destination: number;
}

/** The outer addresses of a tunnel in words; undefined: there is no number left for one. */
function endsOf(tunnel: TunnelKey | undefined, { numberOf }: Pick<Translator, "numberOf">): Ends | undefined {
  if (tunnel === undefined) return { ipv6: false, source: 0, destination: 0 };
  const { dst, src } = tunnel;
  if (isIpv4(dst)) return { ipv6: false, source: ipv4Number(src), destination: ipv4Number(dst) };
  const [source, destination] = [numberOf(src), numberOf(dst)];
  return source === 0 || destination === 0 ? undefined : { ipv6: true, source, destination };
}

/** Reads the key of a flow. undefined: its port is gone, or an address. */
export function readFlowKey(
  bytes: Uint8Array,
  at: number,
  around: Pick<Translator, "addressOf" | "portOf"> & { kindOf(ifindex: number): "tunnel" | "tap" | "local" },
): FlowKey | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, KEY.size);
  const index = view.getUint32(KEY.ifindex, true);
  const inPort = around.portOf(index);
  if (inPort === undefined) return undefined;
  const id = view.getUint32(KEY.id, true);
  const wide = view.getUint32(KEY.wide, true) !== 0;
  const kind = around.kindOf(index);
  const ipOf = (id & OUTER6) !== 0 ? around.addressOf : numberIp;
  const [src, dst] = [ipOf(view.getUint32(KEY.source, true)), ipOf(view.getUint32(KEY.destination, true))];
  if (kind === "tunnel" && (src === undefined || dst === undefined)) return undefined;
  return {
    inPort,
    tunnel: kind !== "tunnel" ? undefined : { id: (id & 0xff_ffff) as Vni, src: src!, dst: dst! },
    sleeve: kind === "tap" ? FOREIGN_SLEEVE : undefined,
    ethDst: wide ? undefined : macAt(bytes, at + KEY.macs),
    ethSrc: wide ? undefined : macAt(bytes, at + KEY.macs + 6),
    tagged: id >= TAGGED ? true : undefined,
  };
}

/** Writes one output; false: it leads nowhere. */
export function writeAction(
  out: Uint8Array,
  at: number,
  action: FlowAction,
  translator: Translator,
): boolean {
  const view = new DataView(out.buffer, out.byteOffset + at, ACTION.size);
  const index = translator.indexOf(action.port);
  if (index === undefined) return false;
  const put = (kind: number, id = 0, source = 0, destination = 0) => {
    [kind, index, id, source, destination].forEach((word, i) => view.setUint32(i * 4, word, true));
    return true;
  };
  switch (action.kind) {
    case "output":
      return put(translator.isLeg(index) ? OUTPUT.leg : OUTPUT.port);
    case "tunnel": {
      const ends = endsOf(action.tunnel, translator);
      if (ends === undefined) return false;
      return put(ends.ipv6 ? OUTPUT.tunnel6 : OUTPUT.tunnel, action.tunnel.id, ends.source, ends.destination);
    }
    case "sleeve": {
      const tag = translator.tagOf(action.sleeve);
      return tag !== 0 && put(OUTPUT.sleeve, tag);
    }
  }
}

/** Reads one output; undefined: its port is gone or an address, or it is of no kind that is known. */
export function readAction(
  bytes: Uint8Array,
  at: number,
  { addressOf, portOf }: Pick<Translator, "addressOf" | "portOf">,
): FlowAction | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, ACTION.size);
  const kind = view.getUint32(ACTION.kind, true);
  const port = portOf(view.getUint32(ACTION.ifindex, true));
  // To user space of an earlier process, whatever became of its TAP.
  if (kind === OUTPUT.sleeve) return { kind: "sleeve", port: port ?? LOCAL_PORT, sleeve: FOREIGN_SLEEVE };
  if (port === undefined) return undefined;
  if (kind === OUTPUT.port || kind === OUTPUT.leg) return { kind: "output", port };
  if (kind !== OUTPUT.tunnel && kind !== OUTPUT.tunnel6) return undefined;
  const ipOf = kind === OUTPUT.tunnel6 ? addressOf : numberIp;
  const [src, dst] = [
    ipOf(view.getUint32(ACTION.source, true)),
    ipOf(view.getUint32(ACTION.destination, true)),
  ];
  if (src === undefined || dst === undefined) return undefined;
  return { kind: "tunnel", port, tunnel: { id: view.getUint32(ACTION.id, true) as Vni, src, dst } };
}

/** The numbers of IPv6 addresses in an origin, by which the key of a flow begins; there may be none. */
export function numbersOfOrigin(bytes: Uint8Array, at: number): readonly number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, ORIGIN_SIZE);
  if ((view.getUint32(KEY.id, true) & OUTER6) === 0) return [];
  return [view.getUint32(KEY.source, true), view.getUint32(KEY.destination, true)];
}

/** The numbers of IPv6 addresses in an output, which may be none. */
export function numbersOfAction(bytes: Uint8Array, at: number): readonly number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, ACTION.size);
  if (view.getUint32(ACTION.kind, true) !== OUTPUT.tunnel6) return [];
  return [view.getUint32(ACTION.source, true), view.getUint32(ACTION.destination, true)];
}

/** Writes where `groups` has an element. */
export function writeGroupKey(out: Uint8Array, { ufid, chunk }: { ufid: Ufid | 0; chunk: number }): void {
  const view = new DataView(out.buffer, out.byteOffset, GROUP_KEY.size);
  view.setBigUint64(GROUP_KEY.ufid, BigInt(ufid), true);
  view.setUint32(GROUP_KEY.chunk, chunk, true);
  view.setUint32(GROUP_KEY.chunk + 4, 0, true);
}

/** The first element of a frame's slot. */
export function chunkOfSlot(slot: number): number {
  return slot << SLOT_SHIFT;
}

/** What a miss says of itself, and where its frame begins. */
export interface MissHeader {
  readonly ifindex: number;
  readonly id: number;
  readonly tagged: boolean;
  readonly source: Ip;
  readonly destination: Ip;
  /** Octets of it in front of the frame. */
  readonly size: number;
}

/** Octets in front of the frame of a miss at least, as user space reads it behind the virtio header. */
export const MISS_IN_FRONT = MISS.size + MISS.tagSize;

/** Whether what begins at `at` is a miss: all else that comes to user space has another tag, or none. */
export function isMiss(bytes: Uint8Array, at: number, to: number): boolean {
  const tag = at + MISS.split;
  return to - at >= MISS_IN_FRONT && bytes[tag] === 0x81 && bytes[tag + 1] === 0 &&
    bytes[tag + 2] === MISS_TCI >>> 8 && bytes[tag + 3] === 0;
}

/** Whether a miss is of a local port: it has neither tunnel id nor tag of a link, and no outer source. Only those are
 * counted as given (CONFIG). */
export function isLocalMiss(bytes: Uint8Array, at: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, MISS_IN_FRONT);
  return (view.getUint32(KEY.id, true) & ~TAGGED) === 0 && view.getUint32(KEY.source, true) === 0;
}

/** Reads the header of a miss. undefined: it ends before it is whole. */
export function readMiss(bytes: Uint8Array, at: number): MissHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, MISS_IN_FRONT);
  const id = view.getUint32(KEY.id, true);
  const head = { ifindex: view.getUint32(KEY.ifindex, true), id: id & 0xff_ffff, tagged: id >= TAGGED };
  if ((id & OUTER6) === 0) {
    const source = numberIp(view.getUint32(KEY.source, true));
    const destination = numberIp(view.getUint32(MISS.split + MISS.tagSize, true));
    return { ...head, source, destination, size: MISS_IN_FRONT };
  }
  const size = MISS_IN_FRONT + MISS.ends6;
  if (bytes.length < at + size) return undefined;
  const end = (offset: number) => ipFromBytes(bytes.subarray(at + offset, at + offset + 16))!;
  return { ...head, source: end(MISS_IN_FRONT), destination: end(MISS_IN_FRONT + 16), size };
}

function numberIp(number: number): Ip {
  return ipFromBytes(Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number))!;
}
