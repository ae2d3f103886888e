/** The kernel's Open vSwitch as a Datapath: misses and notices in, flows and frames out. */
import { assertNever } from "../core/brand.ts";
import { describeErrno, ERRNO } from "../core/errno.ts";
import { errnoOf } from "../core/errors.ts";
import { NAME_PORT } from "../core/name_leg.ts";
import type { Millis } from "../core/time.ts";
import { NetlinkWriter } from "../wire/netlink/netlink_writer.ts";
import { decodeVport, openOvs, OVS_CMD } from "../wire/netlink/ovs.ts";
import {
  decodeUpcall,
  type UpcallError,
  writeExecute,
  writeFlowDelete,
  writeFlowNew,
} from "../wire/netlink/ovs_flow.ts";
import type { Miss, PortNo, Vport } from "../wire/netlink/ovs_keys.ts";
import type {
  Datapath,
  DatapathCounts,
  DatapathEffect,
  NoticeSocket,
  OvsAdapters,
  PostEvent,
  UpcallSocket,
} from "../overlay/ports/datapath_port.ts";
import type { DataplaneEvent } from "../overlay/ports/dataplane_types.ts";
import { Backlog } from "./backlog.ts";
import { NLM_F } from "../wire/netlink/netlink.ts";
import { AskedAnswers, EndedFlows } from "./ended_flows.ts";
import type { HostLeg } from "./host_leg.ts";
import { datapathGone, OvsKernel } from "./ovs_kernel_shell.ts";
import { decideOrKeep, MissQueue } from "./miss_queue.ts";
import { OvsMeters } from "./ovs_meters.ts";
import type { OvsChange } from "./ovs_setup.ts";
import { TunnelPorts } from "./tunnel_ports_shell.ts";
import { sendGathered } from "./ovs_send_shell.ts";
import { openUserSpace, type OvsSleeve } from "./ovs_sleeve_shell.ts";
import { leftForKernel, type UserSpace } from "./tagged_links_shell.ts";
import { takeNotices } from "../overlay/ports/notices.ts";
import { TAP_NAME } from "../overlay/ports/tap_port.ts";

/** Positions in `fds`. */
const [UPCALLS, NOTICES, USER_SPACE] = [0, 1, 2] as const;
/** Batches of misses read by one call of drain(): more than are decided. Timers come in between: while a busy machine answers
 * many misses, the heartbeats of its links go out in time. */
const BATCHES = 8;
/** News of user space's sending bring about more to send, but not for ever. */
const ROUNDS = 4;
/** What is gathered for one send, in octets; one more effect, a frame of 64 KiB, may come on top. */
const SEND_LIMIT = 64 * 1024;
/** Shortest time between two looks at whether misses still reach us. */
const CHECK_MS = 200;

/** What is opened. */
export interface OvsOptions {
  /** Name of the datapath and of its own interface. */
  readonly name: string;
  /** MTU of its own interface. */
  readonly mtu: number;
  /** Keeps its own interface closed to this host, or open. */
  readonly leg: Pick<HostLeg, "keep">;
  /** What carries frames that no tunnel can carry; it is disposed with the datapath. */
  readonly userSpace?: UserSpace | undefined;
}

/** One open datapath. Ports, flows and the datapath itself stay when it is disposed. */
export class OvsDatapath implements Datapath {
  readonly #kernel: OvsKernel;
  readonly #upcalls: UpcallSocket;
  readonly #notices: NoticeSocket;
  readonly #adapters: OvsAdapters;
  readonly #name: string;
  readonly #user: OvsSleeve | undefined;
  readonly #writer = new NetlinkWriter(SEND_LIMIT + 80 * 1024);
  readonly #ports = new Map<PortNo, Vport>();
  readonly #tunnels: TunnelPorts;
  readonly #backlog = new Backlog();
  readonly #ended = new EndedFlows();
  readonly #waiting = new MissQueue<Miss>();
  readonly #answers = new AskedAnswers();
  readonly #meters: OvsMeters;
  #checkAt = Infinity;
  #checkedAt = -Infinity;
  #resync = false;
  #refused = 0;
  #damaged = 0;
  #repaired = 0;

