/** What flows left by an earlier run of ours say about MAC addresses, peers and the ways to them. */
import { isGroupMac, type Mac } from "../../core/addr.ts";
import type { ShortId } from "../../core/names.ts";
import type { FlowAction, FlowKey, FlowRecord, TunnelKey } from "../../wire/netlink/ovs_keys.ts";
import { vniDestination, vniSource } from "../../wire/packet/vxlan.ts";
import { AdoptedKnowledge } from "../paths/knowledge.ts";
import type { TunnelPath } from "../paths/network.ts";
import { localPlace, peerPlace, type Place } from "./place.ts";
import type { PortTable } from "../paths/port_table.ts";

/** Conclusions from flows. */
export interface Conclusions {
  readonly knowledge: AdoptedKnowledge;
  /** Every peer named by a flow, with the direct path to it if there was one. */
  readonly paths: ReadonlyMap<ShortId, TunnelPath | undefined>;
  readonly macs: readonly (readonly [mac: Mac, place: Place])[];
}

type TunnelAction = Extract<FlowAction, { kind: "tunnel" }>;

/** Draws conclusions. Flows without key or actions, and those of ports that are gone, say nothing. */
export function concludeFrom(flows: readonly FlowRecord[], ports: PortTable): Conclusions {
  const reader = new FlowReader(ports);
  for (const { key, actions } of flows) {
    if (key === undefined || actions === undefined || actions.length === 0) continue;
    if (key.tunnel !== undefined && ports.isTunnel(key.inPort)) reader.fromTunnel(key, key.tunnel, actions);
    else if (key.tunnel === undefined && ports.isLocal(key.inPort)) reader.fromPort(key, actions);
  }
  return reader.conclude();
}

class FlowReader {
  /** How many flows say that a short id is ours. */
  readonly #selves = new Map<ShortId, number>();
  readonly #macs: [Mac, Place][] = [];
  /** Neighbours, by the path that leads to them. */
  readonly #neighbours = new Map<string, Set<ShortId>>();
  readonly #direct = new Map<ShortId, TunnelPath>();
  /** Paths by which frames for a peer left, or, weaker, by which frames of a peer came. */
  readonly #toward = new Map<ShortId, TunnelPath>();
  readonly #back = new Map<ShortId, TunnelPath>();
  readonly #hops = new Map<ShortId, Set<ShortId>>();

  constructor(readonly ports: PortTable) {}

  fromPort(key: FlowKey, actions: readonly FlowAction[]): void {
    const { inPort, ethSrc, ethDst } = key;
    if (ethSrc === undefined || ethDst === undefined) return;
    this.#macs.push([ethSrc, localPlace(inPort)]);
    for (const action of actions) {
      if (action.kind === "tunnel") this.#self(vniSource(action.tunnel.id));
    }
    if (isGroupMac(ethDst)) return this.#flood(actions);
    const [only] = actions;
    if (only === undefined || actions.length !== 1 || this.ports.get(only.port) === undefined) return;
    if (only.kind === "output") return void this.#macs.push([ethDst, localPlace(only.port)]);
    if (only.kind === "sleeve") return;
    const peer = vniDestination(only.tunnel.id);
    this.#macs.push([ethDst, peerPlace(peer)]);
    this.#toward.set(peer, pathOf(only));
  }

  fromTunnel(key: FlowKey, tunnel: TunnelKey, actions: readonly FlowAction[]): void {
    const origin = vniSource(tunnel.id);
    this.#back.set(origin, { kind: "tunnel", port: key.inPort, local: tunnel.dst, remote: tunnel.src });
    const { ethSrc, ethDst } = key;
    if (ethSrc === undefined || ethDst === undefined) {
      for (const action of actions) {
        if (this.#usable(action)) this.#toward.set(vniDestination(action.tunnel.id), pathOf(action));
      }
      return;
    }
    this.#self(vniDestination(tunnel.id));
    this.#macs.push([ethSrc, peerPlace(origin)]);
    if (isGroupMac(ethDst)) return this.#flood(actions);
    for (const action of actions) {
      if (action.kind === "output") this.#macs.push([ethDst, localPlace(action.port)]);
    }
  }

  /** Copies of a flood go to neighbours directly. */
  #flood(actions: readonly FlowAction[]): void {
    for (const action of actions) {
      if (!this.#usable(action)) continue;
      const origin = vniSource(action.tunnel.id);
      const hop = vniDestination(action.tunnel.id);
      const path = pathOf(action);
      this.#direct.set(hop, path);
      put(this.#neighbours, pathText(path), hop);
      put(this.#hops, origin, hop);
    }
  }

  #usable(action: FlowAction): action is TunnelAction {
    return action.kind === "tunnel" && this.ports.isTunnel(action.port);
  }

  #self(short: ShortId): void {
    this.#selves.set(short, (this.#selves.get(short) ?? 0) + 1);
  }

  conclude(): Conclusions {
    const [self] = [...this.#selves].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0] ?? [-1];
    const paths = new Map<ShortId, TunnelPath | undefined>(this.#direct);
    const next = new Map<ShortId, ShortId>();
    for (const [peer, path] of [...this.#toward, ...this.#back]) {
      if (paths.has(peer)) continue;
      const [via] = this.#neighbours.get(pathText(path)) ?? [];
      paths.set(peer, via === undefined ? path : undefined);
      if (via !== undefined) next.set(peer, via);
    }
    const hops = new Map([...this.#hops].map(([origin, set]) => [origin, [...set]] as const));
    return { knowledge: new AdoptedKnowledge(self, next, hops), paths, macs: this.#macs };
  }
}

function put<K>(map: Map<K, Set<ShortId>>, key: K, short: ShortId): void {
  const there = map.get(key);
  if (there === undefined) map.set(key, new Set([short]));
  else there.add(short);
}

function pathOf(action: TunnelAction): TunnelPath {
  return { kind: "tunnel", port: action.port, local: action.tunnel.src, remote: action.tunnel.dst };
}

function pathText(path: TunnelPath): string {
  return `${path.port} ${path.local} ${path.remote}`;
}
