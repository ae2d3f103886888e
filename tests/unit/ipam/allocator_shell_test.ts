import assert from "node:assert/strict";
import { formatCidr, parseCidr } from "../../../mod/core/addr.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import type { Alarm, GossipData, GossipPort, Logger } from "../../../mod/core/ports.ts";
import { AllocatorShell, type Answered, type IpamRequest } from "../../../mod/ipam/allocator_shell.ts";
import type { Init, Patience } from "../../../mod/ipam/allocator_types.ts";
import { Universe } from "../../../mod/ipam/universe.ts";
import { VirtualClock } from "../../sim/clock.ts";
import { SeededRandom } from "../../sim/random.ts";
import { MemoryStore } from "../memory_store.ts";
import { peer } from "./bench.ts";

const RANGE = parseCidr("10.32.0.0/22")!;
const PATIENT: Patience = { until: Infinity, noWait: false };
const HASTY: Patience = { until: Infinity, noWait: true };

function alarmOf(clock: VirtualClock): Alarm {
  let armed = 0;
  return {
    set(at, ring) {
      const mine = ++armed;
      if (at < Infinity) clock.at(at, () => mine === armed ? ring() : undefined);
    },
  };
}

/** Two hosts or one, whose messages arrive at once. */
class Hosts {
  readonly clock = new VirtualClock();
  readonly random = new SeededRandom(7);
  readonly shells = new Map<PeerName, AllocatorShell>();
  readonly stores = new Map<PeerName, MemoryStore>();
  readonly told: string[] = [];
  readonly sent: string[] = [];

  start(n: number, init: Init, expected = 1): AllocatorShell {
    const self = peer(n);
    const made = Universe.of(RANGE);
    assert.ok(made.ok);
    const store = this.stores.get(self) ?? new MemoryStore();
    this.stores.set(self, store);
    const log = (event: string) => void this.told.push(event);
    const logger: Logger = { debug: log, info: log, warn: log, error: log };
    const shell = new AllocatorShell({
      ...{ universe: made.value, self, uid: BigInt(n), nickname: `h${n}`, init, random: this.random, store },
      ...{ clock: this.clock, alarm: alarmOf(this.clock), logger, gossip: this.#gossip(self) },
      faults: { tell: (what) => void this.told.push(what), guard: (_, work) => work },
      reclaimAfterMs: 600_000,
      wallSeconds: () => 1_700_000_000,
      expected: () => expected,
    });
    this.shells.set(self, shell);
    shell.start();
    for (const [name, each] of this.shells) {
      each.meshChanged([...this.shells.keys()].filter((other) => other !== name));
    }
    return shell;
  }

  #gossip(self: PeerName): GossipPort {
    return {
      unicast: (_, to, payload) => {
        this.sent.push(`${self} -> ${to}`);
        this.shells.get(to)?.channel.onUnicast(self, payload, this.clock.now());
      },
      broadcast: (_, data: GossipData) => {
        this.sent.push(`${self} -> all`);
        for (const payload of data.encode()) {
          for (const [name, shell] of this.shells) {
            if (name !== self) shell.channel.onBroadcast(self, payload, this.clock.now());
          }
        }
      },
    };
  }
}

function allocate(ident: string, patience = PATIENT, subnet = "10.32.0.0/22"): IpamRequest {
  return { kind: "allocate", ident, subnet: parseCidr(subnet)!, isContainer: false, patience };
}

async function address(answer: Promise<Answered>): Promise<string> {
  const outcome = await answer;
  assert.equal(outcome.kind, "address");
  return outcome.kind === "address" ? formatCidr(outcome.cidr) : "";
}

const code = (expected: string) => (thrown: unknown) =>
  thrown instanceof MeshnetError && thrown.code === expected;

