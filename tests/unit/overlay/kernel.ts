/** A datapath as the kernel runs it: flows that match keys with masks, ports, tunnels; and the wire between hosts. */
import assert from "node:assert/strict";
import type { Ip, Mac } from "../../../mod/core/addr.ts";
import { macAt, macToBytes } from "../../../mod/core/addr.ts";
import { equalBytes } from "../../../mod/core/bytes.ts";
import type { DataplaneEffect } from "../../../mod/overlay/ports/dataplane_types.ts";
import {
  FIRST_PEER_PLACE,
  type SwitchedEvent,
  type WhereaboutsEffect,
} from "../../../mod/overlay/ports/switched_types.ts";
import type {
  FlowAction,
  FlowHandle,
  FlowKey,
  FlowRecord,
  Miss,
  PortNo,
  SleeveKey,
  TunnelKey,
  Ufid,
  Vport,
} from "../../../mod/wire/netlink/ovs_keys.ts";

/** One installed flow. */
export interface KernelFlow {
  key: FlowKey;
  actions: readonly FlowAction[];
  packets: number;
}

/** A frame that left the host through a tunnel. */
export interface TunnelFrame {
  readonly udpPort: number;
  readonly tunnel: TunnelKey;
  readonly frame: Uint8Array;
}

/** One host's datapath. What happens to frames is told through the three callbacks. */
export class FakeKernel {
  readonly ports = new Map<PortNo, Vport>();
  readonly flows = new Map<Ufid, KernelFlow>();
  misses = 0;
  #nextPort = 1;
  /** Whereabouts: origins by where a frame came in, places of addresses, ways to places. */
  readonly #origins = new Map<string, number>();
  readonly #places = new Map<Mac, number>();
  readonly #ways = new Map<number, FlowAction>();

  constructor(
    readonly on: {
      miss(miss: Miss): void;
      /** False: nobody is there to hear it. */
      switched(event: SwitchedEvent): boolean;
      deliver(port: PortNo, frame: Uint8Array): void;
      send(frame: TunnelFrame): void;
      sleeve(key: SleeveKey, frame: Uint8Array): void;
    },
  ) {
    this.ports.set(0 as PortNo, vport(0, "netdev", "vmn0"));
  }

  addPort(kind: "netdev" | "vxlan" | "sleeve", name: string, udpPort?: number): Vport {
    const port = vport(this.#nextPort++, kind, name, udpPort);
    this.ports.set(port.port, port);
    return port;
  }

  vxlan(udpPort: number): Vport | undefined {
    return [...this.ports.values()].find((port) => port.udpPort === udpPort);
  }

  /** A frame comes in; at most one flow may match it. */
  receive(inPort: PortNo, frame: Uint8Array, from: Pick<FlowKey, "tunnel" | "sleeve"> = {}): void {
    const key = { inPort, ...from, ethDst: macAt(frame, 0), ethSrc: macAt(frame, 6) };
    const matching = [...this.flows.values()].filter((flow) => matches(flow.key, key));
    assert.ok(matching.length <= 1, `flows overlap: ${JSON.stringify(matching.map((flow) => flow.key))}`);
    const [flow] = matching;
    if (flow === undefined) {
      const action = from.sleeve === undefined ? this.#known(key) : undefined;
      if (action !== undefined) return this.#switch(key, action, frame);
      this.misses++;
      this.on.miss({ key, frame });
      return;
    }
    flow.packets++;
    this.execute(flow.actions, frame);
  }

  /** Where a frame without a flow goes by whereabouts. */
  #known(key: Miss["key"]): FlowAction | undefined {
    const [origin, source, destination] = [
      this.#origins.get(originText(key)),
      this.#places.get(key.ethSrc),
      this.#places.get(key.ethDst),
    ];
    if (origin === undefined || source !== origin || destination === undefined || destination === origin) {
      return undefined;
    }
    const betweenOthers = origin >= FIRST_PEER_PLACE && destination >= FIRST_PEER_PLACE;
    return betweenOthers ? undefined : this.#ways.get(destination);
  }

