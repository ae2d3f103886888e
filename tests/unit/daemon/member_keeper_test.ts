/** Containers in the engine's networks: what becomes of their names, look-ups and addresses, also after a restart. */
import assert from "node:assert/strict";
import { outerInterface } from "../../../mod/attach/mod.ts";
import { type Ip, parseCidr } from "../../../mod/core/addr.ts";
import { MemberKeeper, type MemberKeeperParts } from "../../../mod/daemon/engine/member_keeper.ts";
import { sourceIn } from "../../../mod/daemon/engine/inside_names.ts";
import type { Known } from "../../../mod/docker/follower.ts";
import { knownContainer } from "../docker/known.ts";
import { MemoryStore } from "../memory_store.ts";

const WEB = "4f".repeat(32);
const DB = "5e".repeat(32);
const SUBNET = parseCidr("10.32.0.0/12")!;

function running(endpoint: string, n: number, about: Partial<Known> = {}): Known {
  const address = parseCidr(`10.32.0.${n}/12`)!;
  const endpoints = [{ network: "mesh", id: endpoint, address, aliases: [] }];
  return knownContainer({ endpoints, sandbox: `/run/docker/netns/${endpoint}`, ...about });
}

function stopped(): Known {
  const endpoints = [{ network: "mesh", id: "", address: undefined, aliases: [] }];
  return knownContainer({ endpoints, process: undefined });
}

/** A host that keeps members; made again with the same store, it is the next run. */
class Machine {
  /** Endpoints whose interface is there. */
  readonly pairs = new Set(["e1", "e2", "e3"]);
  /** Names that are answered, by holder. */
  readonly answered = new Map<string, string>();
  /** What stands for the source of questions, by holder. */
  readonly sources = new Map<string, readonly number[]>();
  /** Whether namespaces are seen where the engine says that they are. */
  seesSandboxes = true;
  readonly unwell = new Map<string, string>();
  readonly released: Ip[] = [];
  /** Endpoints that the engine has, and what was asked about these. */
  readonly places = {
    has: (_: string) => false,
    isUsed: (_: Ip) => false,
    lookSoon: () => void this.asked++,
  };
  asked = 0;
  readonly found = new Map<string, string>();
  /** Namespaces of containers that are in other networks, too. */
  readonly shared = new Set<string>();
  readonly all = new Map<string, Known>();
  readonly logged: string[] = [];
  /** What the engine is working on. */
  busy: readonly string[] | undefined = [];
  /** What is to be done later, and how often the engine is to be asked for all. */
  readonly planned: (() => void)[] = [];
  lists = 0;
  readonly keeper: MemberKeeper;

  constructor(readonly store = new MemoryStore()) {
    const log = (event: string) => void this.logged.push(event);
    this.keeper = new MemberKeeper({
      ...{ store, logger: { debug: log, info: log, warn: log, error: log } },
      endpoints: { has: (id) => this.pairs.has(id), look: () => (id) => this.pairs.has(id) },
      lookups: {
        at: (endpoint, path) => void this.found.set(endpoint, path),
        drop: (endpoint) => void this.found.delete(endpoint),
        hasOthers: (path, endpoint) => [...this.found].some(([id, at]) => id !== endpoint && at === path),
        keep: () => {},
      },
      names: this.#names(),
      ...{ places: this.places, holds: () => true },
      shares: (path, isShared) => void (isShared ? this.shared.add(path) : this.shared.delete(path)),
      release: (ip) => Promise.resolve(void this.released.push(ip)),
      isThere: (path) => this.seesSandboxes || path.startsWith("/proc/"),
      later: () => {},
      after: (_, work) => void this.planned.push(work),
    });
  }

  /** The engine can be asked. */
  follow(): this {
    this.keeper.engine = {
      get: (id) => this.all.get(id),
      all: () => this.all.entries(),
      isSynced: true,
      isLooking: false,
      busy: () => Promise.resolve(this.busy && new Set(this.busy)),
      listAgain: () => void this.lists++,
    };
    return this;
  }

  learns(id: string, known: Known | undefined): void {
    if (known === undefined) this.all.delete(id);
    else this.all.set(id, known);
    this.keeper.changed(id);
  }

