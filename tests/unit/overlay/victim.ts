/** A data plane that is attacked: checks every effect, and that its flows are what would be decided afresh. */
import assert from "node:assert/strict";
import type { Ip, Mac } from "../../../mod/core/addr.ts";
import type { ConnUid, PeerName } from "../../../mod/core/names.ts";
import type { LinkId, OverlayRequest } from "../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../mod/core/time.ts";
import {
  Dataplane,
  type DataplaneEffect,
  type DataplaneEvent,
  type DataplaneLimits,
} from "../../../mod/overlay/dataplane.ts";
import { encodeHeartbeat } from "../../../mod/wire/mesh/heartbeat.ts";
import type { FlowAction, FlowKey, FlowRecord, PortNo, Ufid } from "../../../mod/wire/netlink/ovs_keys.ts";
import { peerNumber } from "../../../mod/wire/mesh/sleeve.ts";
import { loopProbeAt } from "../../../mod/wire/packet/loop_probe.ts";
import type { Vni } from "../../../mod/wire/packet/vxlan.ts";
import { OVS_HOST } from "./ovs_host.ts";
import { hostIp, vport } from "./kernel.ts";

export const LIMITS: DataplaneLimits = {
  flows: 400,
  flowsPerSource: 120,
  macs: 200,
  macsPerPort: 40,
  macsPerPeer: 60,
};
export const PEERS = Array.from({ length: 6 }, (_, i) => `02:00:00:00:00:0${i + 1}` as PeerName);
const MTU = 100;
export const VXLAN = 9 as PortNo;
export const PORTS = [
  vport(0, "netdev", "vmn0"),
  ...[1, 2, 3].map((n) => vport(n, "netdev", `vmn${n}`)),
  vport(VXLAN, "vxlan", "vxlan-6784", 6784),
];
export const at = (ms: number) => ms as Millis;
type Prepare = Extract<OverlayRequest, { kind: "prepare" }>;

/** A core, and the flows that the kernel would have by its effects. */
export class Victim {
  readonly core: Dataplane;
  readonly flows = new Map<Ufid, { key: FlowKey; actions: readonly FlowAction[] }>();
  /** Links whose traffic must be encrypted, and their addresses. */
  readonly sealedLinks = new Map<LinkId, Ip>();
  now = 0;

  constructor(limits: Partial<DataplaneLimits> = LIMITS, flows: readonly FlowRecord[] = []) {
    this.core = new Dataplane({ ...OVS_HOST, mtu: MTU, limits });
    for (const { ufid, key, actions } of flows) this.flows.set(ufid!, { key: key!, actions: actions! });
    this.step({ kind: "started", ports: PORTS, flows });
  }

  step(event: DataplaneEvent): readonly DataplaneEffect[] {
    const effects = this.core.step(event, at(this.now));
    for (const effect of effects) this.#check(effect);
    const answers = effects.flatMap((effect) => this.#answer(effect));
    return answers.length === 0
      ? effects
      : [...effects.filter((effect) => effect.kind !== "xfrm"), ...answers];
  }

  /** This kernel has no IPsec. */
  #answer(effect: DataplaneEffect): readonly DataplaneEffect[] {
    if (effect.kind !== "xfrm" || effect.do !== "guard") return [];
    return this.step({ kind: "xfrm-guarded", path: effect.path, reason: "no IPsec here" });
  }

  get sealed(): ReadonlySet<Ip> {
    return new Set(this.sealedLinks.values());
  }

  request(request: OverlayRequest): readonly DataplaneEffect[] {
    if (request.kind === "stop") this.sealedLinks.delete(request.link);
    if (request.kind === "prepare" && request.protection.kind === "sealed" && this.#takes(request)) {
      this.sealedLinks.set(request.link, request.remote.ip);
    }
    return this.step({ kind: "request", request });
  }

