/** Several complete data planes over fake kernels, a lossless wire, and a mesh that knows everything at once. */
import assert from "node:assert/strict";
import type { Ip, Mac } from "../../../mod/core/addr.ts";
import { type ConnUid, type PeerName, peerNameFromNumber } from "../../../mod/core/names.ts";
import type { LinkId, OverlayEvent, OverlayName, TopologyView } from "../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../mod/core/time.ts";
import {
  type AddressUse,
  Dataplane,
  type DataplaneEffect,
  type DataplaneEvent,
  type DataplaneOptions,
} from "../../../mod/overlay/dataplane.ts";
import type { PortNo, SleeveKey } from "../../../mod/wire/netlink/ovs_keys.ts";
import type { SleeveCarrier } from "../../../mod/overlay/ports/sleeve_port.ts";
import { FakeIpsec } from "./fake_ipsec.ts";
import { OVS_HOST } from "./ovs_host.ts";
import { FakeKernel, frameOf, hostIp, numberOf, type TunnelFrame } from "./kernel.ts";

export const BROADCAST = 0xffff_ffff_ffff as Mac;
const CLEAR = { kind: "clear" } as const;
const SEALED = { kind: "sealed", sessionKey: new Uint8Array(32) } as const;
/** What the wire takes. */
const PATH_MTU = 1500;
/** What a container queues at most. */
const BACKLOG = 100;
/** More frames than this in flight mean a loop. */
const STORM = 20_000;

interface Link {
  readonly a: number;
  readonly b: number;
  readonly ids: readonly [LinkId, LinkId];
  readonly up: [boolean, boolean];
}

export interface Host {
  readonly index: number;
  readonly ip: Ip;
  readonly name: PeerName;
  shortId: number;
  readonly kernel: FakeKernel;
  readonly ipsec: FakeIpsec;
  readonly overlays: readonly OverlayName[];
  core: Dataplane | undefined;
  readonly events: OverlayEvent[];
  /** Addresses that somebody uses, as this host has heard. */
  readonly used: AddressUse[];
  boots: number;
  /** Links that user space has open. */
  readonly open: Map<LinkId, SleeveCarrier>;
}

/** Where a frame arrived: host and port. */
export type Arrival = `${number}:${number}`;

export class Cluster {
  now = 0 as Millis;
  readonly hosts: Host[] = [];
  readonly links: Link[] = [];
  readonly arrivals = new Map<number, Arrival[]>();
  /** UDP between these addresses is lost, as "from>to". */
  readonly blocked = new Set<string>();
  /** What user space sends between these hosts is lost, as "from>to". */
  readonly blockedSleeve = new Set<string>();
  /** Whether links made from now on must be sealed. */
  sealed = false;
  /** What a host tells another about their link is lost, as "from>to". */
  lostControls = "";
  /** Whether nobody hears of links that work from now on. */
  quiet = false;
  /** Local ports whose containers are bridged together, as "host:port": what arrives at one comes out of the others a
   * millisecond later. */
  readonly bridged = new Map<Arrival, readonly Arrival[]>();
  #coming: (() => void)[] = [];
  /** Tunnel frames that went in clear. */
  clear = 0;
  #queue: (() => void)[] = [];
  #running = false;
  #nextLink = 1;
  #nextFrame = 1;
  #handled = 0;

  /** `overlays`: those of each host; fastdp alone for hosts that are not told. Hosts that announce it are linked over IPv6. */
  constructor(
    count: number,
    readonly options: Partial<DataplaneOptions> = {},
    overlays: readonly (readonly OverlayName[])[] = [],
  ) {
    for (let index = 0; index < count; index++) this.#addHost(index, overlays[index] ?? ["fastdp"]);
    this.hosts.forEach((host) => this.boot(host.index));
    this.publish();
  }

