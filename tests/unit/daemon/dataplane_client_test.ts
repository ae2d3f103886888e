import assert from "node:assert/strict";
import type { Ip, Mac } from "../../../mod/core/addr.ts";
import type { MeshnetError } from "../../../mod/core/errors.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import type { OverlayEvent, OverlayRequest } from "../../../mod/core/overlay_port.ts";
import type { LogFields, Logger } from "../../../mod/core/ports.ts";
import { type DataplaneHandle, loadDataplane } from "../../../mod/daemon/threads/dataplane_client.ts";

const CONFIG = {
  kind: "ovs",
  peer: "02:00:00:00:00:01" as PeerName,
  overlays: ["fastdp"],
  noFastdp: undefined,
  extensions: [],
  sleeve: { port: 6783, host: undefined },
  ...{ name: "meshnet", mtu: 1376, vxlanPort: 6784 },
  ...{ encrypts: false, distrusts: false, ipsec: "off", watchFirewall: false, legOpen: false } as const,
} as const;
const REQUEST: OverlayRequest = { kind: "confirm", link: 7 as never };

/** A worker that does `begin` when it is started, and `take` for every other message. */
function workerOf(begin: string, take = ""): URL {
  const code = `onmessage = ({ data }) => { if (data.kind === "start") { ${begin} } else { ${take} } };`;
  return new URL(`data:application/javascript,${encodeURIComponent(code)}`);
}

/** A data plane in a fake worker, and everything that it brought about here. */
class Trial {
  signals = 0;
  open = 0;
  readonly logged: string[] = [];
  readonly events: OverlayEvent[] = [];
  readonly used: { readonly ip: Ip }[] = [];
  readonly failed = Promise.withResolvers<MeshnetError>();
  readonly #log = Object.fromEntries(
    ["debug", "info", "warn", "error"].map((level) => [
      level,
      (event: string, fields?: LogFields) =>
        this.logged.push(`${level} ${event} ${fields?.["reason"] ?? ""}`.trim()),
    ]),
  ) as unknown as Logger;

  async start(workerUrl: URL): Promise<DataplaneHandle> {
    const dataplane = this.load(workerUrl);
    await dataplane.start(CONFIG);
    return dataplane;
  }

  load(workerUrl: URL): DataplaneHandle {
    return loadDataplane({
      createWakeup: () => {
        this.open++;
        return { fd: 3, signal: () => void this.signals++, [Symbol.dispose]: () => void this.open-- };
      },
      log: this.#log,
      guard: (_, work) => work,
      onEvent: (event) => void this.events.push(event),
      onNetwork: () => {},
      onMended: () => {},
      onDisturbed: () => {},
      onFirewall: () => {},
      onAddressUsed: (use) => void this.used.push(use),
      onAddressesAdded: () => {},
      onFailure: (reason) => this.failed.resolve(reason),
      workerUrl,
    });
  }
}

const ANSWER = `
  if (data.kind === "requests") {
    postMessage({ kind: "events", events: data.requests.map(({ link }) => ({ kind: "established", link })) });
    postMessage({ kind: "log", level: "info", event: "x/y", fields: {} });
  }
  if (data.kind === "who-has") postMessage({ kind: "address-used", ip: data.ip, mac: data.mac });
  if (data.kind === "report") postMessage({ kind: "report", id: data.id, status: { echo: data.id } });
  if (data.kind === "stop") postMessage({ kind: "stopped" });
  if (data.kind === "requests" && data.requests[0].kind === "stop") throw new Error("defect");`;

Deno.test("DataplaneHandle.start() hands requests over and brings events, logs and reports back", async () => {
  const trial = new Trial();
  const dataplane = await trial.start(workerOf(`postMessage({ kind: "started" });`, ANSWER));
  dataplane.request(REQUEST);
  assert.deepEqual(await Promise.all([dataplane.report(), dataplane.report()]), [{ echo: 1 }, { echo: 2 }]);
  assert.deepEqual(trial.events, [{ kind: "established", link: 7 }]);
  assert.deepEqual(trial.logged, ["info x/y"]);
  assert.equal(trial.signals, 3);
  await Promise.all([dataplane.stop(), dataplane.stop()]);
  assert.equal(trial.open, 0);
  dataplane.request(REQUEST); // goes nowhere
  await assert.rejects(dataplane.report(), { message: "Cannot report: data plane has ended" });
});

