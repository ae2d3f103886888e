/** Who is in an engine's networks of ours, learnt when the engine is found: addresses are held, interfaces made again. */
import assert from "node:assert/strict";
import type { LostEndpoint } from "../../../mod/attach/mod.ts";
import { type Cidr, formatCidr, type Ip, parseCidr } from "../../../mod/core/addr.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { EnginePlaces } from "../../../mod/daemon/engine/engine_places.ts";
import type { EnginePlace } from "../../../mod/docker/engine_api.ts";

function place(name: string, n: number): EnginePlace {
  const address = parseCidr(`10.32.0.${n}/12`)!;
  return { endpoint: `e-${name}`, container: name, name, network: "mesh", address, mac: undefined };
}

/** Lets what has been answered go on. */
const settled = () => new Promise<void>((resolve) => setTimeout(resolve));

class Machine {
  /** What the engine says. */
  present: readonly EnginePlace[] | undefined = [];
  readonly held = new Set<Ip>();
  /** Addresses that others have. */
  readonly others = new Set<Ip>();
  readonly plugged = new Set<string>();
  readonly running = new Set<string>();
  /** Why no interface can be made. */
  refusal: string | undefined;
  readonly asked: string[] = [];
  readonly changed: string[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly places = new EnginePlaces({
    addresses: {
      adopt: async (cidr: Cidr) => {
        this.asked.push(formatCidr(cidr));
        await settled();
        if (this.others.has(cidr.ip)) throw new MeshnetError("ipam/owned-by-other", "host2 has it");
        this.held.add(cidr.ip);
      },
      held: () => [...this.held].map((ip) => ({ ident: "engine:1", ip })),
      holds: (ip: Ip) => this.held.has(ip),
    },
    lookAtPairs: () => (endpoint) => this.plugged.has(endpoint),
    mend: ({ endpoint }: LostEndpoint) => {
      if (this.refusal !== undefined) throw new Error(this.refusal);
      this.plugged.add(endpoint);
    },
    later: (_, work) => void this.#waiting.push(work),
    faults: { later: (_, work) => void work },
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });

  constructor() {
    this.places.engine = {
      places: () => Promise.resolve(this.present),
      namespaceOf: (container) => this.running.has(container) ? `/ns/${container}` : undefined,
      changed: (container) => void this.changed.push(container),
    };
  }

  /** What was to be done later is done. */
  async later(): Promise<void> {
    for (const work of this.#waiting.splice(0)) work();
    await settled();
    await settled();
  }

  async looks(...present: readonly EnginePlace[]): Promise<void> {
    this.present = present;
    await this.places.look();
    await settled();
    await settled();
  }
}

Deno.test("EnginePlaces holds the addresses that the engine has given out, and connects again what runs", async () => {
  const machine = new Machine();
  machine.running.add("web");
  await machine.looks(place("web", 1), place("starts", 2));
  assert.deepEqual(machine.asked, ["10.32.0.1/12", "10.32.0.2/12"]);
  assert.deepEqual([...machine.plugged], ["e-web"], "the engine is at work on the other one");
  assert.deepEqual(machine.changed, ["web"]);
  assert(machine.places.has("e-starts") && machine.places.isUsed("10.32.0.2" as Ip));
  assert.deepEqual(machine.places.problems(), []);
  await machine.looks(place("web", 1));
  assert.equal(machine.asked.length, 2, "it is held");
  assert(!machine.places.has("e-starts"));
});

Deno.test("EnginePlaces names who has an address of another, does not connect it, and asks again later", async () => {
  const machine = new Machine();
  machine.running.add("web");
  machine.others.add("10.32.0.1" as Ip);
  await machine.looks(place("web", 1));
  assert.equal(machine.plugged.size, 0);
  const [problem] = machine.places.problems();
  assert.equal(problem?.message, "web is cut off from network mesh: host2 has it");
  assert.equal(problem?.hint, "Run: docker restart web");
  machine.others.clear();
  await machine.later();
  assert(machine.plugged.has("e-web"));
  assert.deepEqual(machine.places.problems(), []);
});

Deno.test("EnginePlaces connects one of two that have the same address, and names the other", async () => {
  const machine = new Machine();
  for (const name of ["one", "two"]) machine.running.add(name);
  await machine.looks(place("one", 1), place("two", 1));
  assert.deepEqual([...machine.plugged], ["e-one"]);
  assert.deepEqual(machine.places.problems().map(({ message }) => message), [
    "two is cut off from network mesh: one has 10.32.0.1, too",
  ]);
  machine.places.left("e-two"); // it is started again
  assert.deepEqual(machine.places.problems(), []);
  assert(machine.places.isUsed("10.32.0.1" as Ip), "the other one has it");
});

Deno.test("EnginePlaces says why an interface cannot be made, and tries again with the next look", async () => {
  const machine = new Machine();
  machine.running.add("web");
  machine.refusal = "the switch has gone";
  await machine.looks(place("web", 1));
  assert.match(
    machine.places.problems()[0]!.message,
    /web is cut off from network mesh: the switch has gone/,
  );
  machine.refusal = undefined;
  machine.places.lookSoon();
  machine.places.lookSoon();
  await machine.later();
  assert(machine.plugged.has("e-web"));
});

Deno.test("EnginePlaces has an engine wait until it is known what is in use, and no longer than it must", async () => {
  const machine = new Machine();
  const ready = machine.places.ready().then(() => machine.asked.length);
  await machine.looks(place("web", 1));
  assert.equal(await ready, 1, "it is asked for before others get any");
  await machine.places.ready();

  const absent = new Machine();
  absent.places.settle();
  await absent.places.ready();
  const slow = new Machine();
  const late = slow.places.ready();
  await slow.later();
  await late;
});

Deno.test("EnginePlaces forgets nothing while the engine cannot be asked, and takes back nothing that left meanwhile", async () => {
  const machine = new Machine();
  await machine.looks(place("web", 1));
  machine.present = undefined;
  await machine.places.look();
  assert(machine.places.has("e-web"));
  machine.present = [place("web", 1)];
  const looking = machine.places.look();
  machine.places.left("e-web");
  await looking;
  assert(!machine.places.has("e-web"));
});

Deno.test("EnginePlaces that asks twice at once takes back nothing that left, and the later answer holds", async () => {
  const machine = new Machine();
  await machine.looks(place("web", 1));
  const answers: ((present: readonly EnginePlace[]) => void)[] = [];
  machine.places.engine = {
    ...machine.places.engine!,
    places: () => new Promise((resolve) => void answers.push(resolve)),
  };
  const before = machine.places.look();
  machine.places.left("e-web");
  const after = machine.places.look();
  answers[1]!([place("web", 1), place("new", 2)]); // the engine is slow to forget
  await after;
  assert(!machine.places.has("e-web"));
  answers[0]!([place("web", 1)]);
  await before;
  await settled();
  await settled();
  assert.deepEqual([machine.places.has("e-web"), machine.places.has("e-new")], [false, true]);
});