  private constructor(
    kernel: OvsKernel,
    upcalls: UpcallSocket,
    notices: NoticeSocket,
    options: Pick<OvsOptions, "name"> & {
      readonly adapters: OvsAdapters;
      readonly user: OvsSleeve | undefined;
    },
  ) {
    this.#kernel = kernel;
    this.#upcalls = upcalls;
    this.#notices = notices;
    this.#name = options.name;
    this.#adapters = options.adapters;
    this.#user = options.user;
    this.#tunnels = new TunnelPorts((udpPort, post) => {
      const result = kernel.ensureVxlan(udpPort);
      if (result.kind !== "ready") return result;
      this.#learn(result.port, post);
      return { kind: "ready", port: result.port.port };
    });
    this.#meters = new OvsMeters({ make: (meter) => kernel.makeMeter(meter), log: options.adapters.log });
  }

  /** Opens the datapath, or makes it. Throws "datapath/module-missing" when the kernel has no Open vSwitch,
   * "datapath/wrong-kind" when something else has the name. Where the TAP cannot become a port, tunnels alone carry
   * frames. */
  static open(adapters: OvsAdapters, options: OvsOptions): OvsDatapath {
    const { leg, mtu, name, userSpace } = options;
    using undo = new DisposableStack();
    if (userSpace !== undefined) undo.use(userSpace);
    const upcalls = undo.use(adapters.openUpcalls());
    const kernel = undo.use(OvsKernel.open(adapters, { name, mtu, leg, upcallPid: upcalls.portId }));
    const { datapathGroup, vportGroup } = kernel.families;
    const notices = undo.use(adapters.openNotices([datapathGroup, vportGroup]));
    const around = { log: adapters.log, openLinkNotices: () => adapters.openLinkNotices() };
    const user = userSpace === undefined ? undefined : openUserSpace(userSpace, { ...around, kernel });
    undo.move();
    return new OvsDatapath(kernel, upcalls, notices, { name, adapters, user });
  }

  /** See Datapath. In the order of UPCALLS and NOTICES; from USER_SPACE on those of user space. */
  get fds(): readonly number[] {
    return [this.#upcalls.fd, this.#notices.fd, ...this.#user?.fds ?? []];
  }

  /** See Datapath. */
  start(): DataplaneEvent {
    // Ports made between opening and joining the group are in this list, later ones in notices.
    this.#kernel.repair();
    const ports = this.#kernel.ports().map((port) => this.#seen(port));
    for (const port of ports) this.#ports.set(port.port, port);
    return { kind: "started", ports, flows: this.#kernel.flows(false) };
  }

  /** User space's port is nobody's local one, also when a process left it that is gone. Nor is the name server's. */
  #seen(port: Vport): Vport {
    if (port.kind !== "netdev") return port;
    if (port.port === this.#user?.port) return { ...port, kind: "sleeve" };
    if (port.name === NAME_PORT) return { ...port, kind: "names" };
    return port.name === TAP_NAME ? { ...port, kind: "other" } : port;
  }

  /** See Datapath. */
  drain(post: PostEvent, at: { now: Millis; isReady: (index: number) => boolean }): boolean {
    if (at.isReady(NOTICES)) this.#takeNotices(post, at.now);
    this.#waiting.begin();
    const unread = at.isReady(UPCALLS) && this.#takeUpcalls(post);
    this.#backlog.update(unread, at.now, post); // of what has been read, heartbeats have not waited
    for (let miss = this.#waiting.take(); miss !== undefined; miss = this.#waiting.take()) {
      post({ kind: "miss", miss });
    }
    this.#send();
    let more = unread || this.#waiting.waits;
    const user = this.#user;
    if (user !== undefined) {
      const { now } = at;
      if (user.drain(post, { now, isReady: (index) => at.isReady(USER_SPACE + index) })) more = true;
      this.flush(post);
    }
    return more;
  }

  #takeUpcalls(post: PostEvent): boolean {
    for (let i = 0; i < BATCHES; i++) {
      const batch = this.#upcalls.receiveBatch();
      for (const datagram of batch) this.#takeUpcall(datagram, post);
      this.#ended.tell(post);
      this.#send();
      if (batch.length < this.#upcalls.batchSize) {
        this.#answers.settle();
        return false;
      }
    }
    return true;
  }

  #takeUpcall(datagram: Uint8Array, post: PostEvent): void {
    const decoded = decodeUpcall(this.#kernel.families, datagram);
    if (!decoded.ok) {
      this.#damaged++;
      return;
    }
    const upcall = decoded.value;
    if (upcall.kind === "error") this.#takeRefusal(upcall, post);
    if (upcall.kind === "flow" && upcall.flow.ufid !== undefined) {
      this.#ended.add({ ...upcall.flow, ufid: upcall.flow.ufid });
    }
    if (upcall.kind !== "miss" || upcall.datapath !== this.#kernel.index) return;
    const { inPort } = upcall.miss.key;
    if (!this.#ports.has(inPort)) this.#meet(inPort, post);
    const miss = inPort === this.#user?.port ? this.#user.missOf(upcall) : upcall.miss;
    if (miss !== undefined) decideOrKeep(this.#waiting, miss, (miss) => post({ kind: "miss", miss }));
  }

  /** A frame was faster than the news of its port. */
  #meet(port: PortNo, post: PostEvent): void {
    const found = this.#kernel.port({ port });
    if (found !== undefined) this.#learn(found.vport, post);
  }

  #takeRefusal(error: UpcallError, post: PostEvent): void {
    if (error.request === "delete" && error.errno === ERRNO.ENOENT) return; // gone already
    this.#refused++;
    const text = error.text === undefined ? "" : `, ${error.text.trim()}`;
    const reason = describeErrno(error.errno) + text;
    if (error.request === "install" && error.ufid !== undefined) {
      this.#user?.tags.unbind(error.ufid);
      post({ kind: "install-failed", ufid: error.ufid, reason });
    } else this.#adapters.log.debug("overlay/request-refused", { request: error.request, reason });
  }

  #takeNotices(post: PostEvent, now: Millis): void {
    if (!takeNotices(this.#notices, (notice) => this.#takeNotice(notice, post, now))) this.#resync = true;
    if (this.#resync) this.#compare(post);
  }

  #takeNotice(notice: Uint8Array, post: PostEvent, now: Millis): void {
    const { families, index } = this.#kernel;
    const opened = openOvs(notice);
    if (!opened.ok || opened.value.datapath !== index) return;
    const { command, family } = opened.value;
    if (family === families.datapath) {
      if (command === OVS_CMD.del) throw datapathGone(this.#name);
      this.#checkAt = Math.min(this.#checkAt, Math.max(now, this.#checkedAt + CHECK_MS));
    } else if (family === families.vport) {
      const decoded = decodeVport(notice);
      if (!decoded.ok) this.#damaged++;
      else if (command === OVS_CMD.del) {
        this.#forget(decoded.value.vport.port, post);
        this.#user?.lost(decoded.value.vport.port, now);
      } else this.#learn(decoded.value.vport, post);
    }
  }

  #learn(told: Vport, post: PostEvent): void {
    const port = this.#seen(told);
    const known = this.#ports.get(port.port);
    if (!this.#kernel.hearsOf(port) && (known === undefined || this.#kernel.hearsOf(known))) {
      this.#kernel.directMisses(port.port);
    }
    this.#ports.set(port.port, port);
    if (known?.name === port.name && known.kind === port.kind && known.udpPort === port.udpPort) return;
    if (known !== undefined) post({ kind: "port-removed", port: port.port });
    post({ kind: "port-appeared", port });
  }

  #forget(port: PortNo, post: PostEvent): void {
    if (this.#ports.delete(port)) post({ kind: "port-removed", port });
  }

  /** Finds out what happened while news were lost. */
  #compare(post: PostEvent): void {
    this.#resync = false;
    const present = this.#kernel.ports();
    const numbers = new Set(present.map((port) => port.port));
    for (const port of [...this.#ports.keys()]) {
      if (!numbers.has(port)) this.#forget(port, post);
    }
    for (const port of present) this.#learn(port, post);
  }

  /** See Datapath. */
  perform(effect: DatapathEffect, post: PostEvent, now: Millis): void {
    const writer = this.#writer;
    const { families, index } = this.#kernel;
    const tags = this.#user?.tags;
    switch (effect.kind) {
      case "install": {
        const { actions, frame, key, ufid } = effect;
        if (key.sleeve === undefined && tags === undefined || tags?.bind(ufid, key, actions)) {
          const meter = this.#meters.of(key, actions);
          const flags = effect.replace ? this.#answers.flags() : NLM_F.request;
          writeFlowNew(writer, families, index, effect, { flags, meter, tagOf: tags?.tagOf });
        } else post({ kind: "install-failed", ufid, reason: "there is no tag for it" });
        if (frame !== undefined && actions.length > 0) {
          writeExecute(writer, families, index, { frame, actions }, { tagOf: tags?.tagOf });
        }
        break;
      }
      case "execute": {
        const left = leftForKernel(effect, this.#user, this.#ports);
        if (left !== undefined) writeExecute(writer, families, index, left, { tagOf: tags?.tagOf });
        break;
      }
      case "delete":
        tags?.unbind(effect.ufid);
        writeFlowDelete(writer, families, index, effect, this.#answers.flags());
        break;
      case "delete-foreign":
        writeFlowDelete(writer, families, index, effect);
        break;
      case "unlearn":
      case "whereabouts":
        return; // it learns nothing by itself, and asks about each frame that has no flow
      case "dump-flows": {
        this.#send();
        const flows = this.#kernel.flows(true);
        tags?.keepOnly(flows);
        post({ kind: "flows", flows });
        break;
      }
      case "ensure-vxlan":
        this.#tunnels.ensure(effect.udpPort, post, now);
        break;
      case "sleeve-open":
      case "sleeve-close":
      case "special":
        this.#user?.perform(effect, now);
        break;
      default:
        assertNever(effect);
    }
    if (writer.length > SEND_LIMIT) this.#send();
  }

  /** See Datapath. */
  flush(post: PostEvent): void {
    this.#send();
    let news = this.#user !== undefined;
    for (let i = 0; news && i < ROUNDS; i++) {
      news = false;
      this.#user!.path.flush((event) => {
        news = true;
        post(event);
      });
      this.#send(); // what the news brought about
    }
  }

  #send(): void {
    this.#refused += sendGathered(this.#upcalls, this.#writer, this.#adapters.log);
  }

  /** Has the leg as it is to be. */
  readonly keepLeg = (): void => void this.#kernel.keepLeg();

  /** See Datapath. */
  nextWake(): number {
    return Math.min(this.#checkAt, this.#user?.nextWake() ?? Infinity, this.#tunnels.nextWake());
  }

  /** See Datapath. */
  wake(post: PostEvent, now: Millis): void {
    if (now >= this.#checkAt) this.#check(now);
    this.#user?.wake(now);
    this.#tunnels.wake(post, now);
  }

  #check(now: Millis): void {
    this.#checkAt = Infinity;
    this.#checkedAt = now;
    const changes = this.#repair();
    if (changes.length === 0) return;
    this.#repaired++;
    const { log } = this.#adapters;
    const fields = { datapath: this.#name, what: changes.map((change) => change.kind).join(" ") };
    // Tools that only look (ovs-dpctl show) change something too, but nothing that we need.
    const harmful = changes.some((change) => change.kind !== "dispatch" || change.deaf);
    if (harmful) log.warn("overlay/datapath-changed-by-others", fields);
    else log.debug("overlay/datapath-opened-by-others", fields);
  }

  #repair(): readonly OvsChange[] {
    try {
      return this.#kernel.repair();
    } catch (thrown) {
      throw errnoOf(thrown) === ERRNO.ENODEV ? datapathGone(this.#name) : thrown;
    }
  }

  /** See Datapath. */
  counts(): DatapathCounts {
    const { hits, misses, lost, masks } = this.#kernel.datapath();
    return {
      ...{ hits, misses, lost: lost + this.#waiting.lost, masks },
      refused: this.#refused,
      damaged: this.#damaged,
      repaired: this.#repaired + (this.#user?.mended ?? 0),
      sleeve: this.#user?.counts(),
    };
  }

  /** Closes the sockets: misses go nowhere from now on, flows go on working. */
  [Symbol.dispose](): void {
    this.#user?.[Symbol.dispose]();
    this.#notices[Symbol.dispose]();
    this.#kernel[Symbol.dispose]();
    this.#upcalls[Symbol.dispose]();
  }
}
