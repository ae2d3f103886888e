/** What containers of a cluster say to each other, and where it must arrive. */
import type { OverlayName } from "../../../mod/core/overlay_port.ts";
import type { PortNo } from "../../../mod/wire/netlink/ovs_keys.ts";
import { type Arrival, Cluster } from "./cluster.ts";

/** A container: its host, its port there, its address. */
export interface Box {
  readonly host: number;
  readonly port: PortNo;
  readonly mac: number;
}

let macs = 0x0a00_0000_0001;
/** Attaches a container with an address of its own. */
export function box(cluster: Cluster, host: number): Box {
  return { host, port: cluster.attach(host), mac: macs++ };
}

/** Hosts in a line, each linked to the next, with a container each. */
export function chain(
  length: number,
  overlays: readonly (readonly OverlayName[])[] = [],
): { cluster: Cluster; boxes: Box[] } {
  const cluster = new Cluster(length, {}, overlays);
  for (let i = 1; i < length; i++) cluster.connect(i - 1, i);
  cluster.advance(1_000);
  return { cluster, boxes: Array.from({ length }, (_, i) => box(cluster, i)) };
}

/** A container sends to an address; where that arrived. */
export function say(cluster: Cluster, from: Box, to: number): Arrival[] {
  return cluster.send(from.host, from.port, to, from.mac);
}

/** The ports of containers. */
export function at(...boxes: Box[]): Arrival[] {
  return boxes.map((each): Arrival => `${each.host}:${each.port}`).sort();
}

/** Every local port of every host, but the one a frame comes from. */
export function everywhereBut(
  cluster: Cluster,
  from: Box,
  hosts = cluster.hosts.map((host) => host.index),
): Arrival[] {
  return hosts.flatMap((index) =>
    [...cluster.hosts[index]!.kernel.ports.values()]
      .filter((port) => port.kind !== "vxlan" && port.kind !== "sleeve")
      .map((port): Arrival => `${index}:${port.port}`)
  ).filter((arrival) => arrival !== `${from.host}:${from.port}`).sort();
}