  #names(): NonNullable<MemberKeeperParts["names"]> {
    const names = {
      domain: "mesh.internal.",
      own: {
        lend: (holder: string, hostnames: readonly string[], ips: readonly Ip[]) =>
          void this.answered.set(holder, `${hostnames.join()} ${ips.join()}`),
        namesOf: () => [],
      },
      checks: { set() {}, healthOf: () => null },
      attached: (holder: string, _: readonly string[], sources: readonly number[]) =>
        void this.sources.set(holder, sources),
      forgotten: (holder: string) => void this.answered.delete(holder),
      engineSays: (holder: string, trouble: string | undefined) =>
        void (trouble === undefined ? this.unwell.delete(holder) : this.unwell.set(holder, trouble)),
    };
    return names as unknown as NonNullable<MemberKeeperParts["names"]>;
  }
}

Deno.test("a member is answered while its endpoint is there, and again in the next run before the engine is asked", () => {
  const machine = new Machine().follow();
  machine.learns(WEB, running("e1", 1, { health: "starting" }));
  assert.deepEqual([...machine.answered], [[`engine:${WEB}`, "web.mesh.internal. 10.32.0.1"]]);
  assert.deepEqual([...machine.unwell], [[`engine:${WEB}`, "starting"]]);
  assert.deepEqual([...machine.found], [["e1", "/run/docker/netns/e1"]]);

  const next = new Machine(machine.store);
  assert.deepEqual([...next.answered], [...machine.answered]);
  assert.deepEqual([...next.unwell], [...machine.unwell]);
  assert.deepEqual([...next.found], [...machine.found]);
  next.pairs.delete("e1"); // the container has ended while nobody can be asked
  next.keeper.look([outerInterface("e2")]);
  assert.equal(next.answered.size, 1);
  next.keeper.look([outerInterface("e1")]);
  assert.equal(next.answered.size, 0);
  assert.equal(next.found.size, 0);
  assert(next.keeper.isKept("10.32.0.1" as Ip));

  next.follow().keeper.synced(); // it has been removed meanwhile
  assert.deepEqual(next.released, ["10.32.0.1"]);
  assert.equal(next.store.records.size, 0);
});

Deno.test("a member is announced at the path at which its questions are answered, wherever that is seen", () => {
  const process = { pid: 10, mark: "m10" };
  const other = { network: "other", id: "f1", address: parseCidr("172.18.0.2/16")!, aliases: [] };
  for (const [seesSandboxes, path] of [[true, "/run/docker/netns/e1"], [false, "/proc/10/ns/net"]] as const) {
    const machine = new Machine().follow();
    machine.seesSandboxes = seesSandboxes;
    const known = running("e1", 1, { process });
    machine.learns(WEB, { ...known, endpoints: [...known.endpoints, other] });
    assert.equal(machine.found.get("e1"), path);
    assert.deepEqual(machine.sources.get(`engine:${WEB}`), [sourceIn(path)]);
    assert.deepEqual([...machine.shared], [path]);

    const next = new Machine(machine.store); // it does not know the process yet
    assert.deepEqual([...next.shared], ["/run/docker/netns/e1"]);
    next.seesSandboxes = seesSandboxes;
    next.follow().learns(WEB, machine.all.get(WEB));
    assert.deepEqual([...next.shared], [path]);
    next.keeper.leaves("e1");
    assert.equal(next.shared.size, 0);
  }
});

Deno.test("the container that the engine is working on gets its address back; a new one gets nobody's", async () => {
  const machine = new Machine().follow();
  machine.learns(WEB, running("e1", 1));
  machine.learns(DB, running("e2", 2, { name: "db" }));
  assert.equal(await machine.keeper.addressFor(SUBNET), undefined, "both run");
  for (const [id, endpoint, ip] of [[WEB, "e1", "10.32.0.1"], [DB, "e2", "10.32.0.2"]] as const) {
    machine.keeper.leaves(endpoint);
    assert(machine.keeper.keeps(ip as Ip));
    machine.learns(id, stopped());
  }
  assert.equal(machine.answered.size, 0);
  assert.equal(await machine.keeper.addressFor(SUBNET), undefined, "the engine is working on neither");
  machine.busy = [DB];
  assert.equal(await machine.keeper.addressFor(SUBNET), "10.32.0.2");
  machine.busy = undefined; // it starts itself
  assert.equal(await machine.keeper.addressFor(SUBNET), "10.32.0.1");
  assert.equal(await machine.keeper.addressFor(SUBNET), undefined);
  assert.deepEqual(machine.released, []);
});

