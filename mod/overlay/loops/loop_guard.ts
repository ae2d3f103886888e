/** Stops a port of this host while it is part of a loop, where each container has a port of its own.
 *
 * In a loop our own frames come back: addresses are seen at a local port that were elsewhere a moment ago. So an address
 * that moves to a local port is reason enough for a round of probes, which tell a loop from a container that moved. */
import { after, type Millis } from "../../core/time.ts";
import type { FlowKey, PortNo } from "../../wire/netlink/ovs_keys.ts";
import { LOCAL_PORT } from "../../wire/netlink/ovs_keys.ts";
import { encodeLoopProbe, loopProbeAt } from "../../wire/packet/loop_probe.ts";
import type { FlowKeeper } from "../flows/flow_keeper.ts";
import type { MacTable } from "../flows/mac_table.ts";
import { localPlace } from "../flows/place.ts";
import type { PortTable } from "../paths/port_table.ts";
import type { DataplaneEffect } from "../ports/dataplane_types.ts";
import { LoopFinder, type LoopStep } from "./loop_finder.ts";

/** So many moves within a second, and probes may not get through: floods are hushed first. */
export const STORM_MOVES = 32;
const WINDOW_MS = 1_000;
/** In a hush no flood goes to a local port: the storm dies. Probes go out when what was queued has drained. */
const DRAINED_MS = 40;
/** How long a hush lasts. */
export const HUSH_MS = 250;
/** What a loop showed is forgotten when it is cut, and again so much later, in milliseconds, when the last frames have gone
 * round; on a busy host they take longer. The same is done when a container sends a probe of another host: that host is about
 * to cut the loop. */
export const FORGET_AGAIN_MS = [300, 1_000] as const;
/** For how long further probes of other hosts from the same port change nothing: twice as long each time, as a container can
 * forge them. */
const FORGET_REST_MS = { first: 2_000, longest: 600_000 } as const;
/** A loop shows this host's own containers at a peer. Whoever came to a peer so lately is forgotten with it. */
const LATELY_MS = 10_000;
/** After so many hushes it is no loop, but somebody who sends under others' addresses: there is no further hush until floods
 * have stayed away for CALM_MS. */
const MAX_HUSHES = 3;
const CALM_MS = 60_000;

/** What a guard is made of. */
export interface LoopGuardParts {
  readonly ports: PortTable;
  readonly macs: MacTable;
  readonly keeper: FlowKeeper;
  /** Gives numbers of probes that nobody can guess. */
  readonly draw: () => number;
  /** Where effects go. */
  readonly out: { readonly effects: DataplaneEffect[] };
}

/** See the module's head. Each method decides again the flows that it concerns. */
export class LoopGuard {
  readonly #parts: LoopGuardParts;
  readonly #finder: LoopFinder;
  #hush: { readonly probes: LoopStep[]; readonly probeAt: Millis; readonly endAt: Millis } | undefined;
  #hushes = 0;
  #suspectedAt = -Infinity;
  #windowAt = -Infinity;
  #moves = 0;
  /** Ports of loops: when what the loop showed is forgotten again. */
  readonly #forgets = new Map<PortNo, Millis[]>();
  /** Ports at which a strange probe came in: when one last had us forget, and how long others do not. */
  readonly #strange = new Map<PortNo, { readonly at: Millis; readonly restMs: number }>();

  constructor(parts: LoopGuardParts) {
    this.#parts = parts;
    this.#finder = new LoopFinder(parts.draw);
  }

