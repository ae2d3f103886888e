import assert from "node:assert/strict";
import type { FrameView } from "../../../mod/overlay/ports/frame_view.ts";
import type { Ip } from "../../../mod/core/addr.ts";
import { messageOf } from "../../../mod/core/errors.ts";
import type { OverlayRequest } from "../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../mod/core/time.ts";
import type { Datapath, DatapathEffect, PostEvent } from "../../../mod/overlay/ports/datapath_port.ts";
import type {
  FromDataplane,
  NetworkChange,
  ToDataplane,
} from "../../../mod/overlay/ports/dataplane_messages.ts";
import type {
  DataplaneEffect,
  DataplaneEvent,
  DataplaneReport,
} from "../../../mod/overlay/ports/dataplane_types.ts";
import type { Watcher } from "../../../mod/overlay/ports/watcher.ts";
import { runDataplane } from "../../../mod/overlay/worker_shell.ts";
import type { PortNo } from "../../../mod/wire/netlink/ovs_keys.ts";

const COUNTS = { hits: 1, misses: 2, lost: 3, masks: 4, refused: 5, damaged: 6, repaired: 7 };
const REQUEST: OverlayRequest = {
  kind: "topology",
  view: { names: [], self: 0, shortIds: new Int16Array(0), edges: new Uint32Array(0) },
};

/** What happens in each wait: messages that are announced, news of the kernel, time that passes. */
interface Round {
  readonly messages?: readonly ToDataplane[];
  readonly events?: readonly DataplaneEvent[];
  readonly more?: boolean;
  /** Whether the kernel's packets cannot be taken. */
  readonly broken?: boolean;
  readonly passes?: number;
  /** What has changed in the host's network. */
  readonly change?: NetworkChange;
  /** Whether IPsec has notices. */
  readonly notices?: boolean;
  /** The only descriptors that are ready; all unless given. */
  readonly ready?: readonly number[];
}

/** Runs a loop through rounds and gives what it did, in order. */
async function play(
  rounds: readonly Round[],
  core: {
    step?: (event: DataplaneEvent, now: Millis) => readonly DataplaneEffect[];
    wakeAt?: number;
    fails?: DatapathEffect["kind"];
    watcher?: Watcher;
  } = {},
): Promise<{ trace: string[]; sent: FromDataplane[]; errors: unknown[] }> {
  const trace: string[] = [];
  const sent: FromDataplane[] = [];
  const errors: unknown[] = [];
  const queue: ToDataplane[] = [];
  const round0 = rounds[0] ?? {};
  let now = 0;
  let at = -1;
  const round = () => rounds[at] ?? { messages: [{ kind: "stop" }] as const };
  const datapath: Datapath = {
    fds: [10, 11],
    start: () => ({ kind: "started", ports: [], flows: [] }),
    drain(post: PostEvent) {
      if (round().broken === true) throw new Error("cannot drain");
      for (const event of round().events ?? []) post(event);
      return round().more ?? false;
    },
    perform(effect: DatapathEffect) {
      trace.push(`perform ${effect.kind}`);
      if (effect.kind === core.fails) throw new Error(`cannot ${effect.kind}`);
    },
    flush: () => {},
    nextWake: () => Infinity,
    wake: () => {},
    counts: () => COUNTS,
    [Symbol.dispose]: () => {},
  };
  await runDataplane({
    core: {
      step(event, time) {
        trace.push(`${event.kind} at ${time}`);
        return core.step?.(event, time) ?? [];
      },
      nextWake: () => core.wakeAt ?? Infinity,
      report: () => ({ held: [] }) as unknown as DataplaneReport,
      explain: () => ({ port: "p" }) as unknown as FrameView,
    },
    datapath,
    faults: { tell: (what, thrown) => void errors.push({ what, reason: messageOf(thrown) }) },
    pause(ms) {
      trace.push(`pause ${ms}`);
      now += ms;
      return Promise.resolve();
    },
    xfrm: {
      fds: round0.notices === undefined ? [] : [12],
      perform: (effect) => void trace.push(`perform ${effect.kind}`),
      take: (post) => round().notices === true && post({ kind: "xfrm-disturbed" }),
      ciphersReady: () => void trace.push("ciphers ready"),
    },
    clock: { now: () => now as Millis },
    waiter: {
      wait(ms) {
        trace.push(`wait ${ms}`);
        at++;
        now += round().passes ?? 0;
        queue.push(...round().messages ?? []);
        return round().ready?.length ?? 1;
      },
      isReady: (index) => round().ready?.includes(index) ?? true,
    },
    watchers: core.watcher === undefined ? [] : [core.watcher],
    setLeg: (open) => void trace.push(`leg ${open}`),
    network: { take: () => round().change },
    announced: () => round().messages?.length ?? 0,
    nextMessage: () => Promise.resolve(queue.shift()!),
    send: (message) => void sent.push(message),
  });
  return { trace, sent, errors };
}
Deno.test("runDataplane() starts the core before it waits, tells so, and ends when asked to", async () => {
  const { sent, trace } = await play([]);
  assert.deepEqual(trace, ["started at 0", "wait Infinity"]);
  assert.deepEqual(sent, [{ kind: "started" }]);
});

