/** Look-ups of a container whose namespace appears some time after the engine has said where it will be. */
import assert from "node:assert/strict";
import { ContainerLookups } from "../../../mod/attach/lookups_shell.ts";
import { EngineEndpoints } from "../../../mod/attach/mod.ts";
import { endpointInterfaces } from "../../../mod/attach/names.ts";
import type { FakeLink } from "./fake_kernel.ts";
import { FakeHost } from "./fake_host.ts";

const PATH = "/run/docker/netns/a";

/** A host with a pair for the endpoint e1, and what keeps its look-ups. */
class Machine {
  readonly host = new FakeHost();
  /** Namespaces whose questions are redirected. */
  readonly redirected = new Set<string>();
  /** Why no question can be redirected. */
  refuses: string | undefined;
  readonly lookups: ContainerLookups;
  readonly endpoints: EngineEndpoints;
  #waiting: (() => void)[] = [];

  constructor({ multicastRoute = true } = {}) {
    const { later, log, openRoute, ports, probe, sysctl } = this.host.adapters();
    this.endpoints = new EngineEndpoints({
      host: openRoute(undefined),
      later,
      log,
      ports,
      sysctl,
      mtu: 1376,
    });
    this.endpoints.make("e1");
    this.lookups = new ContainerLookups({
      ...{ openRoute, probe, log, mtu: 1376, nameServer: true, host: openRoute(undefined) },
      multicastRoute,
      later: (_, work) => void this.#waiting.push(work),
      passesFrames: (outer) => this.host.kernel.link("", outer)?.peer?.up,
      redirect: (path) => {
        if (this.refuses !== undefined) throw new Error(this.refuses);
        this.redirected.add(path);
        return { [Symbol.dispose]: () => void this.redirected.delete(path) };
      },
    });
  }

  tick(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const work of waiting) work();
  }

  get isTicking(): boolean {
    return this.#waiting.length > 0;
  }

  /** The engine moves the interface into its container, and sets it up. */
  moves(endpoint = "e1"): FakeLink {
    const { kernel } = this.host;
    const guest = kernel.link("", endpointInterfaces(endpoint).guest)!;
    kernel.namespaces.get("")!.delete(guest.index);
    kernel.namespaces.get(PATH)!.set(guest.index, guest);
    guest.name = "ethmesh0";
    guest.up = true;
    return guest;
  }
}

Deno.test("questions are redirected as soon as there is a namespace; routes are the engine's until the container runs", () => {
  const machine = new Machine();
  machine.lookups.at("e1", PATH, false);
  machine.tick();
  assert.equal(machine.redirected.size, 0);
  machine.host.namespace(PATH);
  machine.tick();
  assert.deepEqual([...machine.redirected], [PATH]);
  const guest = machine.moves();
  machine.tick();
  assert.equal(guest.neighbours.length, 1);
  assert.deepEqual(guest.routes, [], "Docker fails where its routes are there already");
  assert(!machine.isTicking, "nothing is looked for any more");
  machine.lookups.at("e1", PATH, true);
  assert.equal(guest.routes.length, 2);
  guest.neighbours.length = 0;
  machine.lookups.keep();
  assert.equal(guest.neighbours.length, 1, "what others remove comes back");
  machine.lookups.drop("e1");
  machine.tick();
  assert.equal(machine.redirected.size, 0);
});

Deno.test("a container that runs gets no route for multicast where none is wanted", () => {
  const machine = new Machine({ multicastRoute: false });
  machine.host.namespace(PATH);
  const guest = machine.moves();
  machine.lookups.at("e1", PATH, true);
  machine.lookups.keep();
  assert.equal(guest.routes.length, 1, "the name server's alone");
});

Deno.test("two endpoints of one container share a redirect, which goes with the last, or with the namespace", () => {
  const machine = new Machine();
  machine.host.namespace(PATH);
  machine.endpoints.make("e2");
  for (const endpoint of ["e1", "e2"]) {
    machine.moves(endpoint);
    machine.lookups.at(endpoint, PATH, true);
  }
  assert(machine.lookups.hasOthers(PATH, "e1"));
  machine.lookups.drop("e1");
  assert.equal(machine.redirected.size, 1);
  assert(!machine.lookups.hasOthers(PATH, "e2"), "itself is none");
  assert(machine.lookups.hasOthers(PATH, "e1"));
  machine.host.removeNamespace(PATH);
  machine.lookups.keep();
  assert.equal(machine.redirected.size, 0);
  assert(!machine.lookups.hasOthers(PATH, "e3"));
});

Deno.test("an engine that gives a container up is not waited for; a kernel without redirects is told of once", () => {
  const machine = new Machine();
  machine.lookups.at("e1", PATH, false);
  for (let i = 0; i < 5_000 && machine.isTicking; i++) machine.tick();
  assert(!machine.isTicking);
  machine.refuses = "the kernel has no nf_tables";
  machine.host.namespace(PATH);
  const guest = machine.moves();
  machine.lookups.at("e1", PATH, true);
  machine.lookups.keep();
  assert.equal(machine.lookups.problem, machine.refuses);
  assert.equal(guest.neighbours.length, 1, "docker run --dns works all the same");
  assert.equal(machine.host.logged.filter((line) => line.includes("find no names")).length, 1);
  machine.refuses = undefined;
  machine.lookups.keep();
  assert.equal(machine.lookups.problem, undefined);
});

Deno.test("a namespace is entered once the interface is up; a pair that has gone is waited for no more", () => {
  const machine = new Machine();
  machine.host.namespace(PATH);
  machine.lookups.at("e1", PATH, false);
  const { kernel } = machine.host;
  const open = kernel.open.bind(kernel);
  let entered = 0;
  kernel.open = (path) => {
    entered++;
    return open(path);
  };
  for (let i = 0; i < 5; i++) machine.tick();
  assert.deepEqual([entered, machine.redirected.size], [0, 1]);
  machine.moves();
  machine.tick();
  assert.deepEqual([entered, machine.isTicking], [1, false]);
  machine.endpoints.make("e2");
  machine.lookups.at("e2", PATH, false);
  machine.tick();
  assert(machine.isTicking);
  machine.endpoints.remove("e2");
  machine.tick();
  machine.tick(); // what only it needed ends
  assert(!machine.isTicking);
});

Deno.test("what fails in one container is told until it works there, or the container has gone", () => {
  const machine = new Machine();
  const other = `${PATH}2`;
  machine.host.namespace(PATH);
  machine.host.namespace(other);
  machine.refuses = "the kernel has no nf_tables";
  machine.lookups.at("e1", PATH, false);
  const reason = machine.refuses;
  machine.refuses = undefined;
  machine.endpoints.make("e2");
  machine.lookups.at("e2", other, false);
  assert.deepEqual([...machine.redirected], [other]);
  assert.equal(machine.lookups.problem, reason);
  machine.lookups.drop("e1");
  assert.equal(machine.lookups.problem, undefined);
});

Deno.test("a pair that was made with another MTU gets the present one at both ends, once its container runs", () => {
  const machine = new Machine();
  machine.host.namespace(PATH);
  const guest = machine.moves();
  const outer = guest.peer!;
  [guest.mtu, outer.mtu] = [1410, 1410];
  machine.lookups.at("e1", PATH, false);
  assert.deepEqual([guest.mtu, outer.mtu], [1410, 1410], "the engine is at work");
  machine.lookups.at("e1", PATH, true);
  assert.deepEqual([guest.mtu, outer.mtu], [1376, 1376]);
});
