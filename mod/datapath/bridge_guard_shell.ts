/** Keeps one container from harming the others by the bridge: it has a share of the bridge's table of addresses, and is
 * stopped while it is part of a loop. */
import type { Mac } from "../core/addr.ts";
import { messageOf } from "../core/errors.ts";
import { NAME_PORT } from "../core/name_leg.ts";
import type { Logger, NetlinkSocket } from "../core/ports.ts";
import { after, type Millis } from "../core/time.ts";
import { LoopFinder, type LoopStep } from "../overlay/loops/loop_finder.ts";
import type { NoticeSocket } from "../overlay/ports/datapath_port.ts";
import { takeNotices } from "../overlay/ports/notices.ts";
import type { Watcher } from "../overlay/ports/watcher.ts";
import {
  deleteBridgeEntry,
  dumpBridgeTable,
  learntAtPorts,
  type Link,
  setBridgePort,
} from "../wire/netlink/rtnetlink.ts";
import { encodeLoopProbe } from "../wire/packet/loop_probe.ts";
import { linkOf, linksOf } from "./links_shell.ts";
import { TableShares } from "./table_shares.ts";

/** So many notices of addresses, and the table is looked at. */
const NOTICES = 256;
/** Shortest time between two looks. */
const LOOK_MS = 100;

/** In a storm frames for everybody go to no container for a moment: it dies, and probes get through. They go out when
 * what the TAP has queued is read. */
const DRAINED_MS = 40;
const HUSH_MS = 250;
/** So often; then it is no loop but a stream to many, which is let be until there was none for CALM_MS. */
const MAX_HUSHES = 3;
const CALM_MS = 60_000;

/** When a probe of another host comes in from a container, the two hosts' ports are part of a loop, which that host is
 * about to cut: what containers' ports show is forgotten at once, and once more when nothing goes round. Then not for a
 * while, twice as long each time: probes can be forged, and what is for a container goes to all until it speaks again. */
const FORGET_AGAIN_MS = 300;
const FORGET_REST_MS = { first: 2_000, longest: 600_000 } as const;

/** Shortest time between two addresses that the bridge is told to forget. */
const UNLEARN_MS = 50;

/** What a guard is made of. */
export interface BridgeGuardParts {
  /** Hears of addresses that the bridge learns (NEIGHBOUR_NOTICES). The guard disposes of it. */
  readonly notices: NoticeSocket;
  readonly openRoute: () => NetlinkSocket;
  /** Name of the bridge, and of the TAP, which leads to everybody else. */
  readonly bridge: string;
  readonly tap: string;
  /** Sends a frame out of an interface. The guard disposes of it. */
  readonly sender: Disposable & { send(name: string, frame: Uint8Array<ArrayBuffer>): void };
  /** Gives numbers of probes that nobody can guess. */
  readonly draw: () => number;
  readonly log: Logger;
}

/** See the module's head. One thread, synchronous. */
export class BridgeGuard implements Watcher {
  readonly name = "ports of the bridge";
  readonly #parts: BridgeGuardParts;
  readonly #loops: LoopFinder;
  readonly #shares = new TableShares();
  readonly #names = new Map<number, string>();
  #hush: { readonly probes: LoopStep[]; readonly probeAt: Millis; readonly endAt: Millis } | undefined;
  #hushes = 0;
  #stormAt = -Infinity;
  #strangeAt = -Infinity;
  #strangeRest: number = FORGET_REST_MS.first;
  #forgetAt = Infinity;
  #unlearntAt = -Infinity;
  #heard = 0;
  #lookAt = Infinity;
  #looked = -Infinity;

  constructor(parts: BridgeGuardParts) {
    this.#parts = parts;
    this.#loops = new LoopFinder(parts.draw);
  }

  /** See Watcher. */
  get fd(): number {
    return this.#parts.notices.fd;
  }

