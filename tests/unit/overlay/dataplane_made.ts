/** A data plane with two peers, and short ways to ask it. */
import type { Mac } from "../../../mod/core/addr.ts";
import type { ConnUid, PeerName } from "../../../mod/core/names.ts";
import type { LinkId, OverlayEvent, OverlayRequest } from "../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { Dataplane, type DataplaneEffect, type DataplaneLimits } from "../../../mod/overlay/dataplane.ts";
import type { FlowKey, FlowRecord, PortNo, TunnelKey } from "../../../mod/wire/netlink/ovs_keys.ts";
import { encodeHeartbeat } from "../../../mod/wire/mesh/heartbeat.ts";
import type { Vni } from "../../../mod/wire/packet/vxlan.ts";
import { OVS_HOST } from "./ovs_host.ts";
import { frameOf, hostIp, vport } from "./kernel.ts";

export const US = "02:00:00:00:00:01" as PeerName;
export const PEER = "02:00:00:00:00:02" as PeerName;
export const LINK = 1 as LinkId;
export const UID = 77n as ConnUid;
export const at = (ms: number) => ms as Millis;
export const PORTS = [
  vport(0, "netdev", "vmn0"),
  vport(1, "netdev", "vmn1"),
  vport(9, "vxlan", "vxlan-6784", 6784),
];

export function made(limits: Partial<DataplaneLimits> = {}, flows: readonly FlowRecord[] = []): Dataplane {
  const core = new Dataplane({ ...OVS_HOST, limits });
  core.step({ kind: "started", ports: PORTS, flows }, at(0));
  return core;
}

/** On a host whose kernel has no IPsec. */
export function request(core: Dataplane, wanted: OverlayRequest, now = 0): readonly DataplaneEffect[] {
  const effects = core.step({ kind: "request", request: wanted }, at(now));
  const answers = effects.flatMap((effect) =>
    effect.kind === "xfrm" && effect.do === "guard"
      ? core.step({ kind: "xfrm-guarded", path: effect.path, reason: "no IPsec here" }, at(now))
      : []
  );
  return [...effects.filter((effect) => effect.kind !== "xfrm"), ...answers];
}

export function topology(
  core: Dataplane,
  shortIds = [1, 2],
  linked = true,
  now = 0,
): readonly DataplaneEffect[] {
  const edges = Uint32Array.from(linked ? [0, 1, 1, 0] : []);
  const view = { names: [US, PEER], self: 0, shortIds: Int16Array.from(shortIds), edges };
  return request(core, { kind: "topology", view }, now);
}

export const PREPARE: Extract<OverlayRequest, { kind: "prepare" }> = {
  kind: "prepare",
  link: LINK,
  peer: PEER,
  local: hostIp(1),
  remote: { ip: hostIp(2), port: 40_000 },
  outbound: false,
  connUid: UID,
  protection: { kind: "clear" },
  theirOverlays: ["fastdp", "sleeve"],
  extensions: [],
};

export function told(effects: readonly DataplaneEffect[]): OverlayEvent[] {
  return effects.flatMap((effect) => effect.kind === "overlay" ? [effect.event] : []);
}
export function whyOf(effects: readonly DataplaneEffect[]): string | undefined {
  return told(effects).flatMap((event) => event.kind === "status" ? [event.status.why] : []).at(-1);
}
export function miss(
  core: Dataplane,
  key: FlowKey & { ethSrc: Mac; ethDst: Mac },
  now = 0,
  frame = frameOf(0, 0),
) {
  return core.step({ kind: "miss", miss: { key, frame } }, at(now));
}
export function local(src: number, dst: number, inPort = 1) {
  return { inPort: inPort as PortNo, ethSrc: src as Mac, ethDst: dst as Mac };
}
export function tunnel(id: number, src = hostIp(2)): TunnelKey {
  return { id: id as Vni, src, dst: hostIp(1) };
}
export function established(core: Dataplane): void {
  topology(core, [1, 2], false);
  request(core, PREPARE);
  request(core, { kind: "confirm", link: LINK });
  works(core, LINK, UID);
  topology(core);
}
/** The peer's heartbeat comes, and it says that ours does. */
export function works(core: Dataplane, link: LinkId, connUid: ConnUid, now = 0): readonly DataplaneEffect[] {
  const beat = { inPort: 9 as PortNo, ethSrc: 0 as Mac, ethDst: 0 as Mac, tunnel: tunnel(0x1002) };
  return [
    ...miss(core, beat, now, encodeHeartbeat(connUid, 1376)),
    ...request(core, { kind: "control", link, message: Uint8Array.of(7, 0, 0) }, now),
  ];
}
export const kinds = (effects: readonly DataplaneEffect[]) => effects.map((effect) => effect.kind);
