/** The data plane's loop: one thread, one wait for misses, news, messages and time. */
import { assertNever } from "../core/brand.ts";
import { type Core, Driver, type Failure } from "../core/driver.ts";
import type { OverlayEvent } from "../core/overlay_port.ts";
import type { Faults } from "../core/faults.ts";
import type { Alarm, Clock } from "../core/ports.ts";
import type { Millis } from "../core/time.ts";
import type { Datapath } from "./ports/datapath_port.ts";
import type { FromDataplane, NetworkChange, PortProgram, ToDataplane } from "./ports/dataplane_messages.ts";
import type { Ipsec } from "./ports/esp_port.ts";
import type { DataplaneEffect, DataplaneEvent, DataplaneReport } from "./ports/dataplane_types.ts";
import type { FrameQuestion, FrameView } from "./ports/frame_view.ts";
import type { Watcher } from "./ports/watcher.ts";

/** Events that may wait for an effect to end; one step cannot post nearly as many. */
const EVENT_LIMIT = 4096;

/** The core, and the report it gives. */
export interface DataplaneCore extends Core<DataplaneEvent, DataplaneEffect> {
  /** Everything to know, as of now. */
  report(now: Millis): DataplaneReport;
  /** What becomes of frames between two addresses. */
  explain(question: FrameQuestion, now: Millis): FrameView;
}

/** Blocks the thread until a descriptor is ready or time is up; descriptors are named by position. */
export interface Waiter {
  /** Waits at most so long, Infinity included; returns how many are ready. */
  wait(timeoutMs: number): number;
  /** Whether the last wait found this one ready. */
  isReady(index: number): boolean;
}

/** What the loop is made of. */
export interface DataplaneLoop {
  /** What decides. */
  readonly core: DataplaneCore;
  /** What moves frames. */
  readonly datapath: Datapath;
  /** The kernel's IPsec. */
  readonly xfrm: Ipsec;
  /** The time by which the core lives. */
  readonly clock: Clock;
  /** Look after other things of this host. */
  readonly watchers?: readonly Watcher[];
  /** Waits on the wake-up counter (position 0), then on the datapath's descriptors, then on that of `network`, then on
   * those of IPsec, then on those of the watchers. */
  readonly waiter: Waiter;
  /** What whoever adds a port is to put at its hook. */
  readonly portProgram?: PortProgram | undefined;
  /** Has the switch's own leg open, or closed. */
  readonly setLeg: (open: boolean) => void;
  /** Tells what has changed in this host's network since it was asked last. */
  readonly network: { take(): NetworkChange | undefined };
  /** How many messages were announced since the last call. */
  readonly announced: () => number;
  /** The next message from the main thread. */
  readonly nextMessage: () => Promise<ToDataplane>;
  /** Takes what failed; the loop goes on. */
  readonly faults: Pick<Faults, "tell">;
  /** Does nothing for so many milliseconds. */
  readonly pause: (ms: number) => Promise<void>;
  /** Sends to the main thread. */
  readonly send: (message: FromDataplane) => void;
}

/** The alarm of a loop that looks at it itself. */
class LoopAlarm implements Alarm {
  at = Infinity;
  #ring = () => {};

  set(at: number, ring: () => void): void {
    this.at = at;
    this.#ring = ring;
  }
  ringIfDue(now: Millis): void {
    if (now < this.at) return;
    this.at = Infinity;
    this.#ring();
  }
}

/** When something fails for so long, the process ends and is started anew. */
const TROUBLE_MS = 30_000;
/** Rest after a round in which something failed: what failed may be ready again at once, and fail again. */
const REST_MS = 100;

/** Parts of the loop that fail: the others go on, and the loop neither spins nor goes on for ever. */
class Trouble {
  /** When it began: in this round and in all before it since then something failed. */
  #since: Millis | undefined;
  #last: unknown;
  #isNew = false;

  constructor(readonly loop: Pick<DataplaneLoop, "clock" | "faults" | "pause">) {}

  guard(what: string, work: () => void): void {
    try {
      work();
    } catch (thrown) {
      this.#last = thrown;
      this.#isNew = true;
      this.loop.faults.tell(`data plane: ${what}`, thrown);
    }
  }

  /** Whether rest() has something to do after this round. */
  get any(): boolean {
    return this.#isNew || this.#since !== undefined;
  }

