/**
 * The gossip engine: which message goes to which neighbour, and what waits for a slow one
 * (source: spec mesh.md, sections 4.4, 7).
 */
import { bad, type Decoded, good } from "../../core/brand.ts";
import type { PeerName } from "../../core/names.ts";
import type { LinkId } from "../../core/overlay_port.ts";
import type { GossipChannel, GossipData, Parting, Random } from "../../core/ports.ts";
import { after, type Millis } from "../../core/time.ts";
import { decodeGossipFrame, encodeGossipFrame, type GossipFrame } from "../../wire/mesh/mesh_message.ts";
import { randomNeighbours } from "./neighbours.ts";
import type { RouteTable } from "../topology/routes.ts";
import { GossipSender, type SenderLimits } from "./gossip_sender.ts";
import { SurrogateChannels, type SurrogateLimits } from "./surrogate.ts";
import type { TopologyChannel } from "./topology_channel.ts";

/** Every channel's complete state goes to random neighbours this often, in milliseconds. */
export const GOSSIP_INTERVAL_MS = 30_000;

/** What an engine is made of. */
export interface GossipOptions {
  /** The channel of the topology: it is registered first, and its news hold relays back. */
  readonly topology: TopologyChannel;
  /** Draws neighbours. */
  readonly random: Random;
  /** Start of the process: periodic gossip counts from here. */
  readonly now: Millis;
  /** Bounds of what one connection may have waiting; see GossipSender. */
  readonly sender?: Partial<SenderLimits>;
  /** Bounds of what channels nobody registered may keep; see SurrogateChannels. */
  readonly surrogates?: Partial<SurrogateLimits>;
}

/** What the engine dropped or could not deliver since its start, and what it holds back. */
export interface GossipCounters {
  /** Unicasts for which there is no route, or no connection to the next hop. */
  readonly unrouted: number;
  /** Unicasts dropped because the connection to the next hop had too many waiting. */
  readonly unicastsDropped: number;
  /** Messages of unregistered channels that were forgotten before a slow connection took them. */
  readonly surrogatesDropped: number;
  /** Relays that wait for routes now. */
  readonly held: number;
}

/**
 * Order of calls, all synchronous and with time that never goes back:
 *
 * 1. `register()` each channel, then `setRoutes()` whenever the all-connections routes were rebuilt.
 * 2. `addConnection()` when a connection is in our table, `sendFullState()` if the remote was not reachable before
 *    or has restarted, `receive()` for each message with tag 4, 5 or 6 (a reason in return: close the connection),
 *    `removeConnection()` when it leaves the table. Calls for a connection that is gone do nothing.
 * 3. `holdRelays()` when a recalculation of routes was requested: what needs routes then waits, merged, until
 *    `setRoutes()`. Topology that changes routes holds by itself: look at `holding` after `receive()`.
 * 4. After any of these, if it is `pullable`, for each link of `ready()` that can be written to: `take()` until it gives
 *    undefined or the connection has had enough; then call `drained()` when it can be written to again. Nothing is
 *    encoded before `take()`.
 * 5. `wake()` at `nextWake()`.
 */
export class GossipEngine {
  readonly #self: PeerName;
  readonly #topology: TopologyChannel;
  readonly #random: Random;
  readonly #senderLimits: Partial<SenderLimits>;
  readonly #channels = new Map<string, GossipChannel>();
  readonly #surrogates: SurrogateChannels;
  readonly #senders = new Map<LinkId, GossipSender>();
  readonly #links = new Map<PeerName, LinkId>();
  /** Connections that may have something to send. */
  readonly #waiting = new Set<LinkId>();
  #pullable = false;
  #routes: RouteTable | undefined;
  #held: Map<string, Held> | undefined;
  #periodicAt: Millis;
  #unrouted = 0;
  #unicastsDropped = 0;

  /** An engine without connections, whose routes are still unknown: until `setRoutes()` it sends to nobody. */
  constructor(options: GossipOptions) {
    this.#topology = options.topology;
    this.#self = options.topology.topology.self;
    this.#random = options.random;
    this.#senderLimits = options.sender ?? {};
    this.#surrogates = new SurrogateChannels(options.surrogates ?? {});
    this.#periodicAt = after(options.now, GOSSIP_INTERVAL_MS);
    this.#channels.set(options.topology.name, options.topology);
  }

  /** Whether gossip waits for a recalculation of routes: the router has to see to it that one is due. */
  get holding(): boolean {
    return this.#held !== undefined;
  }

  /** Whether there may be something to pull that was not there at the last `ready()`. */
  get pullable(): boolean {
    return this.#pullable;
  }

  /** A connection that could take no more can be written to again. */
  drained(): void {
    this.#pullable = true;
  }

