import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import type { LogFields, Logger } from "../../../mod/core/ports.ts";
import { type NameServiceAround, startNameService } from "../../../mod/daemon/threads/names_client.ts";
import type { DnsListener } from "../../../mod/dns/service_types.ts";
import { entry, peer } from "../dns/bench.ts";

/** A thread that tells what it was told: reports count the messages of each kind, and the changes in them. */
const COUNTING = `
  const seen = [];
  onmessage = ({ data }) => {
    seen.push(data.kind === "changes" ? "changes " + data.changes.length : data.kind);
    if (data.kind === "report") postMessage({ kind: "report", id: data.id, report: seen });
    if (data.kind === "inside" && data.place) postMessage({ kind: "inside", netns: data.netns, problem: undefined });
    if (data.kind === "listen") {
      const listeners = data.endpoints.map((endpoint) => ({ endpoint, state: "listening" }));
      postMessage({ kind: "listeners", listeners });
    }
    if (data.kind === "client" && data.id === "fatal") postMessage({ kind: "failed", reason: "defect" });
    if (data.kind === "client" && data.id === "thrown") throw new Error("thrown");
    if (data.kind === "stop") postMessage({ kind: "stopped" });
  };`;

class Trial {
  signals = 0;
  open = 0;
  /** So many counters cannot be made. */
  refusals = 0;
  readonly logged: string[] = [];
  readonly told: (readonly DnsListener[])[] = [];
  #more = Promise.withResolvers<void>();
  readonly service;

  constructor(entries: NameServiceAround["entries"] = () => []) {
    const log = Object.fromEntries(
      ["debug", "info", "warn", "error"].map((level) => [
        level,
        (event: string, fields?: LogFields) => this.#note(this.logged, `${event}: ${fields?.["reason"]}`),
      ]),
    ) as unknown as Logger;
    this.service = startNameService({
      config: {
        ...{ self: peer(1), domain: "mesh.internal.", ttl: undefined, order: "balanced" },
        ...{
          plainCap: undefined,
          stubs: [],
          resolvConf: "/none",
          patienceMs: 5_000,
        },
      },
      entries,
      createWakeup: () => {
        if (this.refusals-- > 0) throw new Error("no descriptors left");
        this.open++;
        return { fd: 3, signal: () => void this.signals++, [Symbol.dispose]: () => void this.open-- };
      },
      log,
      guard: (_, work) => work,
      patienceMs: 120_000,
      onHealth: () => {},
      onListeners: (listeners) => this.#note(this.told, listeners),
      workerUrl: new URL(`data:application/javascript,${encodeURIComponent(COUNTING)}`),
    });
  }

  #note<T>(list: T[], one: T): void {
    list.push(one);
    this.#more.resolve();
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await this.#more.promise;
      this.#more = Promise.withResolvers();
    }
  }

  async seen(): Promise<readonly string[]> {
    return await this.service.report() as unknown as readonly string[];
  }
}

const web = (n: number) => entry({ hostname: `web${n}.mesh.internal.`, addr: 10 + n });

Deno.test("NameService begins with all entries and clients, and tells changes of one turn in batches", async () => {
  const trial = new Trial(() => [web(1), web(2)]);
  trial.service.setClient("a", { addresses: [], sources: [] });
  for (let i = 0; i < 501; i++) trial.service.watch(undefined, web(i + 3));
  await Promise.resolve();
  trial.service.setClient("b", { addresses: [], sources: [] });
  trial.service.removeClient("c");
  assert.deepEqual(await trial.seen(), [
    ...[
      "start",
      "client",
      "distances",
      "changes 2",
      "listen",
      "changes 500",
      "changes 1",
      "client",
      "report",
    ],
  ]);
  assert.equal(trial.signals, 8);
  await trial.service.stop();
  assert.equal(trial.open, 0);
  await assert.rejects(trial.service.report(), { code: "dns/unavailable" });
});