  /** After a round with any. Throws what failed last when something has failed for too long. */
  async rest(): Promise<void> {
    if (!this.#isNew) return void (this.#since = undefined);
    this.#isNew = false;
    this.#since ??= this.loop.clock.now();
    if (this.loop.clock.now() - this.#since > TROUBLE_MS) throw this.#last;
    await this.loop.pause(REST_MS);
  }
}

/**
 * Runs until a message asks to stop. Each round takes the announced messages, then due timers, then a bounded part of
 * what the kernel has, so that none can starve the others. A round that brings packets alone goes to them directly, with
 * one look at the clock. While it waits the thread is blocked: messages reach it
 * only because each is announced by the wake-up counter. A step or an effect that fails later than the start is logged,
 * and the loop goes on. Throws what ends the data plane.
 */
export async function runDataplane(loop: DataplaneLoop): Promise<void> {
  const { announced, clock, core, datapath, faults, network, nextMessage, send, waiter, xfrm } = loop;
  const { watchers = [] } = loop;
  const alarm = new LoopAlarm();
  const trouble = new Trouble(loop);
  let events: OverlayEvent[] = [];
  const perform = (effect: DataplaneEffect): void => {
    if (effect.kind === "overlay") events.push(effect.event);
    else if (effect.kind === "log" || effect.kind === "address-used") send(effect);
    else if (effect.kind === "xfrm") xfrm.perform(effect, post);
    else datapath.perform(effect, post, clock.now());
  };
  const failed = ({ thrown, event, effect }: Failure<DataplaneEvent, DataplaneEffect>) =>
    faults.tell(
      `data plane ${effect === undefined ? `event ${event.kind}` : `effect ${effect.kind}`}`,
      thrown,
    );
  const driver = new Driver(core, perform, {
    clock,
    alarm,
    wake: { kind: "wake" },
    limit: EVENT_LIMIT,
    failed,
  });
  const post = (event: DataplaneEvent): void => void driver.post(event);
  const tell = (): void => {
    if (events.length === 0) return;
    send({ kind: "events", events });
    events = [];
  };
  const networkAt = 1 + datapath.fds.length;
  const ipsecAt = xfrm.fds.length > 0 ? networkAt + 1 : undefined;
  const watchersAt = networkAt + 1 + xfrm.fds.length;
  const watchersNext = (): number => Math.min(...watchers.map((watcher) => watcher.nextWake()));
  let watchersWakeAt = watchersNext();
  const watch = (watcher: Watcher, index: number): void => {
    const ready = waiter.isReady(watchersAt + index);
    if (!ready && clock.now() < watcher.nextWake()) return;
    trouble.guard(watcher.name, () => {
      if (ready) watcher.drain(clock.now());
      watcher.wake(clock.now());
    });
  };

  const broken: unknown[] = [];
  driver.post(datapath.start(), ({ thrown }) => void broken.push(thrown));
  if (broken.length > 0) throw broken[0]; // without a start it would know none of its ports
  datapath.flush(post);
  const { portProgram } = loop;
  send(portProgram === undefined ? { kind: "started" } : { kind: "started", portProgram });
  let more = false;
  const round = { now: clock.now(), isReady: (index: number): boolean => waiter.isReady(index + 1) };
  /** How many of the datapath's descriptors are ready. */
  const readyForPackets = (): number => {
    let count = 0;
    for (let index = 1; index < networkAt; index++) if (waiter.isReady(index)) count++;
    return count;
  };
  const heed = {
    ipsec: () => xfrm.take(post),
    network() {
      const change = network.take();
      if (change === undefined) return;
      const { addresses, come, gone } = change;
      if (addresses) post({ kind: "addresses-changed", come, gone });
      send({ kind: "network-changed", change });
    },
    timers() {
      alarm.ringIfDue(clock.now());
      datapath.wake(post, clock.now());
      datapath.flush(post); // a drain sends by itself; this is what messages and timers brought about
    },
    packets() {
      more = false;
      more = datapath.drain(post, round);
      datapath.flush(post);
    },
  };
  /** Waits, and takes what came if that is packets and nothing else, as in most rounds: then a packet waits for nothing else.
   * Else false. This is a function of its own because V8 optimises what is called often, and a loop without end late or
   * never. */
  const packetRound = (): boolean => {
    tell();
    const wakeAt = Math.min(alarm.at, datapath.nextWake(), watchersWakeAt);
    const ready = waiter.wait(more ? 0 : wakeAt - round.now);
    round.now = clock.now();
    if (round.now >= wakeAt || ready !== readyForPackets()) return false;
    trouble.guard("packets", heed.packets);
    return true;
  };
  for (;;) {
    if (!packetRound()) {
      // First, since what was removed there lets packets leave in clear.
      if (ipsecAt !== undefined && waiter.isReady(ipsecAt)) trouble.guard("news of IPsec", heed.ipsec);
      for (let left = waiter.isReady(0) ? announced() : 0; left > 0; left--) {
        const message = await nextMessage();
        if (message.kind === "stop") {
          trouble.guard("end", () => datapath.flush(post));
          return tell();
        }
        trouble.guard(`message ${message.kind}`, () => take(message));
      }
      if (waiter.isReady(networkAt)) trouble.guard("news of the network", heed.network);
      trouble.guard("timers", heed.timers);
      watchers.forEach(watch);
      watchersWakeAt = watchersNext();
      round.now = clock.now();
      trouble.guard("packets", heed.packets);
    }
    if (trouble.any) {
      await trouble.rest();
      round.now = clock.now();
    }
  }

  function take(message: Exclude<ToDataplane, { kind: "stop" }>): void {
    switch (message.kind) {
      case "requests":
        for (const request of message.requests) post({ kind: "request", request });
        return;
      case "report": {
        if (message.count) post({ kind: "count-flows" });
        const status = { ...core.report(clock.now()), kernel: datapath.counts() };
        return send({ kind: "report", id: message.id, status });
      }
      case "who-has":
        return post(message);
      case "explain": {
        post({ kind: "count-flows" });
        const view = core.explain(message.question, clock.now());
        return send({ kind: "explained", id: message.id, view });
      }
      case "leg":
        try {
          post({ kind: "leg", open: message.open });
          return loop.setLeg(message.open);
        } finally {
          send({ kind: "leg" });
        }
      case "ciphers-ready":
        return xfrm.ciphersReady();
      case "start":
        return; // it did
      default:
        assertNever(message);
    }
  }
}
