/** The flows we have in the kernel, and which of them a change concerns. */
import type { Ip, Mac } from "../../core/addr.ts";
import type { ShortId } from "../../core/names.ts";
import type { Millis } from "../../core/time.ts";
import type { LinkId } from "../../core/overlay_port.ts";
import type { FlowAction, FlowHandle, FlowKey, PortNo, Ufid } from "../../wire/netlink/ovs_keys.ts";
import { type Vni, vniDestination, vniSource } from "../../wire/packet/vxlan.ts";
import { type Decision, identityOf } from "./forward.ts";
import type { Network } from "../paths/network.ts";

/** One flow in the kernel. */
export interface FlowEntry {
  readonly ufid: Ufid;
  readonly key: FlowKey;
  actions: readonly FlowAction[];
  /** Depends on the unicast way to this peer, -1: on none. */
  unicast: number;
  /** Depends on the broadcast hops of this origin, -1: on none. */
  broadcast: number;
  /** Depends on the list of local ports. */
  locals: boolean;
  /** Found at start and not yet decided the same with full knowledge. */
  adopted: boolean;
  /** How to delete it if somebody else made it. */
  readonly foreign: FlowHandle | undefined;
  /** Packets it had carried when last looked at. */
  packets: number;
  /** Octets of those. */
  bytes: number;
  /** Which counts of peers it adds to; undefined: not known yet. */
  cells: readonly { packets: number; bytes: number }[] | undefined;
  /** When it was last seen to have carried something, or was installed. */
  usedAt: Millis;
  /** When it must go at the latest. */
  until: number;
}

/** A set of flows for each of something. */
class FlowIndex<K> {
  readonly #flows = new Map<K, Set<FlowEntry>>();

  add(key: K, entry: FlowEntry): void {
    const there = this.#flows.get(key);
    if (there === undefined) this.#flows.set(key, new Set([entry]));
    else there.add(entry);
  }
  remove(key: K, entry: FlowEntry): boolean {
    const there = this.#flows.get(key);
    if (there === undefined || !there.delete(entry) || there.size > 0) return false;
    this.#flows.delete(key);
    return true;
  }
  of(key: K): Iterable<FlowEntry> {
    return this.#flows.get(key) ?? [];
  }
  count(key: K): number {
    return this.#flows.get(key)?.size ?? 0;
  }
}

/** A FlowIndex that remembers what each key stood for, so that a change of the network touches only what it changed. */
class WatchedIndex<K> {
  readonly #flows = new FlowIndex<K>();
  readonly #signatures = new Map<K, string>();

  constructor(readonly sign: (network: Network, key: K) => string) {}