Deno.test("runDataplane() takes every announced message, then timers, then the kernel's news", async () => {
  const wakeAt = 5;
  const { trace } = await play([{
    messages: [{ kind: "requests", requests: [REQUEST] }, { kind: "requests", requests: [REQUEST] }],
    events: [{ kind: "port-removed", port: 1 as PortNo }],
    passes: 7,
  }], { wakeAt });
  assert.deepEqual(trace.slice(0, 7), [
    "started at 0",
    "wait 5",
    "request at 7",
    "request at 7",
    "wake at 7",
    "port-removed at 7",
    "wait -2",
  ]);
});

Deno.test("runDataplane() tells the core of other addresses, and the main thread of every change", async () => {
  const moved = { addresses: true, gone: [], come: ["192.0.2.1" as Ip] };
  const linked = { addresses: false, gone: [], come: [] };
  const { trace, sent } = await play([{ change: moved, passes: 7 }, { change: linked }, {}]);
  assert.deepEqual(trace.filter((line) => line.startsWith("addresses")), ["addresses-changed at 7"]);
  assert.deepEqual(sent.slice(1), [moved, linked].map((change) => ({ kind: "network-changed", change })));
});

Deno.test("runDataplane() goes to packets directly when nothing else is ready or due", async () => {
  let asked = 0;
  let due = 30;
  const woken: number[] = [];
  const watcher: Watcher = {
    name: "watcher",
    fd: 20,
    drain: () => {},
    nextWake: () => (asked++, due),
    wake(now) {
      woken.push(now);
      due = Infinity;
    },
    [Symbol.dispose]: () => {},
  };
  const packet = { ready: [1], events: [{ kind: "port-removed", port: 1 as PortNo }] as const, passes: 10 };
  const { trace } = await play(
    [packet, packet, packet, packet, { ready: [0], messages: [{ kind: "stop" }] }],
    {
      watcher,
    },
  );
  assert.deepEqual(trace, [
    ...["started at 0", "wait 30", "port-removed at 10", "wait 20", "port-removed at 20"],
    ...["wait 10", "port-removed at 30", "wait Infinity", "port-removed at 40", "wait Infinity"],
  ]);
  assert.deepEqual(woken, [30]);
  assert.equal(asked, 3, "at the start, and twice in the round in which it was due");
});

Deno.test("runDataplane() does not wait while the kernel has more", async () => {
  const { trace } = await play([{ more: true }, { more: false }]);
  assert.deepEqual(trace, ["started at 0", "wait Infinity", "wait 0", "wait Infinity"]);
});

Deno.test("runDataplane() tells of a round's events in one message, the last round's too", async () => {
  const event = { kind: "established", link: 1 } as const;
  const step = (given: DataplaneEvent): readonly DataplaneEffect[] =>
    given.kind === "request" ? [{ kind: "overlay", event: event as never }] : [];
  const twice: ToDataplane = { kind: "requests", requests: [REQUEST, REQUEST] };
  const { sent } = await play([{ messages: [twice] }, { messages: [twice, { kind: "stop" }] }], { step });
  const events = { kind: "events", events: [event, event] };
  assert.deepEqual(sent, [{ kind: "started" }, events, events]);
});

Deno.test("runDataplane() performs effects in order and hands the mesh's on", async () => {
  const event = { kind: "established", link: 1 } as unknown as Extract<
    DataplaneEffect,
    { kind: "overlay" }
  >["event"];
  const effects: readonly DataplaneEffect[] = [
    { kind: "ensure-vxlan", udpPort: 6784 },
    { kind: "overlay", event },
    { kind: "log", level: "info", event: "overlay/loop", fields: { port: 1 } },
    { kind: "dump-flows" },
  ];
  const step = (given: DataplaneEvent) => given.kind === "request" ? effects : [];
  const { sent, trace } = await play([{ messages: [{ kind: "requests", requests: [REQUEST] }] }], { step });
  assert.deepEqual(trace.filter((line) => line.startsWith("perform")), [
    "perform ensure-vxlan",
    "perform dump-flows",
  ]);
  assert.deepEqual(sent.slice(1), [effects[2], { kind: "events", events: [event] }]);
});

