import assert from "node:assert/strict";
import { Attachments } from "../../../mod/attach/mod.ts";
import type { AttachRequest } from "../../../mod/control/api_types.ts";
import { formatCidr, type Ip, parseCidr } from "../../../mod/core/addr.ts";
import type { Alarm, Logger } from "../../../mod/core/ports.ts";
import { Addresses, type Ipam } from "../../../mod/daemon/addresses/addresses.ts";
import { ipamApi } from "../../../mod/daemon/addresses/ipam_api.ts";
import { UnusedAddresses } from "../../../mod/daemon/addresses/unused_addresses.ts";
import { AllocatorShell } from "../../../mod/ipam/allocator_shell.ts";
import { Universe } from "../../../mod/ipam/universe.ts";
import { VirtualClock } from "../../sim/clock.ts";
import { FakeHost, OPTIONS } from "../attach/fake_host.ts";
import { peer } from "../ipam/bench.ts";
import { seededRandom } from "../properties.ts";

const RANGE = parseCidr("10.32.0.0/22")!;
const logger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
const usual = { noWait: false, timeoutMs: 60_000 };
const stays = () => new AbortController().signal;

/** A host whose daemon is started and started again. */
class Machine {
  readonly host = new FakeHost();
  readonly clock = new VirtualClock();
  attachments!: Attachments;
  addresses!: Addresses;
  /** Who in the network uses which address. */
  readonly network = new Map<string, string>();
  asked: string[] = [];
  /** Most questions that were open together. */
  atOnce = 0;
  #open = 0;
  macOf = (_: string) => "02:00:00:00:00:07";
  ipam: Ipam | undefined;
  #armed = 0;

