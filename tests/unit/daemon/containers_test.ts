/** Containers that are named, labelled, started, stopped and removed, on a host whose engine is a table. */
import assert from "node:assert/strict";
import { Attachments } from "../../../mod/attach/mod.ts";
import type { AttachAnswer, AttachRequest } from "../../../mod/control/api_types.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import type { LogFields } from "../../../mod/core/ports.ts";
import type { Addresses } from "../../../mod/daemon/addresses/addresses.ts";
import { Containers, type EngineListener } from "../../../mod/daemon/engine/containers.ts";
import { VirtualClock } from "../../sim/clock.ts";
import { knownContainer } from "../docker/known.ts";
import { FakeHost, OPTIONS } from "../attach/fake_host.ts";

const WEB = "4f".repeat(32);
const DB = "5e".repeat(32);
const usual = { force: false, noWait: false, timeoutMs: 60_000 };
const stays = () => new AbortController().signal;

interface Fake {
  name: string;
  labels: ReadonlyMap<string, string>;
  pid: number | undefined;
}

function unnamed(result: ReturnType<Attachments["attach"]>): AttachAnswer {
  return { ...result, attachment: result.attachment && { ...result.attachment, names: [] } };
}

/** A host, its engine, and what attaches containers. */
class Machine {
  readonly host = new FakeHost();
  readonly attachments = new Attachments(this.host.adapters(), OPTIONS);
  readonly all = new Map<string, Fake>();
  readonly clock = new VirtualClock();
  readonly logged: string[] = [];
  /** Nobody gets an address while it is set. */
  refuses: string | undefined;
  readonly faults: unknown[] = [];
  /** Names that were asked for. */
  readonly names: string[] = [];
  readonly working: Promise<unknown>[] = [];
  listener!: EngineListener;
  /** Requests for an address wait while this is set. */
  waits: Promise<void> | undefined;
  #pid = 100;
  readonly containers: Containers;

  constructor({ engine = true } = {}) {
    const log = (event: string, fields: LogFields = {}) =>
      void this.logged.push(`${event} ${fields.container} ${fields.value ?? fields.reason}`);
    this.containers = new Containers({
      attachments: this.attachments,
      addresses: {
        attach: (request, gone) => this.#attach(request, gone),
        detach: (request) => Promise.resolve(unnamed(this.attachments.detach(request))),
      } as Pick<Addresses, "attach" | "detach">,
      follow: !engine ? undefined : (listener) => {
        this.listener = listener;
        return {
          all: () => [...this.all].map(([id]) => [id, this.#known(id)!] as [string, never]).values(),
          get: (id) => this.#known(id),
          resolve: (word) => Promise.resolve(this.#find(word)),
          standing: (id) => this.#standing(id),
          state: { version: "20.10.24", api: "1.41" },
        };
      },
      socket: "/run/engine.sock",
      isOurs: () => false,
      engineSays: () => {},
      looked: () => {},
      touched: () => {},
      later: (ms, work) => void this.clock.after(ms, work),
      faults: {
        later: (_, work) =>
          void this.working.push(Promise.resolve(work).catch((thrown) => void this.faults.push(thrown))),
      },
      logger: { debug: log, info: log, warn: log, error: log },
    });
  }

  create(id: string, name: string, labels: Record<string, string> = {}): void {
    this.all.set(id, { name, labels: new Map(Object.entries(labels)), pid: undefined });
  }

  start(id: string): void {
    const pid = this.all.get(id)!.pid = ++this.#pid;
    this.host.namespace(`/proc/${pid}/ns/net`);
    this.#tell(id);
  }

  stop(id: string): void {
    const one = this.all.get(id)!;
    this.host.removeNamespace(`/proc/${one.pid}/ns/net`);
    one.pid = undefined;
    this.#tell(id);
  }

  remove(id: string): void {
    this.all.delete(id);
    this.#tell(id);
  }

  async settle(): Promise<void> {
    while (this.working.length > 0) await this.working.shift();
    assert.deepEqual(this.faults, []);
  }

  async attach(target: string, ...addresses: readonly string[]): Promise<AttachAnswer> {
    return await this.containers.attach({ target, addresses, ...usual }, stays);
  }

  /** Names and addresses of what is attached and works. */
  get attached(): readonly string[] {
    return this.attachments.list().filter(({ attached }) => attached)
      .map(({ addresses, name }) => `${name} ${addresses.join(" ")}`);
  }

  #tell(id: string): void {
    this.host.containers.clear();
    for (const one of this.all.keys()) this.host.containers.set(one, this.#standing(one));
    this.listener.changed(id);
  }

  #known(id: string) {
    const one = this.all.get(id);
    const process = one?.pid === undefined ? undefined : { pid: one.pid, mark: "m" };
    return one && knownContainer({ name: one.name, labels: one.labels, process });
  }

  #find(word: string): string | undefined {
    return [...this.all].find(([id, { name }]) => name === word || id.startsWith(word))?.[0];
  }

  #standing(id: string) {
    const one = this.all.get(id);
    if (one === undefined) return { kind: "gone" } as const;
    const { name, pid } = one;
    return pid === undefined ? { kind: "stopped", name } as const : { kind: "running", name, pid } as const;
  }

