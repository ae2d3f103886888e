import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import type { Alarm, GossipData, Logger } from "../../../mod/core/ports.ts";
import { DirectoryShell } from "../../../mod/dns/records/directory_shell.ts";
import { OwnNames } from "../../../mod/dns/records/own_names_shell.ts";
import { readRecord, writeRecord } from "../../../mod/dns/records/spelling.ts";
import { VirtualClock } from "../../sim/clock.ts";
import { MemoryStore } from "../memory_store.ts";
import { peer } from "./bench.ts";

const DOMAIN = "mesh.internal.";

/** A host's names, whose daemon can be started again. */
class Machine {
  readonly store = new MemoryStore();
  readonly clock = new VirtualClock();
  readonly warnings: string[] = [];
  told: GossipData[] = [];
  directory!: DirectoryShell;
  names!: OwnNames;

  start(): this {
    const note = (event: string) => void this.warnings.push(event);
    const logger: Logger = { debug() {}, info() {}, warn: note, error: note };
    const alarm: Alarm = { set: (at, ring) => at < Infinity && this.clock.at(at, ring) };
    this.directory = new DirectoryShell({
      ...{ self: peer(1), domain: DOMAIN, clock: this.clock, alarm },
      faults: { tell: (_, thrown) => assert.fail(String(thrown)) },
      gossip: { unicast() {}, broadcast: (_, data) => void this.told.push(data) },
      ...{
        compares: () => true,
        knock: () => {},
        knows: () => true,
        wallSeconds: () => 1_700_000_000,
      },
    }, () => {});
    this.names = new OwnNames({
      ...{ store: this.store, directory: this.directory, domain: DOMAIN, logger },
      alsoCalled: (target) =>
        target === "host" ? { container: "meshnet:host", hostname: `h1.host.${DOMAIN}` } : undefined,
    });
    return this;
  }

  /** What is answered. */
  get answered(): string[] {
    return [...this.directory.own()].filter(({ tombstone }) => tombstone === 0)
      .map((entry) => `${entry.hostname} ${writeRecord(entry)} ${entry.container}`).sort();
  }
}

const ips = (...texts: string[]) => texts as Ip[];
const records = (...texts: string[]) =>
  texts.map((text) => {
    const read = readRecord(text, DOMAIN);
    assert.ok(read.ok);
    return read.value;
  });

Deno.test("OwnNames: a target's names are answered while it is there, also after a restart", () => {
  const machine = new Machine().start();
  machine.names.setNames("netns:web", ["web.mesh.internal.", "www.mesh.internal.", "web.mesh.internal."]);
  assert.deepEqual(machine.answered, []);
  machine.names.present("netns:web", ips("10.2.1.1", "fd00::1"));
  const all = [
    "web.mesh.internal. 10.2.1.1 netns:web",
    "web.mesh.internal. fd00::1 netns:web",
    "www.mesh.internal. 10.2.1.1 netns:web",
    "www.mesh.internal. fd00::1 netns:web",
  ];
  assert.deepEqual(machine.answered, all);
  const told = machine.told.length;
  machine.names.present("netns:web", ips("10.2.1.1", "fd00::1"));
  assert.equal(machine.told.length, told, "told again although nothing changed");

  machine.names.absent("netns:web");
  assert.deepEqual(machine.answered, []);
  machine.names.present("netns:web", ips("10.2.1.1"));
  assert.deepEqual(machine.answered, [all[0], all[2]]);
  machine.names.present("netns:web", ips("10.2.1.2"));
  assert.deepEqual(machine.answered, [
    "web.mesh.internal. 10.2.1.2 netns:web",
    "www.mesh.internal. 10.2.1.2 netns:web",
  ]);

  machine.start();
  assert.deepEqual(machine.names.namesOf("netns:web"), ["web", "www"]);
  assert.deepEqual(machine.answered, [], "nobody has said yet that it is there");
  machine.told = [];
  machine.names.absent("netns:web", ips("10.2.1.1"));
  assert.equal(machine.told.length, 0, "nothing is told of what is not there");
  machine.names.present("netns:web");
  assert.deepEqual(machine.answered, [all[0], all[2]]);
  machine.names.setNames("netns:web", ["www.mesh.internal."]);
  assert.deepEqual(machine.answered, [all[2]]);
  machine.names.forgotten("netns:web");
  assert.deepEqual(machine.answered, []);
  assert.deepEqual(machine.start().names.namesOf("netns:web"), []);
});

Deno.test("OwnNames: what was detached while the daemon was down has no names", () => {
  const machine = new Machine().start();
  for (const target of ["netns:a", "netns:b"]) machine.names.setNames(target, ["web.mesh.internal."]);
  machine.start().names.keepOnly(new Set(["netns:b"]));
  assert.deepEqual(machine.names.targets(), [["netns:b", ["web"]]]);
  assert.equal(machine.store.list("names/").length, 1);
});

