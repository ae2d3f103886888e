/** Numbers for the links and identities of frames that cross the port between kernel and user space, as VLAN tags. */
import type { LinkId } from "../core/overlay_port.ts";
import { ETHERTYPE } from "../wire/packet/ethernet.ts";
import type { FlowAction, FlowKey, SleeveKey, Ufid } from "../wire/netlink/ovs_keys.ts";
import { VIRTIO_HEADER, VIRTIO_NEEDS_CHECKSUM } from "../wire/packet/virtio_net.ts";
import type { Vni } from "../wire/packet/vxlan.ts";
import { SLEEVE_HEADROOM } from "../overlay/ports/sleeve_port.ts";

/** Tag numbers in one priority: VLAN ids 0 and 4095 have meanings of their own. */
const VLAN_IDS = 4094;
const ID_MASK = 0xfff;
const PRIORITY_SHIFT = 13;
/** All tags there are. */
export const SLEEVE_TAGS = 8 * VLAN_IDS;

/** Bounds, for tests. */
export interface TagBounds {
  /** Tags in use. */
  readonly total: number;
  /** Tags of one link: a neighbour chooses which peers its frames say they are of. */
  readonly perLink: number;
  /** A tag that no flow uses is given to somebody else only when so many of its link have been unused for less time:
   * frames with it may still be on their way. */
  readonly reserve: number;
}

interface Entry {
  readonly key: SleeveKey;
  readonly tag: number;
  /** Flows in the kernel that say it, once for the key and once for each action. */
  references: number;
  gone: boolean;
}

interface LinkTags {
  readonly byId: Map<Vni, Entry>;
  /** Those that no flow uses, longest unused first. */
  readonly idle: Set<Entry>;
}

/** The table, of one process: nobody else knows what a tag stands for. */
export class SleeveTags {
  readonly #bounds: TagBounds;
  readonly #links = new Map<LinkId, LinkTags>();
  readonly #byTag: (Entry | undefined)[];
  /** Tags to give, in a ring: what came back last is given last. */
  readonly #free: Uint16Array;
  #next = 0;
  #count: number;
  readonly #flows = new Map<Ufid, readonly Entry[]>();
  /** Tags asked for that could not be given. */
  refused = 0;

  constructor(bounds: Partial<TagBounds> = {}) {
    const total = bounds.total ?? SLEEVE_TAGS;
    this.#bounds = { total, perLink: total >> 2, reserve: 1_024, ...bounds };
    this.#byTag = new Array<Entry | undefined>(total).fill(undefined);
    this.#free = Uint16Array.from({ length: total }, (_, n) => tagAt(n));
    this.#count = total;
  }

  /** Tags in use. */
  get size(): number {
    return this.#bounds.total - this.#count;
  }

  /** The tag of a key, a new one if need be; 0: there is none to be had. */
  readonly tagOf = (key: SleeveKey): number => {
    const known = this.#links.get(key.link)?.byId.get(key.id);
    return known !== undefined ? known.tag : this.#allocate(key);
  };

  /** What a tag stands for. */
  keyOf(tag: number): SleeveKey | undefined {
    const entry = this.#byTag[indexOf(tag)];
    return entry?.tag === tag ? entry.key : undefined; // VLAN ids 0 and 4095 have their neighbours' places
  }