  async #attach(request: AttachRequest, gone: () => AbortSignal): Promise<AttachAnswer> {
    if (this.waits !== undefined) {
      const left = new Promise<never>((_, reject) =>
        gone().addEventListener("abort", () => reject(new MeshnetError("ipam/cancelled", "given up")))
      );
      await Promise.race([this.waits, left]);
    }
    if (this.refuses !== undefined) {
      throw new MeshnetError("attach/in-use", this.refuses, { hint: "look there" });
    }
    const addresses = request.addresses.length === 0 ? ["10.32.0.9/12"] : request.addresses;
    this.names.push(...request.names ?? []);
    return unnamed(this.attachments.attach({ ...request, addresses }));
  }
}

Deno.test("a container is attached by its name, and called by it from then on", async () => {
  const machine = new Machine();
  machine.create(WEB, "web");
  machine.start(WEB);
  assert.equal((await machine.attach("web", "10.2.1.1/24")).attachment?.target, `container:${WEB}`);
  assert.equal((await machine.attach("container:4f4f", "10.2.1.2/24")).addresses.length, 1);
  assert.deepEqual(machine.attached, ["web 10.2.1.1/24 10.2.1.2/24"]);
  machine.stop(WEB);
  assert.deepEqual(machine.attached, []);
  machine.start(WEB);
  assert.deepEqual(machine.attached, ["web 10.2.1.1/24 10.2.1.2/24"]);
  machine.stop(WEB);
  await machine.containers.detach({ target: "web", addresses: [] });
  assert.deepEqual(machine.attachments.targets(), []);
});

Deno.test("what cannot be attached is refused with what to do", async () => {
  const machine = new Machine();
  machine.create(DB, "db");
  machine.listener.synced();
  await assert.rejects(machine.attach("web"), { code: "attach/bad-target", message: /no such container/ });
  await assert.rejects(machine.attach("a b"), { code: "usage/bad-target" });
  await assert.rejects(machine.containers.detach({ target: "db", addresses: [] }), {
    ...{ code: "attach/not-attached" },
  });
  const none = new Machine({ engine: false });
  await assert.rejects(none.attach("web"), { message: /works with no container engine/ });
  assert.equal(none.containers.report(), null);
  none.host.namespace("/run/netns/a");
  none.host.files.set("/run/netns/b", { device: 9, inode: 1 }); // a file that is no namespace
  await assert.rejects(none.attach("a"), { hint: "There is a namespace of that name: netns:a" });
  await assert.rejects(none.attach("b"), { hint: /^Start it with --docker auto/ });
  assert.equal((await none.attach("netns:a", "10.2.1.1/24")).addresses.length, 1);
});

Deno.test("labels attach a container whenever it is started, until it is removed", async () => {
  const machine = new Machine();
  machine.create(WEB, "web", { "meshnet.attach": "true" });
  machine.create(DB, "db", { "meshnet.ip": "10.2.1.2/24 10.3.1.2/24", "meshnet.name": "db,store" });
  machine.start(WEB);
  machine.start(DB);
  await machine.settle();
  assert.deepEqual(machine.attached, ["web 10.32.0.9/12", "db 10.2.1.2/24 10.3.1.2/24"]);
  assert.deepEqual(machine.names, ["db", "store"]);
  machine.stop(DB);
  machine.start(DB);
  await machine.settle();
  assert.deepEqual(machine.attached, ["web 10.32.0.9/12", "db 10.2.1.2/24 10.3.1.2/24"]);
  machine.stop(DB);
  machine.remove(DB);
  assert.deepEqual(machine.attachments.targets(), [`container:${WEB}`]);
});

