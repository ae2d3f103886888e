/** What this host has carried from and to each neighbour, over each overlay: what flows say, and frames without a flow. */
import type { Ip } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";
import type { LinkId, OverlayName } from "../../core/overlay_port.ts";
import type { FlowAction, FlowKey, Ufid } from "../../wire/netlink/ovs_keys.ts";
import type { CarriedCount, FlowCarried, TrafficView } from "../ports/dataplane_types.ts";
import type { LinkEnd } from "../paths/path.ts";
import type { FlowEntry } from "./flow_table.ts";

/** Peers whose counts are kept; beyond it those that are no neighbours any more are forgotten. */
const MAX_PEERS = 4_096;
/** Flows that have ended and whose last counts are waited for. */
const MAX_ENDED = 16_384;

type Count = { -readonly [K in keyof CarriedCount]: CarriedCount[K] };
type Way = { readonly received: Count; readonly sent: Count };
/** What a flow adds to. */
type Share = Pick<FlowEntry, "packets" | "bytes" | "cells">;

/** Counts never go back while a peer is kept, whatever becomes of its links and flows. */
export class Traffic {
  readonly #peers = new Map<PeerName, Readonly<Record<OverlayName, Way>>>();
  readonly #byAddress = new Map<Ip, PeerName>();
  readonly #byLink = new Map<LinkId, PeerName>();
  /** What flows were when they were deleted or changed; the datapath tells what they have carried since. */
  #ended = new Map<Ufid, Share>();
  /** Those of before the last look at all flows, which may have come before what the datapath tells. */
  #endedBefore = new Map<Ufid, Share>();

  /** Which links there are. Frames may still come from the addresses of those that were. */
  setLinks(ends: readonly LinkEnd[]): void {
    this.#byLink.clear();
    if (this.#byAddress.size > 2 * ends.length + 64) this.#byAddress.clear();
    for (const { link, peer, tunnel } of ends) {
      this.#byLink.set(link, peer);
      if (tunnel !== undefined) this.#byAddress.set(tunnel, peer);
    }
    if (this.#peers.size <= MAX_PEERS) return;
    const linked = new Set(ends.map(({ peer }) => peer));
    for (const peer of [...this.#peers.keys()]) if (!linked.has(peer)) this.#peers.delete(peer);
  }

  /** A flow is new, or does something else from now on. */
  assign(entry: FlowEntry): void {
    entry.cells = this.#cellsOf(entry.key, entry.actions);
  }

  /** A flow is about to be deleted, or to do something else. */
  ends({ bytes, cells, packets, ufid }: FlowEntry): void {
    if (cells === undefined || this.#ended.has(ufid)) return;
    if (this.#ended.size < MAX_ENDED) this.#ended.set(ufid, { bytes, cells, packets });
  }

  /** The datapath has looked at a flow. */
  look(entry: FlowEntry, packets: number, bytes: number): void {
    entry.cells ??= this.#cellsOf(entry.key, entry.actions);
    take(entry, packets, bytes);
  }

  /** The datapath tells what a flow had carried when it was deleted or changed; `entry`: the flow, if it goes on. */
  told({ bytes, packets, ufid }: FlowCarried, entry: FlowEntry | undefined): void {
    const old = this.#endedBefore.get(ufid) ?? this.#ended.get(ufid);
    if (old === undefined) return entry && this.look(entry, packets, bytes);
    if (!this.#endedBefore.delete(ufid)) this.#ended.delete(ufid);
    if (entry !== undefined && entry.packets !== old.packets) return; // it was looked at meanwhile
    take(old, packets, bytes);
    if (entry !== undefined) [entry.packets, entry.bytes] = [packets, bytes];
  }

  /** All flows have been looked at: of those that ended before the last time nothing more comes. */
  swept(): void {
    this.#endedBefore = this.#ended;
    this.#ended = new Map();
  }

  /** Actions are carried out on a frame without a flow. */
  passed(key: FlowKey, actions: readonly FlowAction[], bytes: number): void {
    for (const cell of this.#cellsOf(key, actions) ?? []) add(cell, 1, bytes);
  }

  /** Every peer that something was carried from or to. */
  report(): readonly TrafficView[] {
    return [...this.#peers].map(([peer, ways]) => ({ peer, ways: structuredCloneOf(ways) }));
  }

  /** undefined: some end of it is not known yet. */
  #cellsOf({ sleeve, tunnel }: FlowKey, actions: readonly FlowAction[]): readonly Count[] | undefined {
    const cells: Count[] = [];
    let known = true;
    const count = (peer: PeerName | undefined, overlay: OverlayName, way: keyof Way) => {
      if (peer === undefined) known = false;
      else cells.push(this.#waysOf(peer)[overlay][way]);
    };
    if (tunnel !== undefined) count(this.#byAddress.get(tunnel.src), "fastdp", "received");
    else if (sleeve !== undefined) count(this.#byLink.get(sleeve.link), "sleeve", "received");
    for (const action of actions) {
      if (action.kind === "tunnel") count(this.#byAddress.get(action.tunnel.dst), "fastdp", "sent");
      else if (action.kind === "sleeve") count(this.#byLink.get(action.sleeve.link), "sleeve", "sent");
    }
    return known ? cells : undefined;
  }

  #waysOf(peer: PeerName): Readonly<Record<OverlayName, Way>> {
    let ways = this.#peers.get(peer);
    if (ways === undefined) this.#peers.set(peer, ways = { fastdp: newWay(), sleeve: newWay() });
    return ways;
  }
}

function newWay(): Way {
  return { received: { packets: 0, bytes: 0 }, sent: { packets: 0, bytes: 0 } };
}

function structuredCloneOf(ways: Readonly<Record<OverlayName, Way>>): TrafficView["ways"] {
  const copy = ({ received, sent }: Way) => ({ received: { ...received }, sent: { ...sent } });
  return { fastdp: copy(ways.fastdp), sleeve: copy(ways.sleeve) };
}

function take(share: Share, packets: number, bytes: number): void {
  // A flow that somebody else made anew begins at nothing.
  const anew = packets < share.packets;
  const [more, moreBytes] = anew ? [packets, bytes] : [packets - share.packets, bytes - share.bytes];
  if (more > 0) { for (const cell of share.cells ?? []) add(cell, more, moreBytes); }
  [share.packets, share.bytes] = [packets, bytes];
}

function add(cell: Count, packets: number, bytes: number): void {
  cell.packets += packets;
  cell.bytes += bytes;
}