  /** A flow is in the kernel from now on, or has other actions: its tags are not given to others meanwhile. False: there
   * is no tag for its key. */
  bind(ufid: Ufid, { sleeve }: FlowKey, actions: readonly FlowAction[]): boolean {
    this.unbind(ufid); // first: what cannot be held now must not be had by tagOf() afterwards
    const entries: Entry[] = [];
    if (sleeve !== undefined && !this.#hold(sleeve, entries)) return false;
    for (const action of actions) if (action.kind === "sleeve") this.#hold(action.sleeve, entries);
    if (entries.length > 0) this.#flows.set(ufid, entries);
    return true;
  }

  /** A flow is gone. */
  unbind(ufid: Ufid): void {
    const entries = this.#flows.get(ufid);
    if (entries === undefined) return;
    this.#flows.delete(ufid);
    for (const entry of entries) {
      if (--entry.references === 0 && !entry.gone) this.#idleOf(entry).add(entry);
    }
  }

  /** Of all flows only these are in the kernel. */
  keepOnly(flows: readonly { readonly ufid: Ufid | undefined }[]): void {
    const present = new Set(flows.map(({ ufid }) => ufid));
    for (const ufid of [...this.#flows.keys()]) if (!present.has(ufid)) this.unbind(ufid);
  }

  /** A link is gone, and with it everything its tags stood for. */
  closeLink(link: LinkId): void {
    for (const entry of this.#links.get(link)?.byId.values() ?? []) this.#release(entry);
    this.#links.delete(link);
  }

  #hold(key: SleeveKey, into: Entry[]): boolean {
    const tag = this.tagOf(key);
    const entry = tag === 0 ? undefined : this.#byTag[indexOf(tag)];
    if (entry === undefined) return false;
    if (entry.references++ === 0) this.#idleOf(entry).delete(entry);
    into.push(entry);
    return true;
  }

  #idleOf(entry: Entry): Set<Entry> {
    return this.#links.get(entry.key.link)!.idle;
  }

  #allocate({ link, id }: SleeveKey): number {
    const mine = this.#links.get(link);
    if (!this.#makeRoom(mine)) {
      this.refused++;
      return 0;
    }
    const tag = this.#free[this.#next]!;
    this.#next = (this.#next + 1) % this.#bounds.total;
    this.#count--;
    const entry: Entry = { key: { link, id }, tag, references: 0, gone: false };
    this.#byTag[indexOf(tag)] = entry;
    if (mine === undefined) this.#links.set(link, { byId: new Map([[id, entry]]), idle: new Set([entry]) });
    else {
      mine.byId.set(id, entry);
      mine.idle.add(entry);
    }
    return tag;
  }

  /** Sees to it that a tag is free that a link may have. */
  #makeRoom(mine: LinkTags | undefined): boolean {
    const full = mine !== undefined && mine.byId.size >= this.#bounds.perLink;
    if (!full && this.#count > 0) return true;
    const from = full ? mine : this.#largest();
    if (from === undefined || from.idle.size <= this.#bounds.reserve) return false;
    const [oldest] = from.idle;
    from.byId.delete(oldest!.key.id);
    from.idle.delete(oldest!);
    this.#release(oldest!);
    return true;
  }

  #largest(): LinkTags | undefined {
    let largest: LinkTags | undefined;
    for (const tags of this.#links.values()) {
      if (largest === undefined || tags.idle.size > largest.idle.size) largest = tags;
    }
    return largest;
  }

  #release(entry: Entry): void {
    entry.gone = true;
    this.#byTag[indexOf(entry.tag)] = undefined;
    this.#free[(this.#next + this.#count) % this.#bounds.total] = entry.tag;
    this.#count++;
  }
}

function tagAt(index: number): number {
  return Math.floor(index / VLAN_IDS) << PRIORITY_SHIFT | (index % VLAN_IDS + 1);
}

function indexOf(tag: number): number {
  return (tag >>> PRIORITY_SHIFT) * VLAN_IDS + (tag & ID_MASK) - 1;
}

/** What moves when a tag comes or goes: the virtio header and both MACs. */
const MOVED = VIRTIO_HEADER + 12;
/** Shortest packet that has a tag. */
const SHORTEST = MOVED + SLEEVE_HEADROOM + 2;
const HEADERS_AT = 2;
const CHECKSUM_START_AT = 6;

/** Puts a tag into the packet that begins at `from` with its virtio header. It begins SLEEVE_HEADROOM octets earlier
 * then, which must be free. */
export function putTag(bytes: Uint8Array, from: number, tag: number): void {
  const to = from - SLEEVE_HEADROOM;
  bytes.copyWithin(to, from, from + MOVED);
  const at = to + MOVED;
  bytes[at] = ETHERTYPE.vlan >>> 8;
  bytes[at + 1] = ETHERTYPE.vlan & 255;
  bytes[at + 2] = tag >>> 8;
  bytes[at + 3] = tag & 255;
  if ((bytes[to]! & VIRTIO_NEEDS_CHECKSUM) !== 0) shift(bytes, to + CHECKSUM_START_AT, SLEEVE_HEADROOM);
  if (bytes[to + HEADERS_AT] !== 0 || bytes[to + HEADERS_AT + 1] !== 0) {
    shift(bytes, to + HEADERS_AT, SLEEVE_HEADROOM);
  }
}

/** Takes the tag out of the packet in `[from, to)` and returns it; the packet begins SLEEVE_HEADROOM octets later then.
 * 0: it has none, and nothing was changed. The kernel's hint at the length of all headers does not count the tag. */
export function takeTag(bytes: Uint8Array, from: number, to: number): number {
  const at = from + MOVED;
  if (to - from < SHORTEST || (bytes[at]! << 8 | bytes[at + 1]!) !== ETHERTYPE.vlan) return 0;
  const tag = (bytes[at + 2]! << 8 | bytes[at + 3]!) & ~0x1000;
  if ((bytes[from]! & VIRTIO_NEEDS_CHECKSUM) !== 0) shift(bytes, from + CHECKSUM_START_AT, -SLEEVE_HEADROOM);
  bytes.copyWithin(from + SLEEVE_HEADROOM, from, from + MOVED);
  return tag;
}

/** The frame without its first tag, in place: it begins SLEEVE_HEADROOM octets later. */
export function withoutTag(frame: Uint8Array): Uint8Array {
  frame.copyWithin(SLEEVE_HEADROOM, 0, 12);
  return frame.subarray(SLEEVE_HEADROOM);
}

/** Adds to a little-endian 16-bit number. */
function shift(bytes: Uint8Array, at: number, by: number): void {
  const value = (bytes[at]! | bytes[at + 1]! << 8) + by;
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}