  add(key: K, entry: FlowEntry, network: Network): void {
    if (!this.#signatures.has(key)) this.#signatures.set(key, this.sign(network, key));
    this.#flows.add(key, entry);
  }
  remove(key: K, entry: FlowEntry): void {
    if (this.#flows.remove(key, entry)) this.#signatures.delete(key);
  }
  of(key: K): Iterable<FlowEntry> {
    return this.#flows.of(key);
  }
  changed(network: Network, each: (entry: FlowEntry) => void): void {
    for (const [key, old] of this.#signatures) {
      const signature = this.sign(network, key);
      if (signature === old) continue;
      this.#signatures.set(key, signature);
      for (const entry of this.#flows.of(key)) each(entry);
    }
  }
}

/** How many flows come from or go to each outer address. */
class TunnelUse {
  readonly #counts = new Map<Ip, number>();
  #changed = false;

  count(address: Ip, by: number): void {
    const before = this.#counts.get(address) ?? 0;
    const count = before + by;
    if (count > 0) this.#counts.set(address, count);
    else this.#counts.delete(address);
    if ((before > 0) !== (count > 0)) this.#changed = true;
  }
  /** The addresses in use, if they are others than last time. */
  takeChanged(): Pick<ReadonlySet<Ip>, "has"> | undefined {
    const changed = this.#changed;
    this.#changed = false;
    return changed ? this.#counts : undefined;
  }
}

/** The registry. Every flow is found by id, by key, and by everything its decision rested on. */
export class FlowTable {
  readonly #byId = new Map<Ufid, FlowEntry>();
  readonly #byKey = new Map<string, FlowEntry>();
  readonly #byPort = new FlowIndex<PortNo>();
  readonly #bySource = new FlowIndex<number>();
  readonly #byMac = new FlowIndex<Mac>();
  readonly #byLink = new FlowIndex<LinkId>();
  readonly #byPeer = new WatchedIndex<ShortId>((network, short) => network.unicastSignature(short));
  readonly #byOrigin = new WatchedIndex<ShortId>((network, short) => network.broadcastSignature(short));
  readonly #byRemote = new WatchedIndex<Ip>((network, ip) => network.acceptance(ip));
  readonly #withLocals = new Set<FlowEntry>();
  readonly #tunnels = new TunnelUse();
  readonly #timed = new Set<FlowEntry>();
  readonly #dirty = new Set<FlowEntry>();
  #adopted = 0;

  /** Number of flows. */
  get size(): number {
    return this.#byId.size;
  }
  /** Number of flows found at start and not yet confirmed. */
  get adopted(): number {
    return this.#adopted;
  }

  /** Number of flows that must go at some time. */
  get timed(): number {
    return this.#timed.size;
  }

  /** All flows. */
  all(): Iterable<FlowEntry> {
    return this.#byId.values();
  }
  /** The flow of this id. */
  get(ufid: Ufid): FlowEntry | undefined {
    return this.#byId.get(ufid);
  }
  /** The flow that matches exactly this key. */
  find(key: FlowKey): FlowEntry | undefined {
    return this.#byKey.get(keyText(key));
  }
  /** Number of flows that come from where a key's frames do: one local port, or one originating peer. */
  countFrom(key: FlowKey): number {
    return this.#bySource.count(sourceOf(key));
  }

  /** Registers a flow; its id and key must be new. */
  add(entry: FlowEntry, network: Network): void {
    const { key } = entry;
    this.#byId.set(entry.ufid, entry);
    this.#byKey.set(keyText(key), entry);
    this.#byPort.add(key.inPort, entry);
    this.#bySource.add(sourceOf(key), entry);
    if (key.ethSrc !== undefined) this.#byMac.add(key.ethSrc, entry);
    if (key.ethDst !== undefined) this.#byMac.add(key.ethDst, entry);
    const id = identityOf(key);
    if (id !== undefined) {
      this.#byPeer.add(vniSource(id), entry, network);
      this.#byPeer.add(vniDestination(id), entry, network);
    }
    if (key.tunnel !== undefined) {
      this.#byRemote.add(key.tunnel.src, entry, network);
      this.#tunnels.count(key.tunnel.src, 1);
    }
    if (key.sleeve !== undefined) this.#byLink.add(key.sleeve.link, entry);
    if (entry.adopted) this.#adopted++;
    this.#attach(entry, network);
  }

  /** Makes an entry follow a new decision about its key. */
  update(entry: FlowEntry, decision: Decision, network: Network): void {
    this.#detach(entry);
    entry.actions = decision.actions;
    entry.unicast = decision.unicast;
    entry.broadcast = decision.broadcast;
    entry.locals = decision.locals;
    entry.until = decision.until;
    this.#attach(entry, network);
  }

  /** A flow found at start is one of ours from now on. */
  confirm(entry: FlowEntry): void {
    if (entry.adopted) this.#adopted--;
    entry.adopted = false;
  }

  /** Forgets a flow. */
  remove(entry: FlowEntry): void {
    const { key } = entry;
    this.#byId.delete(entry.ufid);
    this.#byKey.delete(keyText(key));
    this.#byPort.remove(key.inPort, entry);
    this.#bySource.remove(sourceOf(key), entry);
    if (key.ethSrc !== undefined) this.#byMac.remove(key.ethSrc, entry);
    if (key.ethDst !== undefined) this.#byMac.remove(key.ethDst, entry);
    this.#detach(entry);
    const id = identityOf(key);
    if (id !== undefined) {
      this.#byPeer.remove(vniSource(id), entry);
      this.#byPeer.remove(vniDestination(id), entry);
    }
    if (key.tunnel !== undefined) {
      this.#byRemote.remove(key.tunnel.src, entry);
      this.#tunnels.count(key.tunnel.src, -1);
    }
    if (key.sleeve !== undefined) this.#byLink.remove(key.sleeve.link, entry);
    this.#dirty.delete(entry);
    this.confirm(entry);
  }

  #attach(entry: FlowEntry, network: Network): void {
    if (entry.unicast >= 0) this.#byPeer.add(entry.unicast as ShortId, entry, network);
    if (entry.broadcast >= 0) this.#byOrigin.add(entry.broadcast as ShortId, entry, network);
    if (entry.locals) this.#withLocals.add(entry);
    if (entry.until < Infinity) this.#timed.add(entry);
    this.#countTunnels(entry, 1);
  }

  #countTunnels(entry: FlowEntry, by: number): void {
    for (const action of entry.actions) {
      if (action.kind === "tunnel") this.#tunnels.count(action.tunnel.dst, by);
    }
  }

  /** Outer addresses that flows come from or go to, if they are others than last time. */
  takeTunnelUse(): Pick<ReadonlySet<Ip>, "has"> | undefined {
    return this.#tunnels.takeChanged();
  }

  #detach(entry: FlowEntry): void {
    this.#countTunnels(entry, -1);
    const id = identityOf(entry.key);
    const inKey = id !== undefined &&
      (vniSource(id) === entry.unicast || vniDestination(id) === entry.unicast);
    if (entry.unicast >= 0 && !inKey) this.#byPeer.remove(entry.unicast as ShortId, entry);
    if (entry.broadcast >= 0) this.#byOrigin.remove(entry.broadcast as ShortId, entry);
    this.#withLocals.delete(entry);
    this.#timed.delete(entry);
  }