Deno.test("OwnNames: records are kept, and go one by one", () => {
  const machine = new Machine().start();
  machine.names.add("db.mesh.internal.", records("192.0.2.1", "192.0.2.2", "srv:0:0:1:x", "fd00::1"));
  machine.names.add("db.mesh.internal.", records("192.0.2.1"));
  const all = [
    "db.mesh.internal. 192.0.2.1 weave:extern",
    "db.mesh.internal. 192.0.2.2 weave:extern",
    "db.mesh.internal. fd00::1 weave:extern",
    "db.mesh.internal. srv:0:0:1:x.mesh.internal. weave:extern",
  ];
  assert.deepEqual(machine.answered, all);
  assert.deepEqual(machine.start().answered, all);
  const gone = machine.names.records().filter(({ data }) =>
    ["192.0.2.2", "fd00::1"].includes(writeRecord(data))
  );
  machine.names.remove(gone);
  assert.deepEqual(machine.answered, [all[0], all[3]]);
  assert.deepEqual(machine.start().answered, [all[0], all[3]]);
});

Deno.test("OwnNames: what cannot be remembered is not answered", () => {
  const machine = new Machine().start();
  machine.names.add("kept.mesh.internal.", records("192.0.2.9"));
  machine.names.present("netns:web", ips("10.2.1.1"));
  machine.store.fails = new Error("disk full");
  assert.throws(() => machine.names.add("db.mesh.internal.", records("192.0.2.1", "192.0.2.2")), /disk full/);
  assert.throws(() => machine.names.setNames("netns:web", ["web.mesh.internal."]), /disk full/);
  assert.throws(() => machine.names.remove(machine.names.records()), /disk full/);
  assert.deepEqual(machine.answered, ["kept.mesh.internal. 192.0.2.9 weave:extern"]);
  machine.store.fails = undefined;
  machine.names.add("db.mesh.internal.", records("192.0.2.1"));
  assert.equal(machine.answered.length, 2);
});

Deno.test("OwnNames: what is stored wrongly costs itself alone", () => {
  const machine = new Machine();
  machine.store.put("names/target/netns:a", "{");
  machine.store.put("names/target/netns:b", '{"version":1,"names":["b"]}');
  machine.store.put("names/target/netns:c", '{"version":1,"names":["bad name","c"]}');
  machine.store.put("names/record/x", '{"version":1,"name":"x","type":28,"addr":0,"rdata":"00"}');
  machine.store.put("names/record/y", '{"version":2}');
  machine.store.put("names/record/z", '{"version":1,"name":"z","type":1,"addr":1,"rdata":""}');
  machine.start();
  for (const target of ["netns:b", "netns:c"]) machine.names.present(target, ips("10.2.1.1"));
  assert.deepEqual(machine.answered, [
    "b.mesh.internal. 10.2.1.1 netns:b",
    "c.mesh.internal. 10.2.1.1 netns:c",
    "z.mesh.internal. 0.0.0.1 weave:extern",
  ]);
  assert.equal(machine.warnings.length, 4);
});

Deno.test("OwnNames: a target whose name no container can have is answered nevertheless", () => {
  const machine = new Machine().start();
  const target = `/run/a b/${"x".repeat(200)}`;
  machine.names.setNames(target, ["web.mesh.internal."]);
  machine.names.present(target, ips("10.2.1.1"));
  assert.match(machine.answered[0]!, /^web\.mesh\.internal\. 10\.2\.1\.1 target-[0-9a-f]{8}$/);
});

Deno.test("DirectoryShell: what another clock says is refused, and remembered for a while", () => {
  const machine = new Machine().start();
  const other = new Machine().start();
  const late = new DirectoryShell({
    ...{ self: peer(2), domain: DOMAIN, clock: machine.clock, alarm: { set() {} } },
    faults: { tell() {} },
    gossip: { unicast() {}, broadcast: (_, data) => void other.told.push(data) },
    ...{
      compares: () => true,
      knock: () => {},
      knows: () => true,
      wallSeconds: () => 1_700_000_901,
    },
  }, () => {});
  late.register({ container: "c", hostname: "x.mesh.internal.", data: records("10.2.1.1")[0]! });
  const [bytes] = [...other.told[0]!.encode()];
  const taken = machine.directory.channel.onBroadcast(peer(2), bytes!, machine.clock.now());
  assert.deepEqual(taken, { ok: false, reason: "host clock skew of 901s exceeds 900s limit" });
  assert.equal(machine.directory.refused(), "host clock skew of 901s exceeds 900s limit");
  machine.clock.run(600_001);
  assert.equal(machine.directory.refused(), undefined);
});

Deno.test("OwnNames: the host is called by its nickname while it has an address, besides its names", () => {
  const machine = new Machine().start();
  machine.names.present("host", ips("10.2.1.9"));
  assert.deepEqual(machine.answered, ["h1.host.mesh.internal. 10.2.1.9 meshnet:host"]);
  machine.names.setNames("host", ["gw.mesh.internal.", "h1.host.mesh.internal."]);
  assert.deepEqual(machine.answered, [
    "gw.mesh.internal. 10.2.1.9 host",
    "h1.host.mesh.internal. 10.2.1.9 host",
    "h1.host.mesh.internal. 10.2.1.9 meshnet:host",
  ]);
  assert.deepEqual(machine.names.calledNames("host"), ["h1.host", "gw"]);
  machine.names.forgotten("host");
  assert.deepEqual(machine.answered, []);
});