Deno.test("AllocatorShell answers with addresses, and knows them after a restart", async () => {
  const hosts = new Hosts();
  const shell = hosts.start(1, { kind: "consensus", peers: 1 });
  assert.equal(await address(shell.ask(allocate("a"))), "10.32.0.1/22");
  assert.equal(await address(shell.ask(allocate("b"))), "10.32.0.2/22");
  shell[Symbol.dispose]();
  await assert.rejects(shell.ask(allocate("c")), code("ipam/cancelled"));
  const again = hosts.start(1, { kind: "consensus", peers: 1 });
  assert.deepEqual(again.lookup("b").map(formatCidr), ["10.32.0.2/22"]);
  hosts.clock.run(2_000);
  assert.equal(await address(again.ask(allocate("c"))), "10.32.0.3/22");
});

Deno.test("AllocatorShell refuses with the code, the sentence and the hint of the core", async () => {
  const shell = new Hosts().start(1, { kind: "consensus", peers: 1 });
  await assert.rejects(shell.ask(allocate("a", PATIENT, "10.99.0.0/24")), {
    code: "ipam/out-of-range",
    message:
      "Cannot allocate an address of 10.99.0.0/24: it is outside 10.32.0.0/22, the range of this network",
    hint: "Choose a subnet within 10.32.0.0/22",
  });
});

Deno.test("AllocatorShell: what the disk refuses is neither answered nor told to others, until it takes it", async () => {
  const hosts = new Hosts();
  const shell = hosts.start(1, { kind: "consensus", peers: 1 });
  const store = hosts.stores.get(peer(1))!;
  await shell.ask(allocate("a"));
  hosts.sent.length = 0;
  store.fails = new MeshnetError("state/not-writable", "Cannot write state: the disk is full");
  await assert.rejects(shell.ask(allocate("b")), code("state/not-writable"));
  assert.deepEqual([...shell.channel.data.encode()], [], "nothing of it is told");
  assert.ok(hosts.told.includes("remember addresses"));
  await assert.rejects(shell.ask(allocate("b")), code("state/not-writable"), "not even the second time");
  store.fails = undefined;
  assert.equal(await address(shell.ask(allocate("b"))), "10.32.0.2/22");
  assert.match(store.get("ipam/owned/b")!, /10\.32\.0\.2/);
  assert.deepEqual(hosts.sent, [`${peer(1)} -> all`], "and then everybody hears");
  assert.equal([...shell.channel.data.encode()].length, 1);
});

Deno.test("AllocatorShell writes by itself what the disk refused, when nobody asks for anything", async () => {
  const hosts = new Hosts();
  const shell = hosts.start(1, { kind: "consensus", peers: 1 });
  const store = hosts.stores.get(peer(1))!;
  store.fails = new Error("full");
  await assert.rejects(shell.ask(allocate("a")), /full/);
  store.fails = undefined;
  hosts.clock.run(6_000);
  assert.match(store.get("ipam/owned/a")!, /10\.32\.0\.1/);
});

Deno.test("AllocatorShell: a waiting request ends with its signal, its time, or the end of the daemon", async () => {
  const hosts = new Hosts();
  const shell = hosts.start(1, { kind: "consensus", peers: 3 }, 3);
  const gone = new AbortController();
  const first = shell.ask(allocate("a"), () => gone.signal);
  gone.abort();
  await assert.rejects(first, code("ipam/cancelled"));
  await assert.rejects(
    shell.ask(allocate("a"), () => gone.signal),
    code("ipam/cancelled"),
    "it had gone already",
  );
  const second = shell.ask(allocate("a", { until: hosts.clock.now() + 3_000, noWait: false }));
  hosts.clock.run(4_000);
  await assert.rejects(second, code("ipam/no-ring"));
  const third = shell.ask(allocate("a"));
  shell[Symbol.dispose]();
  await assert.rejects(third, code("ipam/cancelled"));
});