Deno.test("what ran before the daemon is attached by its labels, and what has gone is forgotten", async () => {
  const machine = new Machine();
  machine.create(DB, "db");
  machine.start(DB);
  await machine.attach("db", "10.2.1.2/24");
  machine.create(WEB, "web", { "meshnet.attach": "yes" });
  machine.all.get(WEB)!.pid = 77;
  machine.host.namespace("/proc/77/ns/net");
  machine.host.containers.set(WEB, { kind: "running", pid: 77, name: "web" });
  machine.all.delete(DB); // nobody told
  machine.host.containers.delete(DB);
  machine.listener.synced();
  await machine.settle();
  assert.deepEqual(machine.attached, ["web 10.32.0.9/12"]);
});

Deno.test("labels that cannot be used, and addresses that others have, are told once and harm nothing", async () => {
  const machine = new Machine();
  machine.create(WEB, "web", { "meshnet.attach": "maybe" });
  machine.create(DB, "db", { "meshnet.ip": "10.2.1.0/24" });
  machine.start(WEB);
  machine.start(DB);
  await machine.settle();
  assert.equal(machine.logged.length, 2);
  assert.equal(machine.logged[0], "label-not-usable web maybe");
  assert.match(machine.logged[1]!, /^container-not-attached db .*10\.2\.1\.0\/24/);
  assert.deepEqual(machine.attachments.targets(), []);
});

Deno.test("a container whose label is refused is a problem, and is tried again ever more rarely", async () => {
  const machine = new Machine();
  machine.create(WEB, "web", { "meshnet.attach": "true" });
  machine.refuses = "a proxy answers for all";
  machine.start(WEB);
  await machine.settle();
  const problem = { message: "web is not attached: a proxy answers for all", hint: "look there" };
  const pass = async (ms: number) => {
    machine.clock.run(ms);
    await machine.settle();
  };
  for (const [ms, tries] of [[29_999, 1], [1, 2], [59_999, 2], [1, 3], [3_600_000 - 90_000, 10]] as const) {
    for (let left = ms; left > 0; left -= Math.min(left, 10_000)) await pass(Math.min(left, 10_000));
    assert.equal(machine.logged.length, tries);
    assert.deepEqual(machine.containers.problems(), [problem]);
  }
  machine.refuses = undefined;
  for (let left = 60; left > 0; left--) await pass(10_000);
  assert.deepEqual(machine.attached, ["web 10.32.0.9/12"]);
  assert.deepEqual(machine.containers.problems(), []);

  machine.create(DB, "db", { "meshnet.attach": "true" });
  machine.refuses = "in use";
  machine.start(DB);
  await machine.settle();
  assert.equal(machine.containers.problems().length, 1);
  machine.stop(DB);
  assert.deepEqual(machine.containers.problems(), []);
  const { length } = machine.logged;
  await pass(600_000);
  assert.equal(machine.logged.length, length, "what has stopped is left alone");
});

Deno.test("a container that stops while it waits for an address gives it up, and is attached when it starts again", async () => {
  const machine = new Machine();
  const { promise, resolve } = Promise.withResolvers<void>();
  machine.waits = promise;
  machine.create(WEB, "web", { "meshnet.attach": "true" });
  machine.start(WEB);
  assert.ok(machine.listener.isAttached(WEB));
  machine.stop(WEB);
  machine.waits = undefined;
  machine.start(WEB); // before what waited has noticed
  await machine.settle();
  assert.deepEqual(machine.attached, ["web 10.32.0.9/12"]);
  resolve();

  machine.waits = new Promise(() => {});
  machine.create(DB, "db", { "meshnet.attach": "true" });
  machine.start(DB);
  machine.containers[Symbol.dispose]();
  await machine.settle();
  assert.deepEqual(machine.logged, []);
});
