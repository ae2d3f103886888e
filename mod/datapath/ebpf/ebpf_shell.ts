/** Programs in the kernel as a Datapath: they switch frames by flows in maps, and hand up those that have none. */
import { macAt } from "../../core/addr.ts";
import { assertNever } from "../../core/brand.ts";
import { messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/ports.ts";
import type { Millis } from "../../core/time.ts";
import type {
  Datapath,
  DatapathCounts,
  DatapathEffect,
  NoticeSocket,
  PostEvent,
} from "../../overlay/ports/datapath_port.ts";
import type { DataplaneEvent } from "../../overlay/ports/dataplane_types.ts";
import { takeNotices } from "../../overlay/ports/notices.ts";
import type { Miss, Vport } from "../../wire/netlink/ovs_keys.ts";
import * as rt from "../../wire/netlink/rtnetlink.ts";
import type { Vni } from "../../wire/packet/vxlan.ts";
import { Backlog } from "../backlog.ts";
import { OvsMeters } from "../ovs_meters.ts";
import { leftForKernel, type UserSpace } from "../tagged_links_shell.ts";
import { TapKeeper } from "../tap_keeper.ts";
import { type TunnelPort, TunnelPorts } from "../tunnel_ports_shell.ts";
import { MAPS, type MissHeader } from "./layout.ts";
import { PortNumbers } from "./port_numbers.ts";
import type { HeldProgram } from "./programs_shell.ts";
import { EbpfSwitch, type PortKind, type SwitchParts, type SwitchPort } from "./switch_shell.ts";
import { Tables } from "./tables_shell.ts";
import { type TakeMisses, UserEnd } from "./tap_shell.ts";
import { WhereaboutsMaps } from "./whereabouts_shell.ts";

/** Positions in `fds`; from LINKS on those of the links. */
const TAP = 0;
const BASE_NOTICES = 1;
const NOTICES = 2;
const NEWS = 3;
const LINKS = 4;
/** Shortest time between two looks at whether the programs are where they belong. */
const LOOK_MS = 200;
const RETRY_MS = 5_000;

/** What is opened. */
export interface EbpfOptions extends SwitchParts {
  /** What carries frames that no tunnel can carry, and hands up misses; it is disposed with the datapath. */
  readonly userSpace: UserSpace;
  /** Hears of interfaces, disciplines and filters (LINK_NOTICES, QDISC_NOTICES). */
  readonly openNotices: () => NoticeSocket;
  /** How many CPUs the kernel may ever use. */
  readonly cpus: number;
  /** Called after something was mended: others may have to mend what hangs on it. */
  readonly mended: () => void;
}

const VPORT_KIND: Readonly<Record<PortKind, Vport["kind"]>> = {
  local: "netdev",
  names: "names",
  leg: "internal",
  tunnel: "vxlan",
  tap: "sleeve",
};

/** One open datapath. All but the TAP stays when it is disposed, and goes on working. */
export class EbpfDatapath implements Datapath {
  readonly #switch: EbpfSwitch;
  readonly #tables: Tables;
  readonly #user: UserEnd;
  readonly #keeper: TapKeeper;
  readonly #notices: NoticeSocket;
  readonly #log: Logger;
  readonly #numbers = new PortNumbers();
  readonly #ports = new Map<number, SwitchPort>();
  readonly #vports = new Map<Vport["port"], Vport>();
  readonly #meters: OvsMeters;
  readonly #backlog = new Backlog();
  readonly #tunnels: TunnelPorts;
  readonly #whereabouts: WhereaboutsMaps;
  /** Interfaces whose hooks somebody has changed, ourselves perhaps. */
  readonly #suspects = new Set<number>();
  #lookAt = Infinity;
  #looked = -Infinity;
  #repaired = 0;
  #refused = 0;

  private constructor(options: EbpfOptions, made: EbpfSwitch) {
    const { log, mended, openNotices, userSpace: { openPath, tap } } = options;
    this.#switch = made;
    this.#log = log;
    const translator = {
      indexOf: this.#numbers.indexOf,
      portOf: this.#numbers.portOf,
      tagOf: (key: Parameters<UserEnd["tags"]["tagOf"]>[0]) => this.#user.tags.tagOf(key),
      isLeg: (ifindex: number) => this.#ports.get(ifindex)?.kind === "leg",
      kindOf: (ifindex: number) => {
        const kind = this.#ports.get(ifindex)?.kind;
        return kind === "tunnel" || kind === "tap" ? kind : "local";
      },
    };
    this.#tables = new Tables(made.loaded.maps, translator, options.cpus);
    this.#meters = new OvsMeters({
      make: ({ id, perSecond }) => this.#tables.putRate("meters", id, perSecond) === 0,
      log,
    });
    this.#user = new UserEnd({ tap, openPath, slotOf: (actions) => this.#tables.slotOf(actions) });
    this.#tunnels = new TunnelPorts((udpPort, post) => this.#haveTunnel(udpPort, post));
    this.#whereabouts = new WhereaboutsMaps({
      ...{ maps: made.loaded.maps, translator: this.#tables.translator },
      ring: options.machine.openRing(made.loaded.maps.news, MAPS.news.entries),
    });
    this.#notices = openNotices();
    const names = [options.bridge.name, tap.name];
    this.#keeper = new TapKeeper({ tap, notices: openNotices(), names, put: this.#keepBase, log, mended });
  }

  /** Opens what an earlier process left, or makes it. Throws what the kernel refuses, in its words. */
  static open(options: EbpfOptions): EbpfDatapath {
    using undo = new DisposableStack();
    undo.use(options.userSpace);
    const made = undo.adopt(EbpfSwitch.open(options), (one) => one[Symbol.dispose]());
    const datapath = new EbpfDatapath(options, made);
    datapath.#keepBase();
    undo.move();
    return datapath;
  }

  /** What a new port's frames are to pass: whoever adds one puts it there at once. */
  get portProgram(): HeldProgram {
    return this.#switch.loaded.programs.local;
  }

  /** See Datapath. */
  get fds(): readonly number[] {
    return [this.#user.fd, this.#keeper.fd, this.#notices.fd, this.#whereabouts.fd, ...this.#user.path.fds];
  }

  readonly #keepBase = (): boolean => {
    const { changed, tap } = this.#switch.keepBase();
    if (tap !== undefined) this.#tables.directMisses(tap);
    return changed;
  };

  /** Has the host's own leg as it is to be. */
  readonly keepLeg = (): void => void this.#keepBase();

  /** See Datapath. */
  start(): DataplaneEvent {
    for (const port of this.#switch.ports()) {
      this.#learn(port);
      this.#keepPort(port);
    }
    this.#tables.keepRates(new Set(this.#ports.keys()));
    return { kind: "started", ports: [...this.#vports.values()], flows: this.#tables.all() };
  }

  #learn(port: SwitchPort): Vport {
    const { ifindex, kind, name, udpPort } = port;
    const number = this.#numbers.assign(ifindex, kind === "leg");
    this.#ports.set(ifindex, port);
    if (kind !== "tap") this.#tables.putRates(ifindex);
    const vport = { port: number, kind: VPORT_KIND[kind], name, ifindex, udpPort, upcallPids: [] };
    this.#vports.set(number, vport);
    return vport;
  }

  /** Whether something had to change. A port that cannot have its program is tried again. */
  #keepPort(port: SwitchPort): boolean {
    try {
      return this.#switch.keepPort(port);
    } catch (thrown) {
      this.#log.warn("overlay/port-without-program", { interface: port.name, reason: messageOf(thrown) });
      this.#suspects.add(port.ifindex);
      this.#lookAt = Math.min(this.#lookAt, this.#looked + RETRY_MS);
      return false;
    }
  }

  /** See Datapath. */
  drain(post: PostEvent, at: { now: Millis; isReady: (index: number) => boolean }): boolean {
    const { now } = at;
    this.#keeper.drain(at.isReady(BASE_NOTICES), now);
    if (at.isReady(NOTICES)) this.#takeNotices(post, now);
    const ready = at.isReady(TAP);
    const { emptied, misses } = this.#user.read(this.#takeMisses(post), ready);
    // Emptied, it also forgives misses that were given and that the TAP had no room for.
    if (ready && (misses > 0 || emptied)) {
      this.#tables.tookMisses(emptied ? { all: true } : { all: false, count: misses });
    }
    this.#backlog.update(!emptied, now, post); // of what has been read, heartbeats have not waited
    const news = at.isReady(NEWS) && this.#whereabouts.drain(post);
    const isReady = (index: number) => at.isReady(LINKS + index);
    return this.#user.drain(post, { now, isReady }) || this.#user.waits || !emptied || news;
  }

  #takeMisses(post: PostEvent): TakeMisses {
    return {
      decide: (header, frame) => this.#miss(header, frame, post),
      keyOf: (header, frame) => this.#keyOf(header, frame, post),
    };
  }

  #miss(header: MissHeader, frame: Uint8Array, post: PostEvent): void {
    const key = this.#keyOf(header, frame, post);
    if (key !== undefined) post({ kind: "miss", miss: { key, frame } });
  }

  #keyOf(header: MissHeader, frame: Uint8Array, post: PostEvent): Miss["key"] | undefined {
    const { destination: dst, id, ifindex, source: src } = header;
    if (!this.#ports.has(ifindex)) this.#look(ifindex, post); // it was faster than the news of its port
    const port = this.#ports.get(ifindex);
    const inPort = this.#numbers.portOf(ifindex);
    if (port === undefined || inPort === undefined) return undefined;
    const base = {
      inPort,
      ethDst: macAt(frame, 0),
      ethSrc: macAt(frame, 6),
      tagged: header.tagged ? true as const : undefined,
    };
    if (port.kind === "tunnel") return { ...base, tunnel: { id: id as Vni, src, dst } };
    if (port.kind !== "tap") return base;
    const sleeve = this.#user.tags.keyOf(id);
    return sleeve && { ...base, sleeve };
  }

  #takeNotices(post: PostEvent, now: Millis): void {
    const changed = new Set<number>();
    const complete = takeNotices(this.#notices, (notice) => {
      for (const { index } of rt.readInterfaceNotice(notice)) {
        changed.add(index);
        if (this.#ports.get(index)?.kind === "tunnel") this.#suspect(index, now);
      }
      for (const index of [...rt.linksOfFilterNotice(notice), ...rt.linksOfQdiscNotice(notice)]) {
        this.#suspect(index, now);
      }
    });
    if (!complete) {
      for (const { ifindex } of this.#switch.ports()) changed.add(ifindex);
      for (const ifindex of this.#ports.keys()) changed.add(ifindex);
      for (const ifindex of changed) this.#suspect(ifindex, now);
    }
    for (const ifindex of changed) this.#look(ifindex, post);
  }

  #suspect(ifindex: number, now: Millis): void {
    if (!this.#ports.has(ifindex)) return;
    this.#suspects.add(ifindex);
    this.#lookAt = Math.min(this.#lookAt, Math.max(now, this.#looked + LOOK_MS));
  }

  /** Follows what has become of an interface. */
  #look(ifindex: number, post: PostEvent): void {
    const known = this.#ports.get(ifindex);
    const found = this.#switch.port(ifindex);
    const same = known !== undefined && known.kind === found?.kind && known.name === found.name &&
      known.udpPort === found.udpPort;
    if (same) return;
    if (known !== undefined) this.#forget(ifindex, post);
    if (found === undefined) return void (known !== undefined && this.#leave(known));
    const port = this.#learn(found);
    this.#keepPort(found);
    post({ kind: "port-appeared", port });
  }

  #leave(port: SwitchPort): void {
    try {
      this.#switch.leave(port);
    } catch (thrown) {
      this.#log.warn("overlay/program-left", { interface: port.name, reason: messageOf(thrown) });
    }
  }

  #forget(ifindex: number, post: PostEvent): void {
    const port = this.#numbers.portOf(ifindex);
    const udpPort = this.#ports.get(ifindex)?.udpPort;
    if (udpPort !== undefined) this.#tunnels.again(udpPort);
    if (port !== undefined) post({ kind: "port-removed", port });
    this.#ports.delete(ifindex);
    this.#numbers.release(ifindex);
    if (port !== undefined) this.#vports.delete(port);
    this.#tables.dropRates(ifindex);
    this.#meters.forget(ifindex);
  }

  /** See Datapath. */
  perform(effect: DatapathEffect, post: PostEvent, now: Millis): void {
    const { tags } = this.#user;
    switch (effect.kind) {
      case "install": {
        const { actions, frame, key, ufid } = effect;
        const bound = tags.bind(ufid, key, actions);
        const meter = this.#meterOf(key, actions);
        const refused = bound ? this.#tables.install(ufid, { ...effect, meter }) : "there is no tag for it";
        if (refused !== undefined) {
          this.#refused++;
          tags.unbind(ufid);
          post({ kind: "install-failed", ufid, reason: refused });
        }
        if (frame !== undefined) this.#user.send(frame, actions);
        return;
      }
      case "execute": {
        const left = leftForKernel(effect, this.#user, this.#vports);
        if (left !== undefined) this.#user.send(left.frame, left.actions);
        return;
      }
      case "delete":
        tags.unbind(effect.ufid);
        return this.#tables.delete(effect.ufid);
      case "delete-foreign":
        return this.#tables.deleteHandle(effect.handle);
      case "unlearn":
        return; // the programs learn nothing by themselves
      case "dump-flows": {
        const flows = this.#tables.counts();
        tags.keepOnly(flows);
        return post({ kind: "flows", flows });
      }
      case "ensure-vxlan":
        return this.#tunnels.ensure(effect.udpPort, post, now);
      case "whereabouts":
        return this.#whereabouts.perform(effect);
      case "sleeve-close":
        tags.closeLink(effect.link);
        return this.#user.path.perform(effect, now);
      case "sleeve-open":
      case "special":
        return this.#user.path.perform(effect, now);
      default:
        assertNever(effect);
    }
  }

  /** Meters go by interface: numbers of ports are others after a restart. */
  #meterOf(key: Miss["key"] | Parameters<OvsMeters["of"]>[0], actions: Parameters<OvsMeters["of"]>[1]) {
    const inPort = this.#numbers.indexOf(key.inPort);
    return inPort === undefined ? undefined : this.#meters.of({ ...key, inPort: inPort as never }, actions);
  }

  #haveTunnel(udpPort: number, post: PostEvent): TunnelPort {
    const result = this.#switch.ensureTunnel(udpPort);
    if (result.kind !== "ready") return result;
    this.#look(result.port.ifindex, post);
    const port = this.#numbers.portOf(result.port.ifindex);
    return port === undefined
      ? { kind: "failed", reason: "its interface has just gone" }
      : { kind: "ready", port };
  }

  /** See Datapath. */
  flush(post: PostEvent): void {
    this.#user.flush(post);
    this.#tables.ended.tell(post);
  }

  /** See Datapath. */
  nextWake(): number {
    return Math.min(this.#lookAt, this.#keeper.nextWake(), this.#tunnels.nextWake());
  }

  /** See Datapath. */
  wake(post: PostEvent, now: Millis): void {
    this.#keeper.wake(now);
    if (now >= this.#lookAt) this.#check(now);
    this.#tunnels.wake(post, now);
  }

  /** Puts programs back that somebody took off. */
  #check(now: Millis): void {
    this.#lookAt = Infinity;
    this.#looked = now;
    const suspects = [...this.#suspects];
    this.#suspects.clear();
    for (const ifindex of suspects) {
      const port = this.#ports.get(ifindex);
      if (port === undefined || !this.#keepPort(port)) continue;
      this.#repaired++;
      this.#log.warn("overlay/program-mended", { interface: port.name });
    }
  }

  /** See Datapath. */
  counts(): DatapathCounts {
    const { bounded, dropped, hits, misses } = this.#tables.counted();
    return {
      ...{ hits, misses, lost: bounded + this.#user.lost, masks: 2, damaged: dropped },
      refused: this.#refused,
      repaired: this.#repaired + this.#keeper.mended,
      sleeve: this.#user.counts(),
    };
  }

  /** Closes what was opened: misses go nowhere from now on, flows go on working. */
  [Symbol.dispose](): void {
    this.#keeper[Symbol.dispose]();
    this.#notices[Symbol.dispose]();
    this.#user[Symbol.dispose]();
    this.#whereabouts[Symbol.dispose]();
    this.#switch[Symbol.dispose]();
  }
}
