/** The data plane's core: misses, links and the mesh go in, flows and frames to send come out. */
import { assertNever } from "../core/brand.ts";
import { BROADCAST } from "../core/addr.ts";
import type { Core } from "../core/driver.ts";
import type { OverlayRequest, TopologyView } from "../core/overlay_port.ts";
import { after, type Millis } from "../core/time.ts";
import { ETHERNET_HEADER } from "../wire/packet/ethernet.ts";
import { type FlowRecord, LOCAL_PORT, type Miss, type PortNo, type Vport } from "../wire/netlink/ovs_keys.ts";
import { AddressProbe } from "./flows/address_probe.ts";
import { concludeFrom } from "./flows/adopt.ts";
import { newCounters } from "./ports/counters.ts";
import type {
  DataplaneEffect,
  DataplaneEvent,
  DataplaneLimits,
  DataplaneOptions,
  DataplaneReport,
} from "./ports/dataplane_types.ts";
import type { FrameQuestion, FrameView } from "./ports/frame_view.ts";
import { explain } from "./flows/explain.ts";
import { FlowKeeper } from "./flows/flow_keeper.ts";
import type { FlowTable } from "./flows/flow_table.ts";
import { decide, decideUnlearnt, type ForwardContext, sourcePlace } from "./flows/forward.ts";
import { ADOPT_GRACE_MS } from "./paths/hold.ts";
import { OverlayLinks } from "./links/overlay_links.ts";
import { Learner } from "./flows/learner.ts";
import { LoopGuard } from "./loops/loop_guard.ts";
import { MacTable } from "./flows/mac_table.ts";
import { Network } from "./paths/network.ts";
import { reportOf } from "./dataplane_report.ts";
import { isLocalPlace, localPlace, peerPlace, type Place, placeShort } from "./flows/place.ts";
import { PortTable } from "./paths/port_table.ts";
import type { PeerDirectory } from "./ports/sleeve_port.ts";
import type { SwitchedEvent } from "./ports/switched_types.ts";
import { tunnelPort, VxlanPorts } from "./paths/vxlan_ports.ts";
import { Whereabouts } from "./flows/whereabouts.ts";

export * from "./ports/dataplane_types.ts";

/** Interval of looking at what the kernel's flows carried. */
export const SWEEP_MS = 60_000;
/** The first look comes early: it tells which adopted flows are in use. */
const FIRST_SWEEP_MS = 20_000;
/** Places at which the addresses of peers that change their short id wait meanwhile. */
const PARKING = 0x10_0000;

/** The bounds; the reasons for the figures are in the README. */
export const DEFAULT_LIMITS: DataplaneLimits = {
  flows: 65_536,
  flowsPerSource: 16_384,
  macs: 65_536,
  macsPerPort: 1_024,
  macsPerPeer: 8_192,
};

/**
 * Call step() with times that never go back, `started` first. Perform the effects of a step in order before the next
 * step. Every event is harmless at any time, whatever its source.
 */
export class Dataplane implements Core<DataplaneEvent, DataplaneEffect> {
  readonly #ports = new PortTable();
  readonly #tunnels = new VxlanPorts(this.#ports);
  readonly #network = new Network();
  readonly #macs: MacTable;
  readonly #context: ForwardContext;
  readonly #counters = newCounters();
  readonly #out: { effects: DataplaneEffect[] } = { effects: [] };
  readonly #keeper: FlowKeeper;
  readonly #flows: FlowTable;
  readonly #links: OverlayLinks;
  readonly #loops: LoopGuard;
  readonly #learner: Learner;
  /** For switches that carry frames without a flow. */
  readonly #whereabouts: Whereabouts | undefined;
  readonly #probe = new AddressProbe();
  #sweepAt: number = Infinity;
  #graceUntil: number = Infinity;
  /** See the event "backlog". */
  #backlogSince: Millis | undefined;
  #networkChanged = false;