Deno.test("runDataplane() answers reports with the core's and the kernel's counts", async () => {
  const { sent } = await play([{ messages: [{ kind: "report", id: 9, count: false }] }]);
  assert.deepEqual(sent[1], { kind: "report", id: 9, status: { held: [], kernel: COUNTS } });
});

Deno.test("runDataplane() does not begin when the first step throws", async () => {
  const step = (): never[] => {
    throw new RangeError("defect");
  };
  await assert.rejects(play([], { step }), /defect/);
});

Deno.test("runDataplane() logs what a later step throws and goes on, without haste", async () => {
  let wakes = 0;
  const step = (event: DataplaneEvent): never[] => {
    if (event.kind === "started") return [];
    wakes++;
    throw new RangeError("defect");
  };
  const { errors, trace } = await play([{ passes: 7 }, { passes: 1_000 }, {}], { step, wakeAt: 5 });
  assert.equal(wakes, 2);
  assert.deepEqual(trace.filter((line) => line.startsWith("wait")), [
    "wait 5",
    "wait 1000", // not -2: a core that throws must not fill the processor
    "wait 1000",
    "wait 1000",
  ]);
  assert.equal(errors.length, 2);
  assert.partialDeepStrictEqual(errors[0], { what: "data plane event wake", reason: "defect" });
});

Deno.test("runDataplane() rests after a round in which a part failed, and does the other parts", async () => {
  const messages: ToDataplane[] = [{ kind: "requests", requests: [REQUEST] }];
  const { errors, trace } = await play([{ broken: true, messages }, { broken: true }, {}]);
  assert.deepEqual(trace, [
    ...["started at 0", "wait Infinity", "request at 0", "pause 100"],
    ...["wait Infinity", "pause 100"],
    ...["wait Infinity", "wait Infinity"],
  ]);
  assert.deepEqual(errors, Array(2).fill({ what: "data plane: packets", reason: "cannot drain" }));
});

Deno.test("runDataplane() ends when a part has failed in each round for half a minute", async () => {
  const broken = { broken: true, passes: 900 };
  await assert.rejects(play(Array(100).fill(broken)), /cannot drain/);
  const now = Array.from({ length: 100 }, (_, i) => i % 20 === 0 ? {} : broken);
  const { errors } = await play(now); // it works now and then
  assert.equal(errors.length, 95);
});

Deno.test("runDataplane() performs the other effects of a step when one fails", async () => {
  const effects: readonly DataplaneEffect[] = [
    { kind: "ensure-vxlan", udpPort: 6784 },
    { kind: "delete", ufid: 1 as never },
    { kind: "dump-flows" },
  ];
  const step = (given: DataplaneEvent) => given.kind === "request" ? effects : [];
  const rounds = [{ messages: [{ kind: "requests", requests: [REQUEST] } as const] }];
  const { errors, trace } = await play(rounds, { step, fails: "delete" });
  assert.deepEqual(trace.filter((line) => line.startsWith("perform")), [
    "perform ensure-vxlan",
    "perform delete",
    "perform dump-flows",
  ]);
  assert.partialDeepStrictEqual(errors, [{ what: "data plane effect delete", reason: "cannot delete" }]);
});

Deno.test("runDataplane() tells the core of the leg, has it so, and answers", async () => {
  const { trace, sent } = await play([{ messages: [{ kind: "leg", open: true }] }]);
  assert.deepEqual(trace.filter((line) => line.startsWith("leg")), ["leg at 0", "leg true"]);
  assert.ok(sent.some(({ kind }) => kind === "leg"));
});

Deno.test("runDataplane() hears of IPsec before all else, and tells it when ciphers are ready", async () => {
  const { trace } = await play([{
    notices: true,
    messages: [{ kind: "requests", requests: [REQUEST] }, { kind: "ciphers-ready" }],
    events: [{ kind: "port-removed", port: 1 as PortNo }],
  }]);
  assert.deepEqual(trace.slice(2, 6), [
    "xfrm-disturbed at 0",
    "request at 0",
    "ciphers ready",
    "port-removed at 0",
  ]);
});
