/** All links of the data plane: makes their switches, feeds them and says what they want. */
import type { Ip } from "../../core/addr.ts";
import { assertNever } from "../../core/brand.ts";
import type { ConnUid, PeerName, ShortId } from "../../core/names.ts";
import {
  type LinkId,
  noCommonOverlay,
  type OverlayEvent,
  type OverlayName,
} from "../../core/overlay_port.ts";
import type { Millis } from "../../core/time.ts";
import { LOCAL_PORT, type TunnelKey } from "../../wire/netlink/ovs_keys.ts";
import { ETHERNET_HEADER } from "../../wire/packet/ethernet.ts";
import { vniOf, vniSource } from "../../wire/packet/vxlan.ts";
import type { AddressChange, DataplaneEffect, LinkReport } from "../ports/dataplane_types.ts";
import type { XfrmNews } from "../ports/esp_port.ts";
import { takeXfrmNews } from "./esp_news.ts";
import { EspTable } from "./esp_table.ts";
import { decodeHeartbeat, fullPromiseOf, isFullSize, promiseOf } from "../../wire/mesh/heartbeat.ts";
import type { LinkFacts, Network, Path } from "../paths/network.ts";
import type { LinkEnd } from "../paths/path.ts";
import type { PortTable } from "../paths/port_table.ts";
import { isBeat } from "../../wire/mesh/sleeve_special.ts";
import type { SleeveNews } from "../ports/sleeve_port.ts";
import { addressOfPeer, factsOf, type OverlayLink, pathsOf, type PrepareRequest } from "./overlay_link.ts";
import { carrierOf, makeLink, type OverlayLinksOptions, takeNews } from "./make_link.ts";
import { commonOverlays, type SwitchEvent } from "./link_switch.ts";
import type { VxlanPorts } from "../paths/vxlan_ports.ts";

/** Least time between two announcements to all peers that we may have moved. */
const ANNOUNCE_MS = 250;
/** What a very old peer has: sleeve, and control messages without index. */
const BARE: readonly OverlayName[] = ["sleeve"];

/** All links. Methods append effects to `out`. */
export class OverlayLinks {
  readonly #links = new Map<LinkId, OverlayLink>();
  readonly #byConnUid = new Map<ConnUid, OverlayLink>();
  readonly #esp: EspTable;
  #busy: Pick<ReadonlySet<Ip>, "has"> = new Set();
  #announceAt = Infinity;
  #announcedAt = -Infinity;
  #changed = false;
  #nextWake = Infinity;
  /** Heartbeats sent and taken. */
  sent = 0;
  received = 0;

  constructor(
    readonly options: OverlayLinksOptions,
    readonly ports: PortTable,
    readonly tunnels: VxlanPorts,
    readonly network: Network,
    readonly out: { readonly effects: DataplaneEffect[] },
  ) {
    this.#esp = new EspTable(() => ports.tunnelUdpPorts(), out);
  }