  start({ off = false, hosts = 1 } = {}): this {
    const made = Universe.of(RANGE);
    assert.ok(made.ok);
    const onForgotten = { call: (_: string) => {} };
    const adapters = { ...this.host.adapters(), forgotten: (target: string) => onForgotten.call(target) };
    this.attachments = new Attachments(adapters, OPTIONS);
    this.attachments.reconcile();
    const alarm: Alarm = {
      set: (at, ring) => {
        const mine = ++this.#armed;
        if (at < Infinity) this.clock.at(at, () => mine === this.#armed ? ring() : undefined);
      },
    };
    const shell = new AllocatorShell({
      ...{
        universe: made.value,
        self: peer(1),
        uid: 1n,
        nickname: "h1",
        init: { kind: "consensus", peers: hosts },
      },
      ...{ clock: this.clock, alarm, store: this.host.store, logger, random: seededRandom(7) },
      faults: { tell: (_, thrown) => assert.fail(String(thrown)), guard: (_, work) => work },
      gossip: { unicast() {}, broadcast() {} },
      reclaimAfterMs: undefined,
      wallSeconds: () => 1,
      expected: () => hosts,
    });
    shell.start();
    const users = {
      userOf: async (ip: Ip) => {
        this.asked.push(ip);
        this.atOnce = Math.max(this.atOnce, ++this.#open);
        const text = this.network.get(ip);
        await Promise.resolve();
        this.#open--;
        return text === undefined ? undefined : { ip, mac: this.macOf(ip), host: "h2", text };
      },
    };
    const unused = new UnusedAddresses({ shell, users, logger });
    this.ipam = off ? undefined : { shell, unused, universe: made.value, range: RANGE, subnet: RANGE };
    this.addresses = new Addresses({
      ...{
        attachments: this.attachments,
        ipam: this.ipam,
        names: undefined,
        clock: this.clock,
        logger,
        users,
        routes: () => [],
      },
    });
    onForgotten.call = (target) => this.addresses.forgotten(target);
    this.addresses.reconcile();
    return this;
  }

  async attach(target: string, ...words: readonly string[]): Promise<readonly string[]> {
    const addresses = words.filter((word) => word !== "--force");
    const request: AttachRequest = { target, addresses, force: addresses.length < words.length, ...usual };
    return (await this.addresses.attach(request, stays)).attachment!.addresses;
  }

  held(holder: string): readonly string[] {
    return this.ipam!.shell.lookup(holder).map(formatCidr);
  }
}

Deno.test("Addresses.attach() allocates, claims what is given, and leaves others alone; detach() gives back", async () => {
  const machine = new Machine().start();
  machine.host.namespace("/run/netns/a");
  machine.host.namespace("/run/netns/b");
  assert.deepEqual(await machine.attach("netns:a"), ["10.32.0.1/22"]);
  assert.deepEqual(await machine.attach("netns:a"), ["10.32.0.1/22"], "again changes nothing");
  assert.deepEqual(await machine.attach("netns:b", "net:10.32.1.0/24", "10.32.0.2/22", "192.168.0.1/24"), [
    ...["10.32.1.1/24", "10.32.0.2/22", "192.168.0.1/24"],
  ]);
  assert.deepEqual(machine.held("netns:b"), ["10.32.1.1/24", "10.32.0.2/22"]);
  await machine.addresses.detach({ target: "netns:b", addresses: ["net:10.32.1.0/24"] });
  assert.deepEqual(machine.held("netns:b"), ["10.32.0.2/22"]);
  await assert.rejects(machine.addresses.detach({ target: "netns:b", addresses: ["net:10.32.1.0/24"] }), {
    code: "attach/not-attached",
  });
  await machine.addresses.detach({ target: "netns:b", addresses: [] });
  assert.deepEqual(machine.held("netns:b"), []);
  assert.deepEqual(await machine.attach("netns:b"), ["10.32.0.2/22"]);
});

Deno.test("Addresses.attach(): what fails leaves no address behind", async () => {
  const machine = new Machine().start();
  machine.host.namespace("/run/netns/a");
  machine.host.namespace("/run/netns/b");
  await machine.attach("netns:a", "10.32.0.9/22");
  const failures: readonly (readonly [target: string, addresses: readonly string[], code: string])[] = [
    ["netns:gone", [], "attach/bad-target"],
    ["netns:b", ["net:default", "10.32.0.9/22"], "ipam/in-use"],
    ["netns:b", ["net:default", "net:10.99.0.0/24"], "ipam/out-of-range"],
    ["netns:b", ["net:default", "net:10.32.0.1/24"], "ipam/bad-subnet"],
    ["netns:b", ["net:nothing"], "usage/bad-address"],
    ["netns:b", ["10.32.0.7/22", "10.32.0.7/24"], "usage/bad-address"],
  ];
  for (const [target, addresses, code] of failures) {
    await assert.rejects(machine.attach(target, ...addresses), { code }, addresses.join(" "));
    assert.deepEqual(machine.held(target), [], addresses.join(" "));
  }
  assert.deepEqual(machine.attachments.list().map(({ target }) => target), ["netns:a"]);
});

Deno.test("Addresses: a claim that waits for others to agree goes with its attachment", async () => {
  const machine = new Machine().start({ hosts: 2 });
  machine.host.namespace("/run/netns/a");
  const claims = () => machine.ipam!.shell.status().pendingClaims;
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(await machine.attach("netns:a", "10.32.0.3/22"), ["10.32.0.3/22"]);
    assert.equal(claims().length, 1);
    await machine.addresses.detach({ target: "netns:a", addresses: [] });
    assert.deepEqual(claims(), []);
  }
  await assert.rejects(machine.attach("netns:gone", "10.32.0.4/22"), { code: "attach/bad-target" });
  await machine.attach("netns:a", "10.32.0.3/22");
  await assert.rejects(machine.attach("netns:a", "10.32.0.3/24", "10.32.0.5/22"));
  assert.deepEqual(claims().map(({ address }) => address), ["10.32.0.3/22"], "only what is attached");
});

Deno.test("Addresses.attach(): an address that somebody uses is given to nobody for a while", async () => {
  const machine = new Machine().start();
  for (const name of ["a", "b"]) machine.host.namespace(`/run/netns/${name}`);
  machine.network.set("10.32.0.1", "somebody");
  assert.deepEqual(await machine.attach("netns:a"), ["10.32.0.2/22"]);
  assert.deepEqual(machine.ipam!.unused.foundInUse().map(({ ip, text }) => [ip, text]), [[
    "10.32.0.1",
    "somebody",
  ]]);
  const { aside, held } = machine.ipam!.shell.status();
  assert.deepEqual([aside.map(formatCidr), held.map(({ ident }) => ident)], [["10.32.0.1/22"], ["netns:a"]]);
  machine.network.clear();
  assert.deepEqual(await machine.attach("netns:b"), ["10.32.0.3/22"], "not at once");
  await machine.addresses.detach({ target: "netns:b", addresses: [] });
  machine.clock.run(601_000);
  assert.deepEqual(machine.ipam!.unused.foundInUse(), []);
  assert.deepEqual(await machine.attach("netns:b"), ["10.32.0.1/22"], "it is tried again");
});

Deno.test("Addresses.attach(): what is set aside is given back by a start", async () => {
  const machine = new Machine().start();
  machine.host.namespace("/run/netns/a");
  machine.network.set("10.32.0.1", "somebody");
  await machine.attach("netns:a");
  machine.start();
  assert.deepEqual(machine.ipam!.shell.status().aside, []);
  assert.deepEqual(machine.held("netns:a"), ["10.32.0.2/22"]);
});

Deno.test("Addresses.attach(): where somebody answers for every address, the request says so and keeps none", async () => {
  const machine = new Machine().start();
  machine.host.namespace("/run/netns/a");
  for (let i = 0; i < 256; i++) machine.network.set(`10.32.0.${i}`, "a proxy");
  await assert.rejects(machine.attach("netns:a"), {
    code: "attach/in-use",
    message:
      "Cannot allocate an address for netns:a: 8 in a row are in use, the last one, 10.32.0.8, by a proxy",
  });
  assert.deepEqual(machine.held("netns:a"), []);
  const { unused } = machine.ipam!;
  for (let again = 0; again < 3; again++) {
    assert.deepEqual(unused.foundInUse().map(({ ip }) => ip), ["10.32.0.1"], "one stays aside as an example");
    assert.deepEqual(machine.ipam!.shell.status().aside.map(({ ip }) => ip), ["10.32.0.1"]);
    await assert.rejects(machine.attach("netns:a"), { code: "attach/in-use" });
  }
  machine.network.clear();
  assert.deepEqual(await machine.attach("netns:a"), ["10.32.0.2/22"], "the others are there at once");
});

Deno.test("Addresses.attach(): what many use, each one address, stays aside", async () => {
  const machine = new Machine().start();
  machine.host.namespace("/run/netns/a");
  for (let i = 1; i < 9; i++) machine.network.set(`10.32.0.${i}`, `somebody ${i}`);
  machine.macOf = (ip) => `02:00:00:00:00:0${ip.at(-1)}`;
  await assert.rejects(machine.attach("netns:a"), { code: "attach/in-use" });
  assert.equal(machine.ipam!.unused.foundInUse().length, 8);
  assert.deepEqual(await machine.attach("netns:a"), ["10.32.0.9/22"]);
});

Deno.test("Addresses.attach() asks for many given addresses at a time, and names the first that is in use", async () => {
  const machine = new Machine().start();
  machine.host.namespace("/run/netns/a");
  const given = Array.from({ length: 200 }, (_, i) => `10.32.1.${i + 1}/22`);
  machine.network.set("10.32.1.70", "one");
  machine.network.set("10.32.1.199", "another");
  await assert.rejects(machine.attach("netns:a", ...given), {
    message: /^Cannot attach 10.32.1.70.22 .* by one$/,
  });
  assert.deepEqual([machine.atOnce, machine.asked.length], [64, 128], "what comes behind is not asked for");
  machine.network.clear();
  machine.asked = [];
  const left = new AbortController();
  const request = { target: "netns:a", addresses: given, force: false, ...usual };
  const attached = machine.addresses.attach(request, () => left.signal);
  machine.clock.run(1);
  left.abort();
  await assert.rejects(attached);
  assert.ok(machine.asked.length <= 64, "nobody waits for it any more");
  assert.deepEqual(machine.held("netns:a"), []);
  assert.equal((await machine.attach("netns:a", ...given)).length, 200);
});

Deno.test("Addresses.attach() refuses an address that somebody uses, unless that is wanted, and asks once", async () => {
  for (const off of [false, true]) {
    const machine = new Machine().start({ off });
    machine.host.namespace("/run/netns/a");
    for (const ip of ["10.2.1.1", "10.32.0.9"]) {
      machine.network.set(ip, "02:00:00:00:00:07 on h2");
      await assert.rejects(machine.attach("netns:a", `${ip}/22`), {
        code: "attach/in-use",
        message: `Cannot attach ${ip}/22 to netns:a: it is in use by 02:00:00:00:00:07 on h2`,
        hint: "Choose another address, or attach it all the same with --force",
      });
      if (!off) assert.deepEqual(machine.held("netns:a"), []);
      assert.deepEqual((await machine.attach("netns:a", `${ip}/22`, "--force")).at(-1), `${ip}/22`);
      machine.asked = [];
      await machine.attach("netns:a", `${ip}/22`);
      assert.deepEqual(machine.asked, [], "what it has it may keep");
      await machine.addresses.detach({ target: "netns:a", addresses: [] });
    }
  }
});

Deno.test("Addresses.attach(): requests about one target at the same time get one address", async () => {
  const machine = new Machine().start();
  machine.host.namespace("/run/netns/a");
  const all = await Promise.all(Array.from({ length: 5 }, () => machine.attach("netns:a")));
  assert.deepEqual(new Set(all.flat()), new Set(["10.32.0.1/22"]));
});

Deno.test("Addresses.attach(): one namespace under two names is one holder", async () => {
  const machine = new Machine().start();
  machine.host.namespace("/run/netns/a", "/proc/7/ns/net");
  machine.host.processes.set(7, "mark");
  await machine.attach("netns:a");
  assert.deepEqual(await machine.attach("pid:7"), ["10.32.0.1/22"]);
  await machine.addresses.detach({ target: "pid:7", addresses: [] });
  assert.deepEqual(machine.held("netns:a"), []);
});

Deno.test("Addresses: a start claims what is attached, and gives back what nobody has", async () => {
  const machine = new Machine().start({ off: true });
  for (const name of ["a", "b", "c"]) machine.host.namespace(`/run/netns/${name}`);
  await machine.attach("netns:a", "10.32.0.3/22"); // before there was allocation
  machine.start();
  assert.deepEqual(machine.held("netns:a"), ["10.32.0.3/22"]);
  await machine.attach("netns:b");
  await machine.attach("netns:c");
  // A crash after the allocation, before the attachment was remembered.
  for (const [key, value] of machine.host.store.list("attachment/")) {
    if (value.includes("netns:c")) machine.host.store.remove(key);
  }
  machine.host.removeNamespace("/run/netns/b"); // it may come back under its name
  machine.start();
  assert.deepEqual(["netns:a", "netns:b", "netns:c"].map((name) => machine.held(name)), [
    ...[["10.32.0.3/22"], ["10.32.0.1/22"], []],
  ]);
});

Deno.test("Addresses: what a process had that ended is free after half a minute", async () => {
  const machine = new Machine().start();
  machine.host.namespace("/proc/7/ns/net");
  machine.host.processes.set(7, "mark");
  await machine.attach("pid:7");
  machine.host.removeNamespace("/proc/7/ns/net");
  machine.host.processes.delete(7);
  machine.attachments.reconcile();
  assert.deepEqual(machine.held("pid:7"), ["10.32.0.1/22"]);
  machine.clock.run(31_000);
  assert.deepEqual(machine.held("pid:7"), []);
});

Deno.test("Addresses without allocation: addresses that are given are attached, others are refused", async () => {
  const machine = new Machine().start({ off: true });
  machine.host.namespace("/run/netns/a");
  for (const addresses of [[], ["net:default"], ["10.2.1.1/24", "net:10.32.0.0/24"]]) {
    await assert.rejects(machine.attach("netns:a", ...addresses), { code: "ipam/off" });
  }
  assert.deepEqual(await machine.attach("netns:a", "10.32.0.1/22"), ["10.32.0.1/22"]);
});

Deno.test("ipamApi() without allocation advises what fits: an address alone would not do", async () => {
  const { attachments, clock } = new Machine().start({ off: true });
  const api = ipamApi({
    ...{ ipam: undefined, attachments, clock, exposed: () => [], members: () => [] },
    ...{
      namesOf: () => [],
      healthOf: () => null,
      troubleOf: () => undefined,
      peers: () => [{ name: peer(1), nickname: "h1" }],
    },
  });
  const refused = { code: "ipam/off", hint: /^To use one, start it with an --ip-range/ };
  await assert.rejects(api.prime(usual, stays), refused);
  assert.throws(() => api.exportAddresses(), refused);
});

Deno.test("ipamApi() reserves, lists and releases for names, and keeps what is attached", async () => {
  const machine = new Machine().start();
  machine.host.namespace("/run/netns/a");
  await machine.attach("netns:a");
  const self = { name: peer(1), nickname: "h1" };
  const api = ipamApi({
    ...{ ipam: machine.ipam, attachments: machine.attachments, clock: machine.clock, exposed: () => [] },
    members: () => [],
    namesOf: (target) => target === "netns:a" ? ["web"] : [],
    healthOf: () => null,
    troubleOf: (target) => target === "netns:a" ? "paused" : undefined,
    peers: () => [self, { name: peer(2), nickname: "h" }, { name: peer(3), nickname: "h" }],
  });
  const ask = { holder: "x", subnet: null, ...usual };
  assert.deepEqual(await api.allocate(ask, stays), { holder: "x", addresses: ["10.32.0.2/22"] });
  assert.deepEqual(await api.allocate({ ...ask, subnet: "net:10.32.1.0/24" }, stays), {
    ...{ holder: "x", addresses: ["10.32.1.1/24"] },
  });
  assert.deepEqual(api.holders(), [
    {
      holder: "netns:a",
      name: null,
      attached: true,
      addresses: ["10.32.0.1/22"],
      names: ["web"],
      ...{ health: null, trouble: "paused" },
    },
    {
      holder: "x",
      name: null,
      attached: false,
      addresses: ["10.32.0.2/22", "10.32.1.1/24"],
      names: [],
      ...{ health: null, trouble: null },
    },
  ]);
  await assert.rejects(api.release({ holder: "netns:a", address: null }), { code: "ipam/in-use" });
  await assert.rejects(api.release({ holder: "y", address: null }), { code: "ipam/not-found" });
  await assert.rejects(api.allocate({ ...ask, subnet: "here" }, stays), { code: "usage/bad-address" });
  assert.deepEqual(await api.release({ holder: "x", address: "10.32.1.1" }), {
    ...{ holder: "x", addresses: ["10.32.1.1/24"] },
  });
  const claim = { holder: "x", address: "10.32.0.1/22", ...usual };
  await assert.rejects(api.claim(claim, stays), { code: "ipam/in-use" });
  for (
    const [word, code] of [["h1", "usage/bad-option"], ["h", "peer/unknown"], ["z", "peer/unknown"]] as const
  ) {
    await assert.rejects(api.removePeers({ peers: [word], ...usual }, stays), { code }, word);
  }
  assert.deepEqual(await api.removePeers({ peers: [peer(9)], ...usual }, stays), {
    peers: [peer(9)],
    addresses: 0,
  });
  assert.deepEqual(await api.prime(usual, stays), { done: true });
});