  /** Names of the interfaces that are stopped. */
  get stopped(): readonly string[] {
    return [...this.#finder.stopped].map((port) => this.#nameOf(port));
  }

  /** An address is seen at a local port, and was elsewhere a moment ago. */
  suspect(now: Millis): void {
    if (now - this.#windowAt >= WINDOW_MS) {
      this.#windowAt = now;
      this.#moves = 0;
    }
    this.#moves++;
    if (this.#hush !== undefined || now < this.#finder.nextRound) return;
    const steps = this.#finder.suspect(() => this.#parts.ports.locals, now);
    if (now - this.#suspectedAt > CALM_MS) this.#hushes = 0;
    this.#suspectedAt = now;
    if (this.#moves < STORM_MOVES || this.#hushes++ >= MAX_HUSHES) return this.#perform(steps, now);
    this.#hush = { probes: steps, probeAt: after(now, DRAINED_MS), endAt: after(now, HUSH_MS) };
    this.#setHushed(true, now);
  }

  /** Whether a frame is a probe of ours that has come back; it has done its work. */
  took(frame: Uint8Array, { inPort }: FlowKey, now: Millis): boolean {
    const number = loopProbeAt(frame, 0, frame.length);
    const steps = number === undefined ? undefined : this.#finder.returned(number, now, inPort);
    if (steps === undefined) {
      if (number !== undefined && this.#parts.ports.isLocal(inPort)) this.#stranger(inPort, now);
      return false;
    }
    this.#perform(steps, now);
    // What it shows of others' addresses came by the loop.
    if (steps.length > 0 && this.#parts.ports.isLocal(inPort)) this.#forgetOften(inPort, now);
    return true;
  }

  #stranger(port: PortNo, now: Millis): void {
    const { first, longest } = FORGET_REST_MS;
    const { at, restMs } = this.#strange.get(port) ?? { at: -Infinity, restMs: 0 };
    const since = now - at;
    if (since < restMs) return;
    const next = since > 2 * longest ? first : Math.min(Math.max(first, 2 * restMs), longest);
    this.#strange.set(port, { at: now, restMs: next });
    this.#forgetOften(port, now);
  }

  /** A loop through a port was cut, by the datapath itself. */
  cut(port: PortNo, now: Millis): void {
    this.#forgetOften(port, now);
  }

  /** A port has gone. */
  forget(port: PortNo): void {
    this.#finder.forget(port);
    this.#forgets.delete(port);
    this.#strange.delete(port);
  }

  /** Earliest time at which wake() has something to do. */
  nextWake(): number {
    const hush = this.#hush;
    const hushAt = hush === undefined ? Infinity : hush.probes.length > 0 ? hush.probeAt : hush.endAt;
    const again = [...this.#forgets.values()].map(([at]) => at ?? Infinity);
    return Math.min(hushAt, ...again, this.#finder.nextWake());
  }

  /** Does what is due. */
  wake(now: Millis): void {
    const hush = this.#hush;
    if (hush !== undefined && now >= hush.probeAt) this.#perform(hush.probes.splice(0), now);
    if (hush !== undefined && now >= hush.endAt) {
      this.#hush = undefined;
      this.#setHushed(false, now);
    }
    for (const [port, again] of this.#forgets) {
      if (now < (again[0] ?? Infinity)) continue;
      again.shift();
      this.#forgetShown(port, now);
    }
    this.#perform(this.#finder.wake(now), now);
  }

  #setHushed(hushed: boolean, now: Millis): void {
    const { keeper, ports } = this.#parts;
    ports.setHushed(hushed);
    keeper.table.touchLocals();
    keeper.redecide(now);
  }

  #perform(steps: readonly LoopStep[], now: Millis): void {
    const { effects } = this.#parts.out;
    for (const { port: number, ...step } of steps) {
      const port = number as PortNo;
      if (step.kind === "probe") {
        const actions = [{ kind: "output", port } as const];
        effects.push({ kind: "execute", frame: encodeLoopProbe(step.number), inPort: LOCAL_PORT, actions });
      } else this.#setStopped(port, step.kind === "stop", now);
    }
  }

  #setStopped(port: PortNo, stopped: boolean, now: Millis): void {
    const { keeper, out, ports } = this.#parts;
    this.#hushes = 0; // where one loop was, others may be
    ports.setStopped(port, stopped);
    for (const entry of keeper.table.ofPort(port)) keeper.delete(entry);
    keeper.table.touchLocals();
    this.#forgetOften(port, now);
    const name = this.#nameOf(port);
    out.effects.push(
      stopped
        ? {
          ...{ kind: "log", level: "warn", event: "overlay/loop" },
          fields: { interface: name, reason: "what is sent to it comes back: it is stopped" },
        }
        : { kind: "log", level: "info", event: "overlay/loop-ended", fields: { interface: name } },
    );
  }

  /** At once, and when what was under way has gone. */
  #forgetOften(port: PortNo, now: Millis): void {
    this.#forgets.set(port, FORGET_AGAIN_MS.map((ms) => after(now, ms)));
    this.#forgetShown(port, now);
  }

  /** A loop through `port` showed others' addresses there, and addresses of this host at a peer. */
  #forgetShown(port: PortNo, now: Millis): void {
    const { keeper, macs } = this.#parts;
    keeper.forgetMacs(macs.forgetPlace(localPlace(port)));
    keeper.forgetMacs(macs.forgetRemote(after(now, -LATELY_MS)));
    keeper.redecide(now);
  }

  #nameOf(port: number): string {
    return this.#parts.ports.get(port as PortNo)?.name ?? `port ${port}`;
  }
}