  #takes({ link, theirOverlays }: Prepare): boolean {
    const known = this.core.report(at(this.now)).links.some((each) => each.link === link);
    return !known && (theirOverlays?.includes("fastdp") ?? false);
  }

  #check(effect: DataplaneEffect): void {
    switch (effect.kind) {
      case "xfrm":
        assert.ok(effect.do !== "send" && effect.do !== "receive", "keys for a path without guard");
        break;
      case "install":
        this.#checkActions(effect.key.inPort, effect.actions);
        assert.ok(!this.sealed.has(effect.key.tunnel?.src ?? "" as Ip) || effect.actions.length === 0);
        this.flows.set(effect.ufid, effect);
        break;
      case "execute":
        // What looks for loops is nobody's.
        if (loopProbeAt(effect.frame, 0, effect.frame.length) === undefined) {
          this.#checkActions(effect.inPort, effect.actions);
        }
        break;
      case "delete":
        this.flows.delete(effect.ufid);
        break;
    }
  }

  #checkActions(inPort: PortNo, actions: readonly FlowAction[]): void {
    for (const action of actions) {
      if (action.kind === "output") assert.notEqual(action.port, inPort, "output to the port of origin");
      else if (action.kind === "tunnel") {
        assert.ok(!this.sealed.has(action.tunnel.dst), `in clear to ${action.tunnel.dst}`);
      }
    }
  }

  topology(shortIds: readonly number[], edges: readonly (readonly [number, number])[]): void {
    const pairs = edges.flatMap(([a, b]) => [[a, b], [b, a]] as const)
      .sort((x, y) => x[0] - y[0] || x[1] - y[1]);
    const unique = pairs.filter((p, i) => i === 0 || p[0] !== pairs[i - 1]![0] || p[1] !== pairs[i - 1]![1]);
    const names = PEERS.slice(0, shortIds.length);
    const view = {
      names,
      self: 0,
      shortIds: Int16Array.from(shortIds),
      edges: Uint32Array.from(unique.flat()),
    };
    this.request({ kind: "topology", view });
  }

  /** A link to the peer of this index over which traffic goes in clear. */
  establish(link: number, peer: number, changes: Partial<Prepare> = {}): void {
    this.request({ ...prepareOf(link, peer), ...changes });
    this.request({ kind: "confirm", link: link as LinkId });
    const { connUid, remote, peer: name } = { ...prepareOf(link, peer), ...changes };
    const short = this.core.directory.shortOfNumber(peerNumber(name));
    this.heartbeat(connUid, remote.ip, short < 0 ? peer + 1 : short);
    this.request({ kind: "control", link: link as LinkId, message: Uint8Array.of(7, 0, 0) });
  }

  heartbeat(uid: bigint, source: Ip, origin: number): readonly DataplaneEffect[] {
    const key = tunnelKey(origin, 1, source, 0, 0);
    return this.step({ kind: "miss", miss: { key, frame: encodeHeartbeat(uid as ConnUid, MTU) } });
  }

  remote(link: number): Ip | undefined {
    return this.core.report(at(this.now)).links.find((each) => each.link === link)?.remote;
  }

  /** Everything is within its bounds, and every flow is what would be decided now. */
  verify(limits: DataplaneLimits = LIMITS): void {
    const report = this.core.report(at(this.now));
    assert.ok(report.datapath.flows <= limits.flows, `${report.datapath.flows} flows`);
    assert.equal(report.datapath.flows, this.flows.size);
    assert.ok(report.macs.local + report.macs.remote <= limits.macs);
    assert.deepEqual(this.core.reconcile(at(this.now)), [], "flows differ from fresh decisions");
    for (const { key, actions } of this.flows.values()) {
      this.#checkActions(key.inPort, actions);
      if (key.tunnel !== undefined && this.sealed.has(key.tunnel.src)) assert.deepEqual(actions, []);
    }
  }
}

export function prepareOf(link: number, peer: number): Prepare {
  return {
    kind: "prepare",
    link: link as LinkId,
    peer: PEERS[peer]!,
    local: hostIp(1),
    remote: { ip: hostIp(peer + 1), port: 40_000 },
    outbound: false,
    connUid: BigInt(1000 + link) as ConnUid,
    protection: { kind: "clear" },
    theirOverlays: ["fastdp", "sleeve"],
    extensions: [],
  };
}

export function tunnelKey(from: number, to: number, src: Ip, ethSrc: number, ethDst: number) {
  const tunnel = { id: (from | to << 12) as Vni, src, dst: hostIp(1) };
  return { inPort: VXLAN, tunnel, ethSrc: ethSrc as Mac, ethDst: ethDst as Mac };
}
export const localKey = (inPort: number, ethSrc: number, ethDst: number) => ({
  inPort: inPort as PortNo,
  ethSrc: ethSrc as Mac,
  ethDst: ethDst as Mac,
});
export const SEALED = { protection: { kind: "sealed", sessionKey: new Uint8Array(32) } } as const;