Deno.test("two containers that start at once both get their addresses back", async () => {
  const machine = new Machine().follow();
  for (const [id, endpoint, n] of [[WEB, "e1", 1], [DB, "e2", 2]] as const) {
    machine.learns(id, running(endpoint, n));
    machine.keeper.leaves(endpoint);
    assert(machine.keeper.keeps(`10.32.0.${n}` as Ip));
    machine.learns(id, stopped());
  }
  machine.busy = [WEB, DB];
  const given = await Promise.all([machine.keeper.addressFor(SUBNET), machine.keeper.addressFor(SUBNET)]);
  assert.deepEqual(given.toSorted(), ["10.32.0.1", "10.32.0.2"]);
});

Deno.test("names that cannot be used are told, and the others are answered", () => {
  const machine = new Machine().follow();
  const labels = new Map([["meshnet.name", "good, host1.host"], ["meshnet.health", "exec:/bin/true"]]);
  machine.learns(WEB, running("e1", 1, { name: "ending-", labels }));
  assert.deepEqual([...machine.answered.values()], ["good.mesh.internal. 10.32.0.1"]);
  const [problem] = machine.keeper.problems();
  assert.match(problem!.message, /^ending- is not found by one of its names: .*"ending-"/);
  machine.learns(WEB, running("e1", 1, { labels: new Map([["meshnet.health", "exec:/bin/true"]]) }));
  assert.match(machine.keeper.problems()[0]!.message, /^web is not checked: .*exec/);
  machine.learns(WEB, undefined);
  assert.deepEqual(machine.keeper.problems(), []);
});

Deno.test("a paused member is left out of the answers, and those who list it are told why, until it goes on", () => {
  const machine = new Machine().follow();
  const told = () => [machine.keeper.holders().map(({ trouble }) => trouble), [...machine.unwell.values()]];
  machine.learns(WEB, running("e1", 1, { paused: true, health: "healthy" }));
  assert.deepEqual(told(), [["paused"], ["paused"]]);
  machine.learns(WEB, running("e1", 1, { health: "healthy" }));
  assert.deepEqual(told(), [[null], []]);
});

Deno.test("records of an earlier run that cannot be read are forgotten", () => {
  const store = new MemoryStore();
  store.put(`engine/container/${WEB}`, "{");
  new Machine(store);
  assert.equal(store.records.size, 0);
});

Deno.test("a container whose interface has gone while it runs has no names, keeps its address, and is looked at", async () => {
  const machine = new Machine().follow();
  machine.places.has = (endpoint) => endpoint === "e1";
  machine.learns(WEB, running("e1", 1));
  machine.pairs.delete("e1");
  machine.keeper.look([outerInterface("e1")]);
  assert.equal(machine.asked, 1);
  assert.equal(machine.answered.size, 0);
  assert.deepEqual(machine.keeper.holders().map(({ addresses, attached }) => ({ addresses, attached })), [
    { addresses: ["10.32.0.1/12"], attached: false },
  ]);
  machine.busy = undefined; // the engine cannot be asked: whoever waits gets an address
  assert.equal(await machine.keeper.addressFor(SUBNET), undefined);
  machine.keeper.changed(WEB);
  assert.deepEqual(machine.released, []);
  machine.pairs.add("e1");
  machine.keeper.changed(WEB);
  assert.equal(machine.answered.size, 1);
});

Deno.test("an address that two containers have stays held when one of them goes, whatever the engine says", () => {
  const machine = new Machine().follow();
  machine.learns(WEB, running("e1", 1));
  machine.learns(DB, running("e2", 1));
  machine.keeper.leaves("e1");
  assert(machine.keeper.keeps("10.32.0.1" as Ip));
  machine.learns(WEB, undefined);
  assert.deepEqual(machine.released, []);
  machine.keeper.leaves("e2");
  machine.learns(DB, undefined);
  assert.deepEqual(machine.released, ["10.32.0.1"]);
});

Deno.test("an endpoint whose event the engine lost has all containers asked for, until it is known whose it is", () => {
  const machine = new Machine().follow();
  machine.pairs.add("e1").add("e2");
  for (const endpoint of ["e1", "e2"]) machine.keeper.joins(endpoint, `/run/netns/${endpoint}`);
  machine.learns(WEB, running("e1", 1));
  machine.planned.shift()!();
  assert.equal(machine.lists, 1);
  machine.learns(DB, running("e2", 2)); // the list had it
  machine.planned.shift()!();
  assert.deepEqual([machine.lists, machine.planned.length], [1, 0]);
});