  /** What goes by whereabouts must be what is decided of it. */
  #switch(key: Miss["key"], action: FlowAction, frame: Uint8Array): void {
    if (this.on.switched({ kind: "switched", key, bytes: frame.length })) {
      const decided = [...this.flows.values()].filter((flow) => matches(flow.key, key));
      assert.deepEqual(decided.map(({ actions }) => actions), [[action]], "whereabouts and decisions differ");
    }
    this.execute([action], frame);
  }

  know({ macs, origins, ways }: WhereaboutsEffect): void {
    for (const [mac, place] of macs) set(this.#places, mac, place);
    for (const [key, place] of origins) set(this.#origins, originText(key), place);
    for (const [place, action] of ways) set(this.#ways, place, action);
  }

  /** What a process that begins does. */
  forgetWhereabouts(): void {
    for (const map of [this.#origins, this.#places, this.#ways]) map.clear();
  }

  execute(actions: readonly FlowAction[], frame: Uint8Array): void {
    for (const action of actions) {
      const port = this.ports.get(action.port);
      if (port === undefined) continue;
      if (action.kind === "output") {
        assert.ok(port.kind !== "vxlan" && port.kind !== "sleeve", `plain output to a ${port.kind} port`);
        this.on.deliver(action.port, frame);
      } else if (action.kind === "sleeve") {
        assert.equal(port.kind, "sleeve");
        this.on.sleeve(action.sleeve, frame);
      } else {
        assert.equal(port.kind, "vxlan");
        this.on.send({ udpPort: port.udpPort!, tunnel: action.tunnel, frame });
      }
    }
  }

  perform(
    effect: Extract<DataplaneEffect, { kind: "install" | "execute" | "delete" | "whereabouts" }>,
  ): void {
    if (effect.kind === "whereabouts") return this.know(effect);
    if (effect.kind === "delete") return void this.flows.delete(effect.ufid);
    if (effect.kind === "install") this.install(effect.ufid, effect.key, effect.actions);
    if (effect.frame !== undefined) this.execute(effect.actions, effect.frame);
  }

  install(ufid: Ufid, key: FlowKey, actions: readonly FlowAction[]): void {
    const old = this.flows.get(ufid);
    if (old !== undefined) assert.deepEqual(old.key, key, "a flow id changed its key");
    this.flows.set(ufid, { key, actions, packets: old?.packets ?? 0 });
  }

  deleteByHandle(handle: FlowHandle): void {
    for (const record of this.dump()) {
      if (equalBytes(record.handle, handle)) this.flows.delete(record.ufid!);
    }
  }

  dump(): FlowRecord[] {
    return [...this.flows].map(([ufid, { key, actions, packets }]) => ({
      ufid,
      handle: Uint8Array.of(ufid >>> 24, ufid >>> 16, ufid >>> 8, ufid) as Uint8Array as FlowHandle,
      key,
      actions,
      packets,
      bytes: 0,
      usedAt: undefined,
    }));
  }
}

export function vport(port: number, kind: Vport["kind"], name: string, udpPort?: number): Vport {
  return { port: port as PortNo, kind, name, ifindex: undefined, udpPort, upcallPids: [] };
}

function set<K, V>(map: Map<K, V>, key: K, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

function originText({ inPort, tunnel }: FlowKey): string {
  return `${inPort} ${tunnel?.id} ${tunnel?.src} ${tunnel?.dst}`;
}

function matches(flow: FlowKey, key: Miss["key"]): boolean {
  if (flow.inPort !== key.inPort) return false;
  if (flow.ethSrc !== undefined && flow.ethSrc !== key.ethSrc) return false;
  if (flow.ethDst !== undefined && flow.ethDst !== key.ethDst) return false;
  if (flow.sleeve?.id !== key.sleeve?.id || flow.sleeve?.link !== key.sleeve?.link) return false;
  if ((flow.tunnel === undefined) !== (key.tunnel === undefined)) return false;
  if (flow.tunnel === undefined || key.tunnel === undefined) return true;
  return flow.tunnel.id === key.tunnel.id && flow.tunnel.src === key.tunnel.src &&
    flow.tunnel.dst === key.tunnel.dst;
}

/** An Ethernet frame with a number in its payload. */
export function frameOf(dst: number, src: number, number = 0, length = 64): Uint8Array {
  const frame = new Uint8Array(length);
  frame.set(macToBytes(dst as Mac), 0);
  frame.set(macToBytes(src as Mac), 6);
  frame.set([0x08, 0x00], 12);
  new DataView(frame.buffer).setUint32(14, number);
  return frame;
}

/** The number in a frame. */
export function numberOf(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset).getUint32(14);
}

/** 192.0.2.n, or 2001:db8::n. */
export function hostIp(n: number, ipv6 = false): Ip {
  return (ipv6 ? `2001:db8::${n.toString(16)}` : `192.0.2.${n}`) as Ip;
}