Deno.test("NameService has no thread until somebody can ask", async () => {
  const trial = new Trial(() => [web(1)]);
  trial.service.setClient("meshnet:host", { addresses: [], sources: [] });
  trial.service.listen([{ ip: "169.254.53.53" as Ip, port: 53, netns: "/proc/1/fd/3" }]);
  trial.service.watch(undefined, web(2));
  await trial.service.settled();
  assert.deepEqual([trial.open, trial.service.isNeeded], [0, false]);
  await assert.rejects(trial.service.report(), { code: "dns/unavailable" });
  trial.service.setClient("netns:web", { addresses: [], sources: [] });
  await trial.service.settled();
  assert.equal(trial.service.listeners.length, 1);
  assert.deepEqual(
    await trial.seen(),
    ["start", "client", "client", "distances", "changes 1", "listen", "report"],
  );
  await trial.service.stop();
  assert.equal(trial.open, 0);
});

Deno.test("NameService answers before the client is there that it was told to expect", async () => {
  const trial = new Trial();
  trial.service.listen([{ ip: "169.254.53.53" as Ip, port: 53, netns: "/proc/1/fd/3" }]);
  trial.service.expectClient();
  await trial.service.settled();
  assert.equal(trial.service.listeners.length, 1);
  trial.service.expectClient();
  assert.equal(trial.open, 1, "one thread");
  await trial.service.stop();
  assert.equal(trial.open, 0);
});

Deno.test("NameService tells where questions are taken inside, and that they no longer are, to each thread anew", async () => {
  const trial = new Trial();
  const heard: (string | undefined)[] = [];
  trial.service.serveInside(
    "a",
    { source: 1, engineFirst: false },
    (problem) => heard.push(problem),
  );
  trial.service.listen([{ ip: "127.0.0.1" as Ip, port: 53 }]);
  await trial.until(() => trial.service.listeners.length === 1);
  assert.deepEqual(heard, [undefined]);
  trial.service.setClient("fatal", { addresses: [], sources: [] });
  trial.service.removeClient("fatal");
  await trial.until(() => trial.logged.length === 1);
  assert.deepEqual(heard, [undefined, "the name server has ended"]);
  await trial.until(() => trial.service.listeners.length === 1);
  assert.deepEqual(heard.at(-1), undefined);
  trial.service.serveInside("a", undefined);
  await trial.service.stop();
});

Deno.test("NameService tries again where a thread cannot be made, at a restart, too", async () => {
  const trial = new Trial();
  trial.service.listen([{ ip: "127.0.0.1" as Ip, port: 53 }]);
  trial.refusals = 1;
  trial.service.setClient("fatal", { addresses: [], sources: [] });
  trial.service.removeClient("fatal");
  await trial.until(() => trial.logged.length === 2);
  assert.deepEqual(trial.logged, ["name server failed: defect", "name server failed: no descriptors left"]);
  await trial.until(() => trial.service.listeners.length === 1);
  await trial.service.stop();
  assert.equal(trial.open, 0);
});

Deno.test("NameService tells what was changed before what was told later", async () => {
  const trial = new Trial();
  trial.service.listen([{ ip: "127.0.0.2" as Ip, port: 53 }]);
  trial.service.watch(undefined, web(1));
  trial.service.listen([{ ip: "127.0.0.1" as Ip, port: 53 }]);
  assert.deepEqual((await trial.seen()).slice(-3), ["changes 1", "listen", "report"]);
  await trial.until(() => trial.told.length === 2);
  assert.deepEqual(trial.service.listeners, trial.told[1]);
  await trial.service.stop();
});

for (const [id, reason] of [["fatal", "defect"], ["thrown", "Uncaught Error: thrown"]] as const) {
  Deno.test(`NameService starts a thread that ended anew, with everything: ${id}`, async () => {
    const trial = new Trial(() => [web(1)]);
    trial.service.setClient("a", { addresses: [], sources: [] });
    trial.service.listen([{ ip: "127.0.0.1" as Ip, port: 53 }]);
    trial.service.setClient(id, { addresses: [], sources: [] });
    trial.service.removeClient(id);
    await trial.until(() => trial.logged.length === 1);
    assert.deepEqual(trial.logged, [`name server failed: ${reason}`]);
    assert.deepEqual(trial.service.listeners, []);
    await assert.rejects(trial.service.report(), { code: "dns/unavailable" });
    await trial.until(() => trial.service.listeners.length === 1);
    assert.deepEqual(await trial.seen(), ["start", "client", "distances", "changes 1", "listen", "report"]);
    await trial.service.stop();
    assert.equal(trial.open, 0);
  });
}