  /** Host ends that are stopped because they are part of a loop. */
  get stopped(): readonly string[] {
    return [...this.#loops.stopped].map((port) => this.#names.get(port) ?? `interface ${port}`);
  }

  /** Opens what an earlier run may have left stopped. */
  begin(): void {
    using socket = this.#parts.openRoute();
    for (const { index } of this.#ports(socket)) {
      this.#set(socket, index, { open: true, learning: true, flooding: true });
    }
  }

  /** See Watcher. */
  drain(now: Millis): void {
    if (!takeNotices(this.#parts.notices, () => void this.#heard++)) this.#heard += NOTICES;
    if (this.#heard < NOTICES) return;
    // In a loop addresses move from port to port, which is no flood of them.
    const soonest = Math.max(now, this.#looked + LOOK_MS, this.#hush?.endAt ?? now);
    this.#lookAt = Math.min(this.#lookAt, soonest);
  }

  /** Frames for everybody come from containers in masses; `repeated`: the same one, as in a loop. */
  storm(now: Millis, repeated: boolean): void {
    if (this.#hush !== undefined || now < this.#loops.nextRound) return;
    using socket = this.#parts.openRoute();
    const ports = this.#containers(socket);
    const steps = this.#loops.suspect(() => ports, now);
    if (now - this.#stormAt > CALM_MS) this.#hushes = 0;
    this.#stormAt = now;
    if (!repeated || this.#hushes++ >= MAX_HUSHES) return this.#perform(socket, steps);
    for (const port of ports) this.#set(socket, port, { flooding: false });
    this.#hush = { probes: steps, probeAt: after(now, DRAINED_MS), endAt: after(now, HUSH_MS) };
  }

  /** What a storm has filled queues with has gone: probes go out; later all is as before. */
  #endHush(socket: NetlinkSocket, now: Millis): void {
    const hush = this.#hush;
    if (hush === undefined || now < hush.probeAt) return;
    this.#perform(socket, hush.probes.splice(0));
    if (now < hush.endAt) return;
    this.#hush = undefined;
    for (const port of this.#containers(socket)) this.#set(socket, port, { flooding: true });
  }

  #containers(socket: NetlinkSocket): readonly number[] {
    const others = [this.#parts.tap, NAME_PORT];
    return this.#ports(socket).filter(({ name }) => !others.includes(name)).map(({ index }) => index);
  }

  /** See LoopWatch. */
  returned(number: number, now: Millis): "strange" | "ours" | "cut" {
    const steps = this.#loops.returned(number, now);
    if (steps === undefined) return "strange";
    if (steps.length === 0) return "ours";
    using socket = this.#parts.openRoute();
    this.#perform(socket, steps);
    return "cut";
  }

  /** A probe of another host has come from a container. */
  strange(now: Millis): void {
    const since = now - this.#strangeAt;
    if (since < this.#strangeRest) return;
    const { first, longest } = FORGET_REST_MS;
    this.#strangeRest = since > 2 * longest ? first : Math.min(2 * this.#strangeRest, longest);
    this.#strangeAt = now;
    this.#forgetAt = after(now, FORGET_AGAIN_MS);
    using socket = this.#parts.openRoute();
    this.#forgetLearnt(socket);
  }

  /** See LoopWatch. Where it comes too often, the next frame asks again. */
  unlearn(mac: Mac, now: Millis): void {
    if (now - this.#unlearntAt < UNLEARN_MS) return;
    this.#unlearntAt = now;
    using socket = this.#parts.openRoute();
    const tap = linkOf(socket, this.#parts.tap)?.index;
    try {
      if (tap !== undefined) socket.request(deleteBridgeEntry(tap, mac));
    } catch (thrown) { // it is not there any more
      this.#parts.log.debug("overlay/bridge-port", { reason: messageOf(thrown) });
    }
  }

  /** What is in use is learnt again with the next frame. */
  #forgetLearnt(socket: NetlinkSocket): void {
    for (const port of this.#containers(socket)) this.#set(socket, port, { flush: true });
  }

  /** See Watcher. */
  nextWake(): number {
    const hush = this.#hush;
    const hushAt = hush === undefined ? Infinity : hush.probes.length > 0 ? hush.probeAt : hush.endAt;
    return Math.min(hushAt, this.#forgetAt, this.#lookAt, this.#loops.nextWake(), this.#shares.nextWake());
  }

  /** See Watcher. */
  wake(now: Millis): void {
    if (now < this.nextWake()) return;
    using socket = this.#parts.openRoute();
    this.#endHush(socket, now);
    if (now >= this.#forgetAt) {
      this.#forgetAt = Infinity;
      this.#forgetLearnt(socket);
    }
    if (now >= this.#lookAt) this.#look(socket, now);
    for (const port of this.#shares.due(now)) this.#set(socket, port, { learning: true });
    this.#perform(socket, this.#loops.wake(now));
  }

  #look(socket: NetlinkSocket, now: Millis): void {
    this.#heard = 0;
    this.#lookAt = Infinity;
    this.#looked = now;
    const bridge = linkOf(socket, this.#parts.bridge);
    if (bridge === undefined) return;
    const ports = this.#ports(socket);
    const tap = ports.find(({ name }) => name === this.#parts.tap)?.index;
    const counts = learntAtPorts(socket.request(dumpBridgeTable(bridge.index)));
    const { flush, ignore } = this.#shares.judge(counts, tap, now);
    for (const port of flush) this.#set(socket, port, { flush: true });
    for (const port of ignore) {
      this.#set(socket, port, { learning: false, flush: true });
      this.#parts.log.warn("a container shows too many addresses", {
        interface: this.#names.get(port) ?? port,
        addresses: counts.get(port),
        reason: "what is sent to its addresses goes to all containers of this host for a while",
      });
    }
  }

  #ports(socket: NetlinkSocket): readonly Link[] {
    const bridge = linkOf(socket, this.#parts.bridge)?.index;
    const ports = bridge === undefined ? [] : linksOf(socket).filter(({ master }) => master === bridge);
    this.#names.clear();
    for (const { index, name } of ports) this.#names.set(index, name);
    for (const port of [...this.#loops.stopped]) if (!this.#names.has(port)) this.#loops.forget(port);
    return ports;
  }

  #perform(socket: NetlinkSocket, steps: readonly LoopStep[]): void {
    const { log, sender } = this.#parts;
    for (const step of steps) {
      const name = this.#names.get(step.port);
      if (name === undefined) continue;
      if (step.kind === "probe") {
        try {
          sender.send(name, encodeLoopProbe(step.number));
        } catch (thrown) { // its queue is full, it is down, or it has just gone
          log.debug("overlay/loop-probe", { interface: name, reason: messageOf(thrown) });
        }
        continue;
      }
      this.#set(socket, step.port, { open: step.kind === "open" });
      this.#hushes = 0; // where one loop was, others may be
      // The loop has shown others' addresses at its other end, too, and who does not speak would not be found again.
      if (step.kind === "stop") this.#forgetLearnt(socket);
      if (step.kind === "open") log.info("overlay/loop-ended", { interface: name });
      else {log.warn("overlay/loop", {
          interface: name,
          reason: "what is sent to it comes back: it is stopped",
        });}
    }
  }

  #set(socket: NetlinkSocket, port: number, changes: Parameters<typeof setBridgePort>[1]): void {
    try {
      socket.request(setBridgePort(port, changes));
    } catch (thrown) { // it is down, or has just gone
      this.#parts.log.debug("overlay/bridge-port", { port, reason: messageOf(thrown) });
    }
  }

  /** Closes the socket. What is hushed is not so any longer: nobody would end it. */
  [Symbol.dispose](): void {
    if (this.#hush !== undefined) {
      this.#hush = undefined;
      try {
        using socket = this.#parts.openRoute();
        for (const port of this.#containers(socket)) this.#set(socket, port, { flooding: true });
      } catch (thrown) { // the next start does it
        this.#parts.log.debug("overlay/bridge-port", { reason: messageOf(thrown) });
      }
    }
    this.#parts.sender[Symbol.dispose]();
    this.#parts.notices[Symbol.dispose]();
  }
}