  /** Earliest time at which wake() may matter. */
  get nextWake(): number {
    return Math.min(this.#nextWake, this.#esp.nextWake());
  }

  /** The data plane starts. */
  start(now: Millis): void {
    this.#esp.start(now);
  }

  /** A tunnel port has come. */
  tunnelAppeared(udpPort: number): void {
    this.#esp.portAppeared(udpPort);
  }

  /** Whether ways to peers have changed since last asked. */
  takeChanged(): boolean {
    const changed = this.#changed;
    this.#changed = false;
    return changed;
  }

  /** A connection is about to be made. */
  prepare(request: PrepareRequest, now: Millis): void {
    if (this.#links.has(request.link)) return;
    const { overlays } = this.options;
    const common = commonOverlays(overlays, request.theirOverlays ?? BARE);
    if (common.length === 0) {
      const reason = noCommonOverlay(overlays, request.theirOverlays);
      this.#tell({ kind: "failed", link: request.link, reason });
      return;
    }
    const link = makeLink(request, common, this.options);
    const { fastdp, udpPort } = link;
    link.sleeve?.forwarder.setPort(this.ports.sleeve);
    this.#links.set(request.link, link);
    this.network.returned(request.peer, now);
    if (request.protection.kind === "sealed") this.#clearAway(request.remote.ip, now);
    this.#guard(link);
    this.#changed = true;
    if (fastdp !== undefined) {
      // The later one could choose its number after it had learnt the other's.
      if (!this.#byConnUid.has(request.connUid)) this.#byConnUid.set(request.connUid, link);
      this.tunnels.want(udpPort);
      this.#setTunnel(link, now);
    }
    this.#setBusy(link, now);
    this.#settle(link, [], now);
  }

  /** Nothing of a sealed link leaks; nothing of a link in clear is held back because an earlier one was sealed. */
  #guard({ fastdp, request, udpPort }: OverlayLink): void {
    if (fastdp?.forwarder.options.esp !== undefined) return this.#esp.hold(fastdp.forwarder.options.esp);
    if (fastdp === undefined || request.protection.kind === "sealed") return;
    this.#esp.clear({ local: request.local, remote: request.remote.ip, port: udpPort });
  }

  /** The kernel's IPsec has answered, or tells what others did. */
  xfrmNews(news: XfrmNews, now: Millis): void {
    if (news.kind === "xfrm-guarded") this.#changed = true;
    takeXfrmNews(news, now, {
      table: this.#esp,
      links: this.#links,
      out: this.out,
      settle: (link, events) => this.#settle(link, link.switch.take(link.fastdp!.slot, events, now), now),
      fail: (link, reason) => this.#tell({ kind: "failed", link: link.id, reason }),
    });
  }

  /** Outer addresses to or from which traffic flows. */
  setBusy(addresses: Pick<ReadonlySet<Ip>, "has">, now: Millis): void {
    this.#busy = addresses;
    for (const link of this.#links.values()) this.#setBusy(link, now);
  }

  #setBusy(link: OverlayLink, now: Millis): void {
    const forwarder = link.fastdp?.forwarder;
    if (forwarder === undefined) return;
    forwarder.setBusy(this.#busy.has(forwarder.remote), now);
    this.#nextWake = Math.min(this.#nextWake, link.switch.nextWake());
  }

  /** The mesh keeps the connection. */
  confirm(id: LinkId, now: Millis): void {
    const link = this.#links.get(id);
    if (link === undefined || link.confirmed) return;
    link.confirmed = true;
    this.#changed = true;
    if (link.sleeve !== undefined) {
      const carrier = carrierOf(link.request, link.sleeve.forwarder, this.options.extensions);
      this.out.effects.push({ kind: "sleeve-open", carrier });
    }
    this.#settle(link, link.switch.confirm(now), now);
  }

  /** An overlay control message came. */
  control(id: LinkId, message: Uint8Array, now: Millis): void {
    const link = this.#links.get(id);
    if (link !== undefined && link.confirmed) this.#settle(link, link.switch.control(message, now), now);
  }

  /** The connection ended. */
  stop(id: LinkId, orderly: boolean, now: Millis): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    const { peer, connUid } = link.request;
    const path = this.paths().get(peer);
    this.#links.delete(id);
    if (link.sleeve !== undefined && link.confirmed) {
      this.out.effects.push({ kind: "sleeve-close", link: id });
    }
    if (this.#byConnUid.get(connUid) === link) this.#byConnUid.delete(connUid);
    this.#changed = true;
    this.#nextWake = this.#computeWake();
    const esp = link.fastdp?.forwarder.options.esp;
    if (esp !== undefined) this.#esp.release(esp, !orderly && path?.kind === "tunnel", now);
    // A link that never worked says nothing about the peer: it may be one attempt of many while a way is held.
    // User space forgets a link with the connection; only the kernel carries on by itself.
    if (path?.kind !== "tunnel" || this.paths().has(peer)) return;
    if (orderly) return this.network.left(peer, path, now);
    this.network.lost(peer, path, now);
    const fields = { peer, address: path.remote };
    this.out.effects.push({ kind: "log", level: "info", event: "overlay/path-held", fields });
  }

  /** A frame with both MACs zero came through a tunnel; false when it is no heartbeat of ours. */
  heartbeat(frame: Uint8Array, { id, src: source, dst }: TunnelKey, now: Millis): boolean {
    const decoded = decodeHeartbeat(frame);
    const link = decoded.ok ? this.#byConnUid.get(decoded.value) : undefined;
    if (link?.fastdp === undefined || !link.confirmed) return false;
    const short = this.network.shortOf(link.request.peer);
    if (short !== undefined && short !== vniSource(id)) return false;
    const { forwarder, slot } = link.fastdp;
    const { esp, local } = forwarder.options;
    if (source !== forwarder.remote && (esp !== undefined || this.#mustBeSealed(source))) return false;
    if (esp !== undefined && dst !== local) return false; // nothing guards our other addresses
    this.received++;
    const facts = {
      promise: promiseOf(frame),
      full: isFullSize(frame),
      fullPromise: fullPromiseOf(frame),
    };
    // Peers of other makes do not announce it, but their heartbeats are as large as their containers' packets.
    if (facts.full) link.peerMtu ??= frame.length - ETHERNET_HEADER;
    this.#settle(link, link.switch.take(slot, forwarder.heard(source, now, facts), now), now);
    return true;
  }

  /** A special frame came over user space, or the kernel refused a packet there for its size. */
  sleeveNews(news: SleeveNews, now: Millis): void {
    const link = this.#links.get(news.link);
    if (link?.sleeve === undefined || !link.confirmed) return;
    const { forwarder, slot } = link.sleeve;
    const events = takeNews(forwarder, news, now);
    if (typeof events === "string") return this.#tell({ kind: "failed", link: link.id, reason: events });
    if (news.kind === "special" && isBeat(news.frame)) this.received++;
    this.#settle(link, link.switch.take(slot, events, now), now);
  }

  /** Our addresses have changed: tunnels leave those that have gone, and soon every peer hears from us, each change after
   * the other. */
  addressesChanged(change: AddressChange, now: Millis): void {
    for (const link of this.#links.values()) {
      if (link.fastdp === undefined) continue;
      const { forwarder, slot } = link.fastdp;
      this.#settle(link, link.switch.take(slot, forwarder.addressesChanged(change, now), now), now);
    }
    this.#announceAt = Math.min(this.#announceAt, Math.max(now, this.#announcedAt + ANNOUNCE_MS));
    this.#nextWake = Math.min(this.#nextWake, this.#announceAt);
  }

  #announce(now: Millis): void {
    this.#announceAt = Infinity;
    this.#announcedAt = now;
    for (const link of this.#links.values()) {
      if (link.sleeve === undefined) continue;
      const { forwarder, slot } = link.sleeve;
      this.#settle(link, link.switch.take(slot, forwarder.announce(now), now), now);
    }
  }

  /** Whether a sealed link owns an address. No other link may move there. */
  #mustBeSealed(address: Ip): boolean {
    for (const { request } of this.#links.values()) {
      if (request.protection.kind === "sealed" && request.remote.ip === address) return true;
    }
    return false;
  }

  /** Moves links off an address that a sealed link owns. */
  #clearAway(address: Ip, now: Millis): void {
    for (const link of this.#links.values()) {
      if (link.fastdp?.forwarder.remote !== address) continue;
      const { forwarder, slot } = link.fastdp;
      this.#settle(link, link.switch.take(slot, forwarder.moveBack(), now), now);
    }
  }

  /** Time has passed. All that came until `readUntil` has been read. */
  wake(now: Millis, readUntil: Millis): void {
    this.#esp.wake(now);
    if (now < this.#nextWake) return;
    if (now >= this.#announceAt) this.#announce(now);
    for (const link of this.#links.values()) {
      if (now >= link.switch.nextWake()) this.#settle(link, link.switch.wake(now, readUntil), now);
    }
    this.#nextWake = this.#computeWake();
  }

  /** Tunnel ports or short ids may have changed. */
  setTunnels(now: Millis): void {
    for (const link of this.#links.values()) this.#setTunnel(link, now);
  }

  /** The port that leads to user space has come, gone or changed its number. */
  setSleevePort(): void {
    for (const { sleeve } of this.#links.values()) sleeve?.forwarder.setPort(this.ports.sleeve);
    this.#changed = true;
  }

  #setTunnel(link: OverlayLink, now: Millis): void {
    if (link.fastdp === undefined) return;
    const { forwarder, slot } = link.fastdp;
    const port = this.tunnels.find(link.udpPort);
    const self = this.network.self;
    const peer = this.network.shortOf(link.request.peer);
    const before = forwarder.path?.port;
    const tunnel = typeof port === "string"
      ? port
      : self < 0
      ? "this host has no short id in the mesh yet"
      : peer === undefined
      ? "the peer has no short id in the mesh yet"
      : { port, vni: vniOf(self as ShortId, peer) };
    const events = link.switch.take(slot, forwarder.setTunnel(tunnel, now), now);
    if (forwarder.path?.port !== before) this.#changed = true;
    this.#settle(link, events, now);
  }

  /** Ways to peers over working links; the newest link of a peer counts. */
  paths(): ReadonlyMap<PeerName, Path> {
    return pathsOf(this.#links.values());
  }

  /** What the links say about addresses. */
  facts(): LinkFacts {
    return factsOf([...this.#links.values()], this.#esp);
  }

  /** How frames name the links. */
  ends(): readonly LinkEnd[] {
    return [...this.#links.values()].map(({ fastdp, id, request: { peer } }) => ({
      ...{ link: id, peer, tunnel: fastdp?.forwarder.remote },
    }));
  }

  /** Every link, for people. */
  report(now: Millis): readonly LinkReport[] {
    return [...this.#links.values()].map((link) => ({
      link: link.id,
      peer: link.request.peer,
      remote: link.fastdp?.forwarder.remote ?? link.sleeve?.forwarder.remote?.ip ?? link.request.remote.ip,
      status: link.switch.status(now),
      peerMtu: link.peerMtu,
      overlays: link.switch.overlays(now),
      ...link.switch.ages(now),
    }));
  }

  /** Passes on what a switch says, then its status if that changed. */
  #settle(link: OverlayLink, events: readonly SwitchEvent[], now: Millis): void {
    for (const event of events) {
      switch (event.kind) {
        case "send":
          this.#tell({ kind: "send", link: link.id, message: event.message });
          break;
        case "frame":
          this.sent++;
          this.out.effects.push({
            kind: "execute",
            frame: event.frame,
            inPort: LOCAL_PORT,
            actions: [event.action],
          });
          break;
        case "xfrm":
          this.out.effects.push(event.effect);
          break;
        case "special":
          if (isBeat(event.frame)) this.sent++;
          this.out.effects.push({ kind: "special", link: link.id, df: event.df, frame: event.frame });
          break;
        case "established":
          this.#tell({ kind: "established", link: link.id });
          break;
        case "unanswered":
          this.#tell({ kind: "unanswered", link: link.id });
          break;
        case "failed":
          this.#tell({ kind: "failed", link: link.id, reason: event.reason });
          break;
        case "changed":
          this.#changed = true;
          this.#follow(link, now);
          break;
        default:
          assertNever(event);
      }
    }
    const likely = link.switch.likelyPath() !== undefined;
    if (likely !== link.likely) this.#changed = true;
    link.likely = likely;
    const status = link.switch.status(now);
    const text = JSON.stringify(status);
    if (text !== link.told) this.#tell({ kind: "status", link: link.id, status });
    link.told = text;
    this.#nextWake = Math.min(this.#nextWake, link.switch.nextWake());
  }

  /** Tells the mesh where the peer is heard, if that has changed. */
  #follow(link: OverlayLink, now: Millis): void {
    const remote = addressOfPeer(link);
    if (remote === link.seenAt) return;
    link.seenAt = remote;
    this.#tell({ kind: "moved", link: link.id, remote });
    if (link.fastdp === undefined) return;
    const { forwarder, slot } = link.fastdp;
    this.#settle(link, link.switch.take(slot, forwarder.peerSeenAt(remote, now), now), now);
  }

  #computeWake(): number {
    let next = this.#announceAt;
    for (const link of this.#links.values()) next = Math.min(next, link.switch.nextWake());
    return next;
  }

  #tell(event: OverlayEvent): void {
    this.out.effects.push({ kind: "overlay", event });
  }
}