  constructor(readonly options: DataplaneOptions) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#ports.setLegOpen(options.legOpen ?? false);
    const { macs: total, macsPerPort: perPort, macsPerPeer: perPeer } = limits;
    const switches = options.kind === "ebpf";
    this.#macs = new MacTable({ total, perPort, perPeer }, switches);
    this.#context = { ports: this.#ports, macs: this.#macs, network: this.#network };
    const { drawProbe: draw, firstUfid } = options;
    const out = this.#out;
    const [context, counters] = [this.#context, this.#counters];
    this.#keeper = new FlowKeeper({ context, counters, limits, firstUfid, out });
    this.#flows = this.#keeper.table;
    const [keeper, macs, ports] = [this.#keeper, this.#macs, this.#ports];
    this.#learner = new Learner({ context, counters, keeper, out });
    this.#whereabouts = switches ? new Whereabouts({ context, out }) : undefined;
    this.#loops = new LoopGuard({ ports, macs, keeper, draw, out });
    this.#links = new OverlayLinks(options, this.#ports, this.#tunnels, this.#network, out);
  }

  /** Translates numbers of peers and short ids, for user space. */
  get directory(): PeerDirectory {
    return this.#network;
  }

  /** Takes one event; the effects are to be performed in order before the next step. */
  step(event: DataplaneEvent, now: Millis): readonly DataplaneEffect[] {
    const effects: DataplaneEffect[] = [];
    this.#out.effects = effects;
    if (event.kind === "miss") this.#miss(event.miss, now);
    else if (event.kind === "switched") this.#switched(event, now);
    else this.#rare(event, now);
    this.#whereabouts?.tell({ network: false });
    return effects;
  }

  nextWake(): number {
    return Math.min(
      this.#sweepAt,
      this.#graceUntil,
      this.#network.nextWake,
      this.#links.nextWake,
      this.#tunnels.nextWake(),
      this.#loops.nextWake(),
      this.#flows.nextExpiry(),
    );
  }

  /** Decides every flow again and changes what is wrong: nothing, if all is well. */
  reconcile(now: Millis): readonly DataplaneEffect[] {
    this.#out.effects = [];
    this.#flows.touchAll();
    this.#keeper.redecide(now);
    return this.#out.effects;
  }

  /** Everything to know, as of now. */
  report(now: Millis): DataplaneReport {
    const [counters, keeper, links, loops] = [this.#counters, this.#keeper, this.#links, this.#loops];
    return reportOf({ ...this.#context, counters, keeper, links, loops, options: this.options }, now);
  }

  /** What becomes of frames between two addresses. */
  explain(question: FrameQuestion, now: Millis): FrameView {
    return explain(question, { context: this.#context, flows: this.#flows, now });
  }

  #miss(miss: Miss, now: Millis): void {
    const { key, frame } = miss;
    const { dropped } = this.#counters;
    this.#counters.misses++;
    if (frame.length < ETHERNET_HEADER) return void dropped.runt++;
    if (key.tunnel !== undefined && key.ethSrc === 0 && key.ethDst === 0) {
      const taken = this.#links.heartbeat(frame, key.tunnel, now);
      if (!taken) dropped["bad-heartbeat"]++;
      return this.#settle(now);
    }
    if (key.ethDst === BROADCAST && this.#loops.took(frame, key, now)) return;
    const lesson = this.#learner.learn(miss, now);
    if (lesson === "flood") return;
    // Behind a bridge all containers are one port, which must not be stopped; the bridge looks after loops itself.
    const ownPorts = this.options.kind !== "bridge";
    if (ownPorts && lesson !== "learnt" && this.#ports.isLocal(key.inPort)) this.#loops.suspect(now);
    if (this.#probe.isFor(key.ethDst) && this.#answered(miss)) return;
    if (lesson === "learnt" && this.#keeper.repeat(miss, now)) return;
    const decision = lesson === "full" ? decideUnlearnt(key, this.#context) : decide(key, this.#context, now);
    if (!this.#learner.carries(miss, decision, now)) return;
    if (decision.dropped !== undefined) dropped[decision.dropped]++;
    if (decision.verdict === "flow") {
      this.#keeper.install(miss, decision, now);
      this.#whereabouts?.used(key);
    } else if (decision.verdict === "once") this.#keeper.execute(miss, decision.actions);
    this.#tellBusy(now);
  }

  #switched(event: SwitchedEvent, now: Millis): void {
    if (this.#learner.heard(event.key, now)) this.#keeper.installLate(event, now);
    this.#tellBusy(now);
  }

  /** Somebody answers a question about an address; false: the frame is of nobody who may. */
  #answered(miss: Miss): boolean {
    if (sourcePlace(miss.key, this.#context) === undefined) return false;
    const use = this.#probe.use(miss, this.#context);
    if (use !== undefined) this.#out.effects.push({ kind: "address-used", ...use });
    return true;
  }

  #rare(event: Exclude<DataplaneEvent, { kind: "miss" | "switched" }>, now: Millis): void {
    switch (event.kind) {
      case "started":
        this.#start(event.ports, event.flows, now);
        break;
      case "request":
        this.#request(event.request, now);
        break;
      case "who-has": {
        const { actions, frame } = this.#probe.question(event.ip, event.mac, this.#context);
        if (actions.length > 0) {
          this.#out.effects.push({ kind: "execute", frame, inPort: LOCAL_PORT, actions });
        }
        break;
      }
      case "port-appeared":
        this.#portAppeared(event.port, now);
        break;
      case "leg": {
        const leg = this.#ports.setLegOpen(event.open);
        if (leg === undefined) break;
        this.#portRemoved(leg.port, now);
        this.#portAppeared(leg, now);
        break;
      }
      case "loop-cut":
        this.#loops.cut(event.port, now);
        break;
      case "port-removed":
        this.#portRemoved(event.port, now);
        break;
      case "vxlan-ready":
        this.#tunnels.answered(event.udpPort, undefined, now);
        this.#portAppeared(tunnelPort(event.port, event.udpPort), now);
        break;
      case "vxlan-failed":
        this.#vxlanFailed(event.udpPort, event.reason, now);
        break;
      case "flows":
        this.#keeper.sweep(event.flows, now);
        this.#keeper.forgetMacs(this.#macs.age(now));
        break;
      case "install-failed":
        this.#keeper.installFailed(event.ufid, event.reason);
        break;
      case "special":
      case "too-big":
      case "traffic":
      case "key-used-up":
        this.#links.sleeveNews(event, now);
        break;
      case "xfrm-guarded":
      case "xfrm-receiving":
      case "xfrm-sending":
      case "xfrm-failed":
      case "xfrm-disturbed":
      case "xfrm-present":
      case "xfrm-worn":
        this.#links.xfrmNews(event, now);
        break;
      case "addresses-changed":
        this.#links.addressesChanged(event, now);
        break;
      case "count-flows":
        this.#keeper.count(now);
        break;
      case "carried":
        this.#keeper.carried(event.flows, now);
        break;
      case "backlog":
        this.#backlogSince = event.since;
        break;
      case "wake":
        break;
      default:
        assertNever(event);
    }
    this.#timers(now);
    this.#settle(now);
  }

  #request(request: OverlayRequest, now: Millis): void {
    switch (request.kind) {
      case "prepare":
        return this.#links.prepare(request, now);
      case "confirm":
        return this.#links.confirm(request.link, now);
      case "control":
        return this.#links.control(request.link, request.message, now);
      case "stop":
        for (const entry of this.#flows.ofLink(request.link)) this.#keeper.delete(entry);
        return this.#links.stop(request.link, request.orderly, now);
      case "topology":
        return this.#topology(request.view, now);
      default:
        return assertNever(request);
    }
  }

  #timers(now: Millis): void {
    this.#links.wake(now, this.#backlogSince ?? now);
    if (now >= this.#network.nextWake) {
      this.#network.refresh(now);
      this.#networkChanged = true;
    }
    this.#flows.touchExpired(now);
    this.#loops.wake(now);
    if (now >= this.#graceUntil) {
      this.#graceUntil = Infinity;
      this.#keeper.forgetMacs(this.#macs.forgetTentative());
      this.#keeper.endGrace();
    }
    if (now >= this.#sweepAt) {
      this.#sweepAt = after(now, SWEEP_MS);
      this.#keeper.requestDump();
    }
    for (const udpPort of this.#tunnels.due(now)) this.#out.effects.push({ kind: "ensure-vxlan", udpPort });
  }

  /** Follows changes of the network through MAC table and flows. */
  #settle(now: Millis): void {
    if (this.#links.takeChanged()) {
      this.#network.setLinks(this.#links.facts(), now);
      this.#keeper.traffic.setLinks(this.#links.ends());
      this.#networkChanged = true;
    }
    if (this.#networkChanged) {
      this.#networkChanged = false;
      for (const place of [...this.#macs.places()]) {
        if (!isLocalPlace(place) && !this.#network.knows(placeShort(place))) this.#forgetPlace(place);
      }
      this.#flows.touchNetwork(this.#network);
      this.#whereabouts?.tell({ network: true }); // before flows: frames without one take the new way, too
    }
    this.#keeper.redecide(now);
    this.#tellBusy(now);
  }

  #tellBusy(now: Millis): void {
    const use = this.#flows.takeTunnelUse();
    if (use !== undefined) this.#links.setBusy(use, now);
  }

  #topology(view: TopologyView, now: Millis): void {
    const { self } = this.#network;
    const { renamed, reassigned } = this.#network.setView(view, this.options.routes(view), now);
    // Floods that were decided without a short id of ours rest on no hops that could change.
    if (self !== this.#network.self) this.#flows.touchLocals();
    // Through places of their own, so that peers that swap ids do not mix.
    renamed.forEach(({ from }, i) => this.#renamePlace(peerPlace(from), PARKING + i as Place));
    for (const short of reassigned) this.#forgetPlace(peerPlace(short));
    renamed.forEach(({ to }, i) => this.#renamePlace(PARKING + i as Place, peerPlace(to)));
    this.#networkChanged = true;
    this.#links.setTunnels(now);
  }

  #renamePlace(from: Place, to: Place): void {
    this.#keeper.touchMacs(this.#macs.renamePlace(from, to));
  }

  #forgetPlace(place: Place): void {
    this.#keeper.forgetMacs(this.#macs.forgetPlace(place));
  }

  #portAppeared(port: Vport, now: Millis): void {
    if (this.#ports.isOther(port)) this.#portRemoved(port.port, now); // the news that it had gone was lost
    if (!this.#ports.add(port)) return;
    if (port.kind === "vxlan") {
      if (port.udpPort !== undefined) this.#links.tunnelAppeared(port.udpPort);
      this.#links.setTunnels(now);
    } else if (port.kind === "sleeve") this.#links.setSleevePort();
    else this.#flows.touchLocals();
  }

  #portRemoved(port: PortNo, now: Millis): void {
    const old = this.#ports.remove(port);
    if (old === undefined) return;
    for (const entry of this.#flows.ofPort(port)) this.#keeper.delete(entry);
    this.#loops.forget(port);
    this.#forgetPlace(localPlace(port));
    if (old.kind === "vxlan") {
      this.#network.forgetPort(port, now);
      this.#networkChanged = true;
      this.#links.setTunnels(now);
    } else if (old.kind === "sleeve") this.#links.setSleevePort();
    else this.#flows.touchLocals();
  }

  #vxlanFailed(udpPort: number, reason: string, now: Millis): void {
    this.#tunnels.answered(udpPort, reason, now);
    const fields = { port: udpPort, reason };
    this.#out.effects.push({ kind: "log", level: "warn", event: "overlay/vxlan-port-failed", fields });
    this.#links.setTunnels(now);
  }

  /** Takes over what an earlier run left. */
  #start(ports: readonly Vport[], found: readonly FlowRecord[], now: Millis): void {
    for (const port of ports) this.#ports.add(port);
    const flows = this.options.distrusts ? this.#keeper.refuseTunnels(found) : found;
    const conclusions = concludeFrom(flows, this.#ports);
    this.#network.adopt(conclusions.knowledge, conclusions.paths, now);
    for (const [mac, place] of conclusions.macs) this.#macs.suppose(mac, place, now);
    this.#keeper.adopt(flows, now);
    this.#sweepAt = after(now, FIRST_SWEEP_MS);
    this.#graceUntil = after(now, ADOPT_GRACE_MS);
    this.#networkChanged = true;
    this.#links.start(now);
    if (this.options.overlays.includes("fastdp")) this.#tunnels.want(this.options.vxlanPort);
    this.#links.setTunnels(now);
  }
}