  #addHost(index: number, overlays: readonly OverlayName[]): void {
    const kernel = new FakeKernel({
      miss: (miss) => this.step(index, { kind: "miss", miss }),
      switched: (event) => (this.step(index, event), this.hosts[index]!.core !== undefined),
      deliver: (port, frame) => this.#arrived(index, port, frame),
      send: (frame) => this.#post(() => this.#transmit(frame)),
      sleeve: (key, frame) => this.#post(() => this.#carry(index, key, frame)),
    });
    if (overlays.includes("sleeve")) kernel.addPort("sleeve", "mesh-tap");
    const name = peerNameFromNumber(0x020000000000 + (index * 7919) % 1000)!;
    const shortId = (index * 37 + 5) % 4096;
    this.hosts.push({
      ...{ index, name, shortId, kernel, overlays },
      ip: hostIp(index + 1, this.options.extensions?.includes("fastdp-ipv6")),
      ipsec: new FakeIpsec(),
      core: undefined,
      ...{ events: [], used: [] },
      ...{ boots: 0, open: new Map() },
    });
  }

  #arrived(host: number, port: PortNo, frame: Uint8Array): void {
    const number = numberOf(frame);
    if (!this.arrivals.has(number)) this.arrivals.set(number, []);
    this.arrivals.get(number)!.push(`${host}:${port}`);
    for (const to of this.bridged.get(`${host}:${port}`) ?? []) {
      const [far, out] = to.split(":").map(Number) as [number, PortNo];
      if (this.#coming.length >= BACKLOG) break;
      this.#coming.push(() => this.hosts[far]!.kernel.receive(out, frame));
    }
  }

  #post(task: () => void): void {
    this.#queue.push(task);
    if (this.#running) return;
    this.#running = true;
    this.#handled = 0;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      assert.ok(++this.#handled < STORM, "frames go round in circles");
      next();
    }
    this.#running = false;
  }

  #transmit({ udpPort, tunnel, frame }: TunnelFrame): void {
    if (this.blocked.has(`${tunnel.src}>${tunnel.dst}`)) return;
    const target = this.hosts.find((host) => host.ip === tunnel.dst);
    const how = this.hosts.find((host) => host.ip === tunnel.src)?.ipsec.leaves(tunnel.src, tunnel.dst) ??
      "clear";
    if (how === "clear") this.clear++;
    if (how === "blocked" || target?.ipsec.takes(tunnel.src, tunnel.dst, how) === false) return;
    const port = target?.kernel.vxlan(udpPort);
    if (target !== undefined && port !== undefined) target.kernel.receive(port.port, frame, { tunnel });
  }

  /** The other end of a link: its host and its number for the link; undefined: the link has ended. */
  #otherEnd(link: LinkId): { host: Host; link: LinkId } | undefined {
    const found = this.links.find((each) => each.ids.includes(link));
    if (found === undefined) return undefined;
    const side = found.ids[0] === link ? 1 : 0;
    return { host: this.hosts[side === 0 ? found.a : found.b]!, link: found.ids[side]! };
  }

  /** User space carries a frame. */
  #carry(from: number, { link, id }: SleeveKey, frame: Uint8Array): void {
    const end = this.#otherEnd(link);
    if (this.hosts[from]!.open.get(link)?.carried()) this.step(from, { kind: "traffic", link });
    if (end === undefined || this.blockedSleeve.has(`${from}>${end.host.index}`)) return;
    const [port] = [...end.host.kernel.ports.values()].filter((each) => each.kind === "sleeve");
    assert.ok(port !== undefined, "a frame for a host without user space");
    assert.ok(end.host.open.has(end.link), "a frame for a link that is not open");
    end.host.open.get(end.link)!.heard(this.now);
    end.host.kernel.receive(port.port, frame, { sleeve: { link: end.link, id } });
  }

  #special(from: Host, { link, df, frame }: Extract<DataplaneEffect, { kind: "special" }>): void {
    assert.ok(from.open.has(link), "a special frame on a link that is not open");
    const tooBig = df && frame.kind === "mtu-probe" && frame.mtu + 62 > PATH_MTU;
    if (tooBig) {
      return this.#post(() =>
        this.step(from.index, { kind: "too-big", link, interfaceMtu: PATH_MTU, routeMtu: PATH_MTU })
      );
    }
    const end = this.#otherEnd(link);
    if (end === undefined || this.blockedSleeve.has(`${from.index}>${end.host.index}`)) return;
    const source = { ip: from.ip, port: 6783 };
    this.#post(() => this.step(end.host.index, { kind: "special", link: end.link, frame, source }));
  }

  /** Gives a core an event and performs what it wants. */
  step(index: number, event: DataplaneEvent): void {
    const host = this.hosts[index]!;
    if (host.core === undefined) return;
    for (const effect of host.core.step(event, this.now)) this.#perform(host, effect);
  }

  #perform(host: Host, effect: DataplaneEffect): void {
    const { kernel, index } = host;
    switch (effect.kind) {
      case "overlay":
        host.events.push(effect.event);
        this.#overlay(host, effect.event);
        break;
      case "ensure-vxlan": {
        const { udpPort } = effect;
        const port = kernel.vxlan(udpPort) ?? kernel.addPort("vxlan", `vxlan-${udpPort}`, udpPort);
        this.#post(() => this.step(index, { kind: "vxlan-ready", udpPort, port: port.port }));
        break;
      }
      case "install":
      case "execute":
      case "delete":
      case "whereabouts":
        kernel.perform(effect);
        break;
      case "xfrm":
        host.ipsec.perform(effect, (news) => this.#post(() => this.step(index, news)));
        break;
      case "sleeve-open":
        host.open.set(effect.carrier.link, effect.carrier);
        break;
      case "sleeve-close":
        host.open.delete(effect.link);
        break;
      case "special":
        this.#special(host, effect);
        break;
      case "dump-flows":
        this.#post(() => this.step(index, { kind: "flows", flows: kernel.dump() }));
        break;
      case "delete-foreign":
        kernel.deleteByHandle(effect.handle);
        break;
      case "address-used":
        host.used.push({ ip: effect.ip, mac: effect.mac, here: effect.here, peer: effect.peer });
        break;
      case "log":
        break;
    }
  }

  #overlay(host: Host, event: OverlayEvent): void {
    const link = this.links.find((each) => each.ids.includes(event.link));
    if (link === undefined) return;
    const side = link.a === host.index ? 0 : 1;
    if (event.kind === "send") {
      const { message } = event;
      const other = side === 0 ? link.b : link.a;
      if (this.lostControls === `${host.index}>${other}`) return;
      const id = link.ids[1 - side]!;
      this.#post(() =>
        this.step(other, { kind: "request", request: { kind: "control", link: id, message } })
      );
    } else if (event.kind === "established") {
      link.up[side] = true;
      if (link.up[0] && link.up[1] && !this.quiet) this.#post(() => this.publish());
    }
  }

  /** Starts the router of a host; its kernel keeps what it has. */
  boot(index: number): void {
    const host = this.hosts[index]!;
    host.boots++;
    const kind = index % 2 === 0 ? "ovs" : "ebpf";
    host.core = new Dataplane({ ...OVS_HOST, kind, overlays: host.overlays, ...this.options });
    host.kernel.forgetWhereabouts();
    this.step(index, { kind: "started", ports: [...host.kernel.ports.values()], flows: host.kernel.dump() });
  }

  /** The router of a host dies; its kernel forwards on, its neighbours notice. */
  crash(index: number): void {
    this.hosts[index]!.core = undefined;
    for (const link of this.links.filter((each) => each.a === index || each.b === index)) {
      this.disconnect(link.a, link.b, false);
    }
  }

  /** Tells everybody the mesh as it is: who is connected to whom, and over which links traffic may go. */
  publish(): void {
    for (const host of this.hosts) {
      if (host.core === undefined) continue;
      const request = { kind: "topology", view: this.view(host.index) } as const;
      this.step(host.index, { kind: "request", request });
    }
  }

  view(self: number): TopologyView {
    const seen = new Set([self]);
    for (const at of seen) {
      for (const { a, b } of this.links) {
        if (a === at) seen.add(b);
        if (b === at) seen.add(a);
      }
    }
    const peers = [...seen].map((i) => this.hosts[i]!).sort((x, y) => x.name < y.name ? -1 : 1);
    const place = (index: number) => peers.findIndex((peer) => peer.index === index);
    const pairs: [number, number][] = [];
    for (const { a, b, up } of this.links) {
      if (up[0] && up[1] && seen.has(a)) pairs.push([place(a), place(b)], [place(b), place(a)]);
    }
    pairs.sort((x, y) => x[0] - y[0] || x[1] - y[1]);
    return {
      names: peers.map((peer) => peer.name),
      self: place(self),
      shortIds: Int16Array.from(peers, (peer) => peer.shortId),
      edges: Uint32Array.from(pairs.flat()),
    };
  }

  /** `a` dials `b`. */
  connect(a: number, b: number): void {
    if (this.links.some((link) => (link.a === a && link.b === b) || (link.a === b && link.b === a))) return;
    const ids = [this.#nextLink++ as LinkId, this.#nextLink++ as LinkId] as const;
    this.links.push({ a, b, ids, up: [false, false] });
    this.publish();
    const connUid = BigInt(ids[0]) * 1_000_003n as ConnUid;
    const ends = [[a, b], [b, a]] as const;
    ends.forEach(([us, them], side) => {
      const remote = { ip: this.hosts[them]!.ip, port: side === 0 ? 6783 : 40_000 };
      const request = {
        kind: "prepare",
        link: ids[side]!,
        peer: this.hosts[them]!.name,
        local: this.hosts[us]!.ip,
        remote,
        outbound: side === 0,
        connUid,
        protection: this.sealed ? SEALED : CLEAR,
        theirOverlays: this.hosts[them]!.overlays,
        extensions: this.options.extensions ?? [],
      } as const;
      this.step(us, { kind: "request", request });
    });
    // Both ends keep the connection before either hears of the other.
    this.#post(() =>
      ends.forEach(([us], side) => {
        this.step(us, { kind: "request", request: { kind: "confirm", link: ids[side]! } });
      })
    );
    this.advance(600);
  }

  disconnect(a: number, b: number, orderly: boolean): void {
    const at = this.links.findIndex((link) => link.a === a && link.b === b);
    const [link] = at < 0 ? [] : this.links.splice(at, 1);
    if (link === undefined) return;
    [a, b].forEach((us, side) => {
      this.step(us, { kind: "request", request: { kind: "stop", link: link.ids[side]!, orderly } });
    });
    this.publish();
  }

  /** A container's host end comes; returns its port. */
  attach(index: number): PortNo {
    const { kernel } = this.hosts[index]!;
    const port = kernel.addPort("netdev", `vmn${kernel.ports.size}`);
    this.step(index, { kind: "port-appeared", port });
    return port.port;
  }

  detach(index: number, port: PortNo): void {
    this.hosts[index]!.kernel.ports.delete(port);
    this.step(index, { kind: "port-removed", port });
  }

  /** A frame comes out of a container; returns where it arrived, sorted. */
  send(index: number, port: PortNo, dst: number, src: number): Arrival[] {
    const number = this.#nextFrame++;
    this.#post(() => this.hosts[index]!.kernel.receive(port, frameOf(dst, src, number)));
    return (this.arrivals.get(number) ?? []).sort();
  }

  /** Time passes, deadline by deadline. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (let round = 0;; round++) {
      assert.ok(round < 100_000, "wakes without end");
      const comesAt = this.#coming.length > 0 ? this.now + 1 : Infinity;
      const next = Math.min(comesAt, ...this.hosts.map((host) => host.core?.nextWake() ?? Infinity));
      if (next > end) break;
      this.now = Math.max(this.now, next) as Millis;
      if (this.now >= comesAt) { for (const come of this.#coming.splice(0)) this.#post(come); }
      for (const host of this.hosts) {
        if ((host.core?.nextWake() ?? Infinity) <= this.now) {
          this.#post(() => this.step(host.index, { kind: "wake" }));
        }
      }
    }
    this.now = end as Millis;
  }

  /** Every kernel has exactly the flows that its core would decide on now. */
  check(): void {
    for (const { core, kernel, index } of this.hosts) {
      if (core === undefined) continue;
      const changes = core.reconcile(this.now);
      assert.deepEqual(changes, [], `host ${index} has stale flows`);
      assert.equal(
        core.report(this.now).datapath.flows,
        kernel.flows.size,
        `host ${index} lost track of flows`,
      );
    }
  }
}