Deno.test("DataplaneHandle.request() sends what one turn asks for in one message, before a report", async () => {
  const trial = new Trial();
  const dataplane = await trial.start(workerOf(`postMessage({ kind: "started" });`, ANSWER));
  dataplane.request(REQUEST);
  dataplane.request({ kind: "confirm", link: 8 as never });
  await dataplane.report();
  assert.deepEqual(trial.events.map((event) => event.link), [7, 8]);
  assert.equal(trial.signals, 2);
  dataplane.request({ kind: "confirm", link: 9 as never });
  await Promise.resolve();
  assert.equal(trial.signals, 3, "nobody has to ask for more");
  await dataplane.stop();
});

Deno.test("DataplaneHandle.whoHas() asks, and what is heard is told", async () => {
  const trial = new Trial();
  const dataplane = await trial.start(workerOf(`postMessage({ kind: "started" });`, ANSWER));
  dataplane.whoHas("10.2.1.1" as Ip, 7 as Mac);
  await dataplane.report();
  assert.deepEqual(trial.used, [{ kind: "address-used", ip: "10.2.1.1", mac: 7 }]);
  await dataplane.stop();
});

Deno.test("DataplaneHandle.stop() ends a worker that was never started", async () => {
  const trial = new Trial();
  const dataplane = trial.load(workerOf(""));
  await dataplane.stop();
  assert.equal(trial.open, 0);
  await assert.rejects(dataplane.report(), { message: "Cannot report: data plane has ended" });
});

Deno.test("DataplaneHandle.start() gives the worker its configuration and the descriptor that wakes it", async () => {
  const trial = new Trial();
  const begin = `postMessage({ kind: "log", level: "info", event: JSON.stringify(data), fields: {} });
    postMessage({ kind: "started" });`;
  const dataplane = await trial.start(workerOf(begin, ANSWER));
  assert.deepEqual(trial.logged, [`info ${JSON.stringify({ kind: "start", config: CONFIG, wakeupFd: 3 })}`]);
  await dataplane.stop();
});

Deno.test("DataplaneHandle.start() rejects with the reason why it cannot work", async () => {
  const trial = new Trial();
  const failure = {
    code: "datapath/module-missing",
    message: "No module",
    hint: "Load it",
    errno: undefined,
  };
  const begin = `postMessage({ kind: "failed", failure: ${JSON.stringify(failure)} });`;
  await assert.rejects(trial.start(workerOf(begin)), { code: "datapath/module-missing", hint: "Load it" });
  assert.equal(trial.open, 0);
});

Deno.test("DataplaneHandle.start() tells once that the data plane failed, and refuses what waits", async () => {
  const trial = new Trial();
  const failure = { code: "datapath/unavailable", message: "Datapath meshnet was removed" };
  const take = `if (data.kind === "requests") postMessage({ kind: "failed", failure: ${
    JSON.stringify(failure)
  } });`;
  const dataplane = await trial.start(workerOf(`postMessage({ kind: "started" });`, take));
  const report = assert.rejects(dataplane.report(), { message: "Cannot report: data plane has ended" });
  dataplane.request(REQUEST);
  assert.equal((await trial.failed.promise).message, "Datapath meshnet was removed");
  await report;
  await dataplane.stop();
  assert.deepEqual(trial.logged, ["error overlay/failed Datapath meshnet was removed"]);
  assert.equal(trial.open, 0);
});

Deno.test("DataplaneHandle.start() takes an exception in the worker for a failure", async () => {
  const trial = new Trial();
  const dataplane = await trial.start(workerOf(`postMessage({ kind: "started" });`, ANSWER));
  dataplane.request({ kind: "stop", link: 7 as never, orderly: true });
  assert.match((await trial.failed.promise).message, /^Data plane failed: .*defect/);
  assert.equal(trial.open, 0);
});

Deno.test("DataplaneHandle.report() refuses more than can be waiting", async () => {
  const trial = new Trial();
  const take = `if (data.kind === "stop") postMessage({ kind: "stopped" });`;
  const dataplane = await trial.start(workerOf(`postMessage({ kind: "started" });`, take));
  const waiting = Array.from({ length: 64 }, () => dataplane.report().catch((error) => error.message));
  await assert.rejects(dataplane.report(), { message: "Cannot report: data plane is too busy" });
  await dataplane.stop();
  assert.deepEqual(new Set(await Promise.all(waiting)), new Set(["Cannot report: data plane has ended"]));
});