Deno.test("AllocatorShell: a host without addresses of its own gets some from another at once", async () => {
  const hosts = new Hosts();
  const one = hosts.start(1, { kind: "consensus", peers: 1 });
  await one.ask(allocate("a"));
  const two = hosts.start(2, { kind: "observer" });
  hosts.clock.run(2_000);
  const started = hosts.clock.now();
  assert.equal(await address(two.ask(allocate("b"))), "10.32.3.0/22");
  assert.equal(hosts.clock.now(), started);
  const shares = one.status().owners.map(({ nickname, size }) => `${nickname} ${size}`);
  assert.deepEqual(shares, ["h1 768", "h2 256"]);
  // One subnet is used up by both: the last one is told who holds what.
  const small = "10.32.0.0/30";
  assert.equal(await address(two.ask(allocate("c", HASTY, small))), "10.32.0.2/30");
  await assert.rejects(two.ask(allocate("d", HASTY, small)), code("ipam/exhausted"));
  assert.equal(hosts.clock.now(), started, "nobody waited for the next look at what waits");
});

Deno.test("AllocatorShell: bytes that make no sense are refused, and change nothing", () => {
  const hosts = new Hosts();
  const shell = hosts.start(1, { kind: "seed", peers: [peer(1)] });
  const before = JSON.stringify([...hosts.stores.get(peer(1))!.records]);
  for (const bytes of [new Uint8Array(), new Uint8Array([0]), hosts.random.bytes(64), new Uint8Array(4096)]) {
    const now = hosts.clock.now();
    shell.channel.onGossip(bytes, now);
    shell.channel.onBroadcast(peer(9), bytes, now);
    shell.channel.onUnicast(peer(9), bytes, now);
  }
  assert.equal(JSON.stringify([...hosts.stores.get(peer(1))!.records]), before);
});

Deno.test("AllocatorShell: a fault of our own costs the request alone", async () => {
  const hosts = new Hosts();
  const shell = hosts.start(1, { kind: "consensus", peers: 1 });
  const wrong = { ...allocate("a"), subnet: undefined } as unknown as IpamRequest;
  await assert.rejects(shell.ask(wrong), TypeError);
  assert.equal(await address(shell.ask(allocate("a"))), "10.32.0.1/22");
});

Deno.test("AllocatorShell tells a neighbour the same from time to time only, and news at the next time", async () => {
  const hosts = new Hosts();
  const { channel } = hosts.start(1, { kind: "consensus", peers: 1 });
  const told = (n: number) => [...channel.fullState().encode(peer(n))].length;
  assert.deepEqual([told(2), told(2), told(3), told(2)], [1, 0, 1, 0]);
  channel.onNeighbour(peer(2));
  assert.deepEqual([told(2), told(3)], [1, 0], "a new connection begins anew");
  assert.deepEqual(
    Array.from({ length: 22 }, () => told(2)).reduce((sum, n) => sum + n),
    1,
    "the same, later",
  );
  await hosts.shells.get(peer(1))!.ask(allocate("a"));
  assert.deepEqual([told(2), told(2)], [1, 0]);
});

Deno.test("AllocatorShell gives up an owner that has been away for too long, while most are here", async () => {
  const hosts = new Hosts();
  const seeds = { kind: "seed", peers: [peer(1), peer(2), peer(3)] } as const;
  const [one, two, three] = [1, 2, 3].map((n) => hosts.start(n, seeds, 3)) as [
    ...[AllocatorShell, AllocatorShell, AllocatorShell],
  ];
  hosts.clock.run(2_000);
  await three.ask(allocate("x"));
  three[Symbol.dispose]();
  hosts.shells.delete(peer(3));
  one.meshChanged([peer(2)]);
  two.meshChanged([peer(1)]);
  hosts.clock.run(599_000);
  assert.equal(one.status().owners.length, 3);
  hosts.clock.run(2_000);
  const owners = [one, two].map((shell) =>
    shell.status().owners.map((owner) => `${owner.peer} ${owner.size}`)
  );
  assert.deepEqual(owners[0], owners[1]);
  assert.equal(one.status().owners.reduce((sum, { size }) => sum + size, 0), 1_024);
  assert.equal(one.status().owners.length, 2);
  await Promise.resolve();
});