  /** Adds a channel; from now on nothing of that name is treated as unknown. */
  register(channel: GossipChannel): void {
    this.#forgetSurrogate(channel.name);
    this.#channels.set(channel.name, channel);
  }

  /** A connection to `peer` has entered our table; an older one to the same peer must have been removed. */
  addConnection(link: LinkId, peer: PeerName, now: Millis): void {
    this.#senders.set(link, new GossipSender(this.#self, peer, this.#senderLimits));
    this.#links.set(peer, link);
    for (const channel of this.#channels.values()) channel.onNeighbour?.(peer, now);
  }

  /** The connection has left our table; what waited for it is dropped. */
  removeConnection(link: LinkId): void {
    const sender = this.#senders.get(link);
    if (sender === undefined) return;
    this.#senders.delete(link);
    if (this.#links.get(sender.peer) === link) this.#links.delete(sender.peer);
  }

  /** Queues the complete state of every channel but `except` for one connection (spec mesh.md 5.3). */
  sendFullState(link: LinkId, except?: string): void {
    const sender = this.#senders.get(link);
    if (sender === undefined) return;
    this.#waiting.add(link);
    this.#pullable = true;
    for (const [name, channel] of this.#channels) {
      const state = name === except ? undefined : channel.fullState();
      if (state !== undefined) sender.gossip(name, state);
    }
  }

  /** New all-connections routes: releases whatever waited for them. */
  setRoutes(routes: RouteTable): void {
    this.#routes = routes;
    const held = this.#held;
    this.#held = undefined;
    for (const each of held?.values() ?? []) {
      if (each.tag === "gossip") this.#spread(each.channel, each.data, each.peer);
      else this.#pass(each.channel, each.data, each.peer);
    }
  }

  /** A recalculation of routes is pending: gossip and broadcasts wait for the next `setRoutes()`. */
  holdRelays(): void {
    this.#held ??= new Map();
  }

  /** Sends to random neighbours other than `except`, if any. */
  gossip(channel: string, data: GossipData, except?: PeerName): void {
    if (this.#held !== undefined) this.#hold({ tag: "gossip", channel, data, peer: except });
    else this.#spread(channel, data, except);
  }

  /** Sends to every neighbour. */
  gossipToAll(channel: string, data: GossipData): void {
    for (const peer of this.#links.keys()) this.#sender(peer)?.gossip(channel, data);
  }

  /** Sends to the one neighbour `peer`, if there is a connection. */
  gossipTo(peer: PeerName, channel: string, data: GossipData): void {
    this.#sender(peer)?.gossip(channel, data);
  }

  /** Sends a broadcast of ours to every peer. */
  broadcast(channel: string, data: GossipData): void {
    this.#relayBroadcast(channel, data, this.#self);
  }

  /** Sends to one peer, over as many hops as it takes. False: no route, no connection, or too much waiting. */
  unicast(channel: string, destination: PeerName, payload: Uint8Array): boolean {
    const message = encodeGossipFrame({ tag: "unicast", channel, source: this.#self, destination, payload });
    return this.#forward(destination, message);
  }

  /**
   * Handles a whole message with tag 4, 5 or 6 that came on `link`. A reason means that the connection has to be
   * closed; that something could not be relayed does not. `message` is not kept.
   */
  receive(link: LinkId, message: Uint8Array, now: Millis): Decoded<undefined> {
    const sender = this.#senders.get(link);
    if (sender === undefined) return good(undefined);
    const decoded = decodeGossipFrame(message);
    if (!decoded.ok) return decoded;
    const refused = this.#dispatch(decoded.value, message, sender.peer, now);
    return refused === undefined
      ? good(undefined)
      : bad(`Cannot take ${decoded.value.tag} on channel ${shown(decoded.value.channel)}: ${refused}`);
  }

  /** When `wake()` has something to do. */
  nextWake(): Millis {
    return this.#periodicAt;
  }

  /** Does what is due: the periodic full state. */
  wake(now: Millis): void {
    if (now < this.#periodicAt) return;
    const missed = Math.floor((now - this.#periodicAt) / GOSSIP_INTERVAL_MS);
    this.#periodicAt = after(this.#periodicAt, (missed + 1) * GOSSIP_INTERVAL_MS);
    for (const [name, channel] of this.#channels) {
      const state = channel.fullState();
      if (state !== undefined) this.gossip(name, state);
    }
  }

  /** Connections for which something waits, in the order in which they were added. */
  ready(): LinkId[] {
    this.#pullable = false;
    for (const link of this.#waiting) if (this.#senders.get(link)?.idle !== false) this.#waiting.delete(link);
    return [...this.#waiting].sort((a, b) => a - b); // ids ascend
  }

  /** The next message (tag included) for a connection that can be written to; undefined when nothing waits. */
  take(link: LinkId): Uint8Array | undefined {
    return this.#senders.get(link)?.take();
  }

  /** Tells every channel that peers have left the mesh, and how those parted whose hosts may be there still. */
  peersRemoved(peers: readonly PeerName[], partings?: ReadonlyMap<PeerName, Parting>): void {
    for (const channel of this.#channels.values()) channel.onPeersRemoved(peers, partings);
  }

  /** What was dropped so far. */
  counters(): GossipCounters {
    return {
      unrouted: this.#unrouted,
      unicastsDropped: this.#unicastsDropped,
      surrogatesDropped: this.#surrogates.dropped,
      held: this.#held?.size ?? 0,
    };
  }

  /** Returns the reason of a refusal. */
  #dispatch(frame: GossipFrame, message: Uint8Array, from: PeerName, now: Millis): string | undefined {
    if (frame.tag === "unicast") {
      if (frame.destination !== this.#self) {
        this.#forward(frame.destination, message.slice());
        return undefined;
      }
      const taken = this.#channels.get(frame.channel)?.onUnicast(frame.source, frame.payload, now);
      return taken === undefined || taken.ok ? undefined : taken.reason;
    }
    const channel = this.#channelOf(frame.channel);
    const news = frame.tag === "gossip"
      ? channel.onGossip(frame.payload, now, from)
      : channel.onBroadcast(frame.source, frame.payload, now);
    if (!news.ok) return news.reason;
    this.#afterTopology(from);
    if (news.value === undefined) return undefined;
    if (frame.tag === "gossip") this.gossip(frame.channel, news.value, frame.source);
    else this.#relayBroadcast(frame.channel, news.value, frame.source);
    return undefined;
  }

  #afterTopology(from: PeerName): void {
    if (this.#topology.routesStale) this.holdRelays();
    for (const { channel, data } of this.#topology.takeAnswers()) this.gossipTo(from, channel, data);
  }

  #channelOf(name: string): GossipChannel {
    const registered = this.#channels.get(name);
    if (registered !== undefined) return registered;
    const { channel, evicted } = this.#surrogates.channel(name);
    if (evicted !== undefined) this.#dropPending(evicted);
    return channel;
  }

  #forgetSurrogate(name: string): void {
    if (this.#surrogates.forget(name)) this.#dropPending(name);
  }

  /** Nothing may wait for a channel that is not accounted for any more. */
  #dropPending(channel: string): void {
    for (const sender of this.#senders.values()) sender.forget(channel);
    for (const [key, held] of this.#held ?? []) if (held.channel === channel) this.#held?.delete(key);
  }

  #relayBroadcast(channel: string, data: GossipData, source: PeerName): void {
    if (this.#held === undefined) this.#pass(channel, data, source);
    else if (this.#topology.topology.get(source) !== undefined) {
      this.#hold({ tag: "broadcast", channel, data, peer: source });
    }
  }

  /** At most one datum is held for each tag, channel and peer; broadcasts of unknown peers are not held. */
  #hold(next: Held): void {
    const key = `${next.tag} ${next.peer} ${next.channel}`;
    const before = this.#held?.get(key);
    this.#held?.set(key, before === undefined ? next : { ...next, data: before.data.merge(next.data) });
  }

  #spread(channel: string, data: GossipData, except: PeerName | undefined): void {
    if (this.#routes === undefined) return;
    for (const peer of randomNeighbours(this.#routes, this.#random, except)) {
      this.#sender(peer)?.gossip(channel, data);
    }
  }

  #pass(channel: string, data: GossipData, source: PeerName): void {
    for (const peer of this.#routes?.broadcast(source) ?? []) {
      this.#sender(peer)?.broadcast(channel, source, data);
    }
  }

  #forward(destination: PeerName, message: Uint8Array): boolean {
    const hop = this.#routes?.nextHop(destination);
    const sender = hop === undefined ? undefined : this.#sender(hop);
    if (sender === undefined) this.#unrouted++;
    else if (sender.unicast(message)) return true;
    else this.#unicastsDropped++;
    return false;
  }

  /** The sender of the connection to a neighbour, in order to give it something to send. */
  #sender(peer: PeerName): GossipSender | undefined {
    const link = this.#links.get(peer);
    if (link === undefined) return undefined;
    this.#waiting.add(link);
    this.#pullable = true;
    return this.#senders.get(link);
  }
}

/** What waits for routes: `peer` is the neighbour left out of a gossip, or the source of a broadcast. */
type Held =
  | {
    readonly tag: "gossip";
    readonly channel: string;
    readonly data: GossipData;
    readonly peer: PeerName | undefined;
  }
  | {
    readonly tag: "broadcast";
    readonly channel: string;
    readonly data: GossipData;
    readonly peer: PeerName;
  };

function shown(channel: string): string {
  return JSON.stringify(channel.length > 40 ? `${channel.slice(0, 40)}...` : channel);
}