  /** Flows of frames that come in on a port. */
  ofPort(port: PortNo): readonly FlowEntry[] {
    return [...this.#byPort.of(port)];
  }
  /** Flows of frames that user space receives over a link. */
  ofLink(link: LinkId): readonly FlowEntry[] {
    return [...this.#byLink.of(link)];
  }
  /** Flows of frames from one address to another. */
  between(src: Mac, dst: Mac): readonly FlowEntry[] {
    return [...this.#byMac.of(dst)].filter(({ key }) => key.ethSrc === src && key.ethDst === dst);
  }
  /** Flows that pass on what goes from one peer to another, whatever the frames are. */
  relaying(id: Vni): readonly FlowEntry[] {
    return [...this.#byPeer.of(vniDestination(id) as ShortId)].filter(({ key }) =>
      key.ethDst === undefined && identityOf(key) === id
    );
  }
  /** The binding of a MAC address has changed. */
  touchMac(mac: Mac): void {
    for (const entry of this.#byMac.of(mac)) this.#dirty.add(entry);
  }
  /** A MAC address is no longer known: flows found at start that rest on it cannot wait for knowledge that was there. */
  forgetMac(mac: Mac): void {
    for (const entry of this.#byMac.of(mac)) {
      this.confirm(entry);
      this.#dirty.add(entry);
    }
  }
  /** The list of local ports has changed. */
  touchLocals(): void {
    for (const entry of this.#withLocals) this.#dirty.add(entry);
  }
  /** Marks every flow. */
  touchAll(): void {
    for (const entry of this.#byId.values()) this.#dirty.add(entry);
  }
  /** Ways to peers may have changed: finds those that did. */
  touchNetwork(network: Network): void {
    const touch = (entry: FlowEntry) => void this.#dirty.add(entry);
    this.#byPeer.changed(network, touch);
    this.#byOrigin.changed(network, touch);
    this.#byRemote.changed(network, touch);
  }
  /** Marks flows whose time is over. */
  touchExpired(now: Millis): void {
    for (const entry of this.#timed) if (entry.until <= now) this.#dirty.add(entry);
  }
  /** When the first flow's time is over. */
  nextExpiry(): number {
    let next = Infinity;
    for (const entry of this.#timed) next = Math.min(next, entry.until);
    return next;
  }
  /** Whether some flow must be decided again. */
  get hasDirty(): boolean {
    return this.#dirty.size > 0;
  }
  /** Takes the flows that must be decided again. */
  takeDirty(): readonly FlowEntry[] {
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    return dirty;
  }
}

/** Where frames of a key come from: a local port, or 65536 + the short id of the originating peer. */
function sourceOf(key: FlowKey): number {
  const id = identityOf(key);
  return id === undefined ? key.inPort : 0x1_0000 + vniSource(id);
}

/** A key as text, for maps. */
export function keyText(key: FlowKey): string {
  const { inPort, ethSrc, ethDst, sleeve, tagged, tunnel } = key;
  const port = tagged ? `${inPort}+vlan` : `${inPort}`;
  const frame = ethSrc === undefined ? port : `${port} ${ethSrc} ${ethDst}`;
  if (sleeve !== undefined) return `${frame} ${sleeve.id} link ${sleeve.link}`;
  return tunnel === undefined ? frame : `${frame} ${tunnel.id} ${tunnel.src} ${tunnel.dst}`;
}
