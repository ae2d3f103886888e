import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import type { MeshnetError } from "../../../mod/core/errors.ts";
import type { Logger } from "../../../mod/core/ports.ts";
import { type Names, namesAfter, unansweredNames } from "../../../mod/daemon/names/names.ts";
import { namesApi, nameSources } from "../../../mod/daemon/names/names_api.ts";
import { OtherDomains } from "../../../mod/daemon/names/other_domains.ts";
import { ABSENCE_MS } from "../../../mod/dns/records/absent_names.ts";
import { DirectoryShell } from "../../../mod/dns/records/directory_shell.ts";
import { OwnNames } from "../../../mod/dns/records/own_names_shell.ts";
import { recordOfAddress } from "../../../mod/dns/records/spelling.ts";
import { FakeNameService, NO_COUNTS } from "../dns/fake_name_service.ts";
import { VirtualClock } from "../../sim/clock.ts";
import { peer } from "../ipam/bench.ts";
import { MemoryStore } from "../memory_store.ts";

const domain = "mesh.internal.";
const logger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A host with two attached targets, and another host whose name `far` it knows. */
const FAILED = { check: "tcp:80", healthy: false, forMs: 1_000, reason: "no connection" } as const;

function bench(farDomain = domain) {
  const clock = new VirtualClock();
  const around = {
    ...{
      domain,
      clock,
      alarm: { set() {} },
      compares: () => true,
      knock: () => {},
      knows: () => true,
      wallSeconds: () => 1_700_000_000,
    },
    faults: { tell: (_: string, thrown: unknown) => assert.fail(String(thrown)) },
  };
  const directory = new DirectoryShell(
    { ...around, self: peer(1), gossip: { unicast() {}, broadcast() {} } },
    () => {},
  );
  const far = new DirectoryShell({
    ...{ ...around, domain: farDomain, self: peer(2) },
    gossip: {
      unicast() {},
      broadcast: (_, data) => {
        for (const bytes of data.encode()) directory.channel.onBroadcast(peer(2), bytes, clock.now());
      },
    },
  }, () => {});
  const own = new OwnNames({ store: new MemoryStore(), directory, domain, logger });
  own.present("netns:a", ["10.2.1.1" as Ip]);
  own.present("netns:b", ["10.2.1.2" as Ip]);
  far.register({ container: "x", hostname: `far.${farDomain}`, data: recordOfAddress("10.2.1.9" as Ip) });
  const service = new FakeNameService();
  const otherDomains = new OtherDomains(domain);
  const healthOf = (target: string) => target === "netns:a" ? FAILED : null;
  const paused = new Set<string>();
  const names: Names = {
    ...{ domain, directory, own, service, counts: { all: 3, own: 2 }, otherDomains },
    config: {
      ...{ domain, ttl: 7, order: "nearest", listen: [], resolvConf: "/etc/resolv.conf" },
      stubs: [{ domain: "corp.example.", servers: [{ ip: "10.0.0.53" as Ip, port: 53 }] }],
    },
    forContainers: () => ({ address: undefined, problem: "no room", hint: undefined }),
    ...{
      files: undefined,
      checks: { targets: () => ["netns:a"], healthOf } as never,
      attached() {},
      engineSays() {},
      troubleOf: (container: string) => paused.has(container) ? "paused" as const : undefined,
      forgotten: () => undefined,
    },
  };
  const others = [{ name: peer(2), nickname: "h2" }];
  const attached = ["netns:a", "netns:b"].map((target) => ({ target }));
  const api = namesApi({
    names,
    attachments: { holderOf: (text) => text, list: () => attached as never },
    peers: () => [{ name: peer(1), nickname: "h1" }, ...others],
    wasCalled: (name) => name === peer(2) ? "h2" : undefined,
  });
  const add = (name: string, ...records: string[]) => api.addName({ name, records, order: null });
  const remove = (name: string, ...records: string[]) => api.removeName({ name, records, order: null });
  const refused = (work: () => unknown): string => {
    try {
      work();
    } catch (thrown) {
      const { code, hint, message } = thrown as MeshnetError;
      return `${code}: ${message}; ${hint}`;
    }
    return "not refused";
  };
  return { add, api, clock, directory, names, others, otherDomains, service, own, paused, refused, remove };
}

Deno.test("namesApi() adds records and targets to a name, and takes them away one by one or all", () => {
  const { add, api, own, remove } = bench();
  assert.deepEqual(add("web", "netns:a", "192.0.2.1"), {
    name: "web.mesh.internal",
    records: ["10.2.1.1", "192.0.2.1"],
  });
  add("WEB.mesh.internal", "netns:b");
  assert.deepEqual(own.namesOf("netns:b"), ["WEB"]);
  assert.deepEqual(api.lookUpName({ name: "web" }).records.map(({ record }) => record).sort(), [
    ...["10.2.1.1", "10.2.1.2", "192.0.2.1"],
  ]);
  assert.deepEqual(remove("web", "netns:b").records, ["10.2.1.1", "192.0.2.1"]);
  assert.deepEqual(remove("Web", "192.0.2.1").records, ["10.2.1.1"]);
  assert.deepEqual(remove("web").records, []);
  assert.deepEqual(own.namesOf("netns:a"), []);
});

Deno.test("namesApi() lists all names in small letters' order, with who gives them", () => {
  const { add, api } = bench();
  add("Web", "netns:a");
  add("db", "fd00::1", "srv:0:0:80:web");
  assert.deepEqual(
    api.names().map(({ container, name, nickname, record }) => `${name} ${record} ${container} ${nickname}`),
    [
      "db fd00::1 weave:extern h1",
      "db srv:0:0:80:web.mesh.internal. weave:extern h1",
      "far 10.2.1.9 x h2",
      "Web 10.2.1.1 netns:a h1",
    ],
  );
  assert.deepEqual(api.names().map(({ health }) => health), [null, null, null, FAILED]);
});

Deno.test("namesApi() says which names are kept of a host that is away, for how long, and which are left out", () => {
  const { add, api, clock, directory, others } = bench();
  const listed = () =>
    api.names().map(({ answered, keptMs, name, nickname }) => [name, nickname, answered, keptMs]);
  assert.deepEqual(listed(), [["far", "h2", true, null]]);
  others.length = 0;
  const parting = { at: clock.now(), address: { ip: "192.0.2.2" as Ip, port: 6783 }, carried: true };
  directory.channel.onPeersRemoved([peer(2)], new Map([[peer(2), parting]]));
  assert.deepEqual(listed(), [["far", "h2", true, ABSENCE_MS.carried]]);
  clock.run(18_000);
  assert.deepEqual(listed(), [["far", "h2", true, ABSENCE_MS.carried - 18_000]]);
  add("FAR", "192.0.2.7");
  assert.deepEqual(listed(), [
    ...[["FAR", "h1", true, null], ["far", "h2", false, ABSENCE_MS.carried - 18_000]],
  ]);
});

Deno.test("namesApi() says that a container of this host is paused, and that others are answered for it", () => {
  const { add, api, directory, paused } = bench();
  add("web", "netns:a", "netns:b");
  const listed = () =>
    api.names().filter(({ name }) => name === "web")
      .map(({ answered, healthy, record, trouble }) => [record, answered, healthy, trouble]);
  const [a] = [...directory.own()].map(({ container }) => container);
  paused.add(a!);
  directory.setHealth(a!, false);
  assert.deepEqual(listed(), [["10.2.1.1", false, false, "paused"], ["10.2.1.2", true, true, null]]);
  for (const { container } of [...directory.own()]) directory.setHealth(container, false);
  assert.deepEqual(listed(), [["10.2.1.1", true, false, "paused"], ["10.2.1.2", true, false, null]]);
  assert.deepEqual(api.lookUpName({ name: "web" }).records.map(({ answered }) => answered), [true, true]);
});

Deno.test("namesApi() changes the order of a name", () => {
  const { api, own } = bench();
  const order = (order: string) => api.addName({ name: "web", records: [], order });
  assert.deepEqual(order("random").records, ["order:random"]);
  assert.deepEqual(order("random").records, ["order:random"]);
  assert.deepEqual(order("nearest").records, ["order:nearest"]);
  assert.equal(own.records().length, 1);
});

Deno.test("namesApi(): a name with an order alone has nothing to look up, and its order can be removed", () => {
  const { add, api, refused, remove } = bench();
  api.addName({ name: "many", records: [], order: "random" });
  assert.match(
    refused(() => api.lookUpName({ name: "many" })),
    /^dns\/not-found: Cannot find many.*: it has an order and no other record; .*dns add many\.mesh\.internal ADDRESS/,
  );
  assert.match(refused(() => api.lookUpName({ name: "manx" })), /; `meshnet dns list` shows/);
  assert.match(refused(() => add("many", "order:nearest")), /order:nearest.*; .*--order nearest/);
  assert.deepEqual(add("many", "192.0.2.1").records, ["order:random", "192.0.2.1"]);
  assert.deepEqual(remove("many", "order:random").records, ["192.0.2.1"]);
  assert.match(refused(() => remove("many", "order:random")), /^dns\/not-found/);
});

Deno.test("names below host belong to hosts: nothing else is given one, and what has one can lose it", () => {
  const { add, names, own, refused, remove } = bench();
  const said =
    /^usage\/bad-name: Cannot .* h2\.host\.mesh\.internal: names below host\.mesh\.internal belong to hosts; .*expose/i;
  assert.match(refused(() => add("h2.host", "192.0.2.1")), said);
  assert.match(refused(() => add("H2.Host.mesh.internal.", "netns:a")), said);
  assert.match(refused(() => namesAfter(names, "netns:a", ["h2.host"])), said);
  assert.deepEqual(namesAfter(names, "netns:a", ["host", "myhost"]), [
    "host.mesh.internal.",
    "myhost.mesh.internal.",
  ]);
  own.setNames("netns:a", ["h2.host.mesh.internal."]);
  assert.equal(namesAfter(names, "netns:a", ["web"])?.length, 2);
  assert.deepEqual(remove("h2.host").records, []);
});

Deno.test("namesApi() says what is wrong, and what to do", () => {
  const { add, api, own, refused, remove } = bench();
  add("web", "192.0.2.1");
  add("www", "cname:web");
  const cases: [work: () => unknown, said: RegExp][] = [
    [
      () => add("a b", "192.0.2.1"),
      /^usage\/bad-name: Cannot add the name "a b": .*letters.*; Give a name such as/,
    ],
    [() => add("10.2.1.1", "web"), /^usage\/bad-name: .*it is an address/],
    [() => add("x"), /^usage\/bad-record: Cannot add x\.mesh\.internal: no record is given/],
    [() => add("x", "web"), /^usage\/bad-record: Cannot use record "web": it is no record; Give an address/],
    [() => add("x", "192.0.2.1/24"), /no prefix length/],
    [() => add("x", "netns:"), /^usage\/bad-target/],
    [() => add("x", "netns:c"), /^attach\/not-attached: Cannot name netns:c.*attach --name NAME netns:c/],
    [
      () => api.addName({ name: "x", records: [], order: "up" }),
      /^usage\/bad-option: .*"up".*balanced, random, nearest/,
    ],
    [() => add("web", "cname:x"), /^dns\/conflict: .*an alias has no other records; Remove what it has/],
    [() => add("new", "192.0.2.1", "cname:web"), /^dns\/conflict: .*no other records; Give the alias alone/],
    [() => add("www", "192.0.2.1"), /^dns\/conflict/],
    [() => add("www", "netns:a"), /^dns\/conflict/],
    [() => add("self", "cname:SELF"), /^dns\/conflict: .*stand for itself/],
    [() => remove("nobody"), /^dns\/not-found: .*this host does not give it; `meshnet dns list`/],
    [() => remove("web", "192.0.2.9"), /^dns\/not-found: .*Its records here are: 192\.0\.2\.1/],
    [() => remove("far"), /^dns\/not-found: .*Other hosts give it/],
    [() => api.lookUpName({ name: "wev" }), /^dns\/not-found: .*Did you mean web\?/],
    [() => api.lookUpName({ name: "www.example.com." }), /^usage\/bad-name: .*not below mesh\.internal/],
  ];
  for (const [work, said] of cases) assert.match(refused(work), said);
  assert.equal(own.records().length, 2, "nothing changed");
});

Deno.test("names of a target are checked before anything is done, and bounded", () => {
  const { names, refused } = bench();
  assert.equal(namesAfter(names, "netns:a", []), undefined);
  assert.deepEqual(namesAfter(names, "netns:a", ["web", "Web", "x.y"]), [
    ...["web.mesh.internal.", "x.y.mesh.internal."],
  ]);
  assert.match(refused(() => namesAfter(names, "netns:a", ["ok", "-no"])), /^usage\/bad-name: .*"-no"/);
  const many = Array.from({ length: 101 }, (_, i) => `n${i}`);
  assert.match(
    refused(() => namesAfter(names, "netns:a", many)),
    /^dns\/too-many: .*101 names; .*at most 100/,
  );
  assert.match(refused(() => namesAfter(undefined, "netns:a", ["web"])), /^dns\/off: .*--no-dns/);
});

Deno.test("nameSources() says where names are answered, and what hinders it", async () => {
  const { names, service } = bench();
  assert.equal(nameSources(undefined, undefined, []), undefined);
  service.taken.set("127.0.0.1", "Port 53 is taken by dnsmasq (process 812)");
  service.listen([
    { ip: "127.0.0.1" as Ip, port: 53 },
    { ip: "192.0.2.1" as Ip, port: 5353 },
    { ip: "169.254.53.53" as Ip, port: 53, netns: "/proc/self/fd/9" },
  ]);
  const { problems, report } = nameSources(names, await service.report(), [])!;
  assert.deepEqual(report, {
    ...{ domain: "mesh.internal", address: null, order: "nearest", ttl: 7, entries: 3, own: 2 },
    listen: [{ address: "127.0.0.1:53", listening: false }, { address: "192.0.2.1:5353", listening: true }],
    ...{ upstream: [], forward: ["corp.example=10.0.0.53:53"], counters: NO_COUNTS, servers: [] },
    probed: [{ target: "netns:a", ...FAILED, trouble: null }],
  });
  assert.deepEqual(problems.map(({ message }) => message), [
    "Containers do not reach the name server of this host: no room",
    "Names are not answered on 127.0.0.1:53: Port 53 is taken by dnsmasq (process 812)",
  ]);
  assert.equal(problems[1]?.hint, "Stop it");
  const silent = nameSources(names, undefined, [])!;
  assert.deepEqual([silent.report.upstream, silent.report.servers], [null, null]);
  assert.equal(silent.report.counters, null);
  assert.equal(silent.problems[0]?.message, "The name server of this host does not answer");
});

Deno.test("nameSources() tells of servers of others that do not answer, if no other one of theirs does", async () => {
  const { names, service } = bench();
  const known = { domain: undefined, answeredAgoMs: undefined, silentMs: undefined, unreachable: false };
  const one = {
    ...known,
    server: { ip: "192.0.2.53" as Ip, port: 53 },
    state: "silent" as const,
    silentMs: 60_000,
  };
  const other = { ...known, server: { ip: "10.0.0.53" as Ip, port: 53 }, state: "unknown" as const };
  service.servers = [one, { ...other, domain: "corp.example." }];
  const { problems, report } = nameSources(names, await service.report(), [])!;
  assert.deepEqual(report.servers, [
    {
      ...{ address: "192.0.2.53:53", domain: null, state: "silent", answeredAgoMs: null, silentMs: 60_000 },
      unreachable: false,
    },
    {
      ...{ address: "10.0.0.53:53", domain: "corp.example", state: "unknown", answeredAgoMs: null },
      ...{ silentMs: null, unreachable: false },
    },
  ]);
  assert.match(
    problems[1]!.message,
    /^Names outside the mesh are not found: the name server 192\.0\.2\.53, of/,
  );
  service.servers = [one, other];
  assert.equal(nameSources(names, await service.report(), [])!.problems.length, 1);
});

Deno.test("OtherDomains tells of hosts whose names are not below our domain, as long as they give one", () => {
  const { names, otherDomains } = bench();
  const told = () =>
    nameSources(names, undefined, [{ name: peer(2), nickname: "h2" }])!.problems
      .filter(({ message }) => message.includes("not below"));
  const count = (hostname: string, n: number, by: 1 | -1) =>
    otherDomains.count({ hostname, origin: peer(n) }, by);
  count("web.Mesh.Internal.", 2, 1);
  assert.deepEqual(told(), []);
  count("web.other.internal.", 2, 1);
  count("db.other.internal.", 2, 1);
  assert.deepEqual(told(), [{
    message:
      "Names of h2 are not below mesh.internal (such as web.other.internal): they are not answered here",
    hint: "Start all hosts with the same --dns-domain",
  }]);
  for (let n = 3; n < 8; n++) count("x.other.internal.", n, 1);
  assert.match(told()[0]!.message, /^Names of h2, 00:\S+, 00:\S+, 00:\S+ and 2 more are not/);
  for (let n = 3; n < 8; n++) count("x.other.internal.", n, -1);
  count("web.other.internal.", 2, -1);
  assert.equal(told().length, 1);
  count("db.other.internal.", 2, -1);
  assert.deepEqual(told(), []);
});

Deno.test("namesApi() proposes no name of another domain, which nobody could ask for here", () => {
  const { api, refused } = bench("other.internal.");
  assert.deepEqual(api.names().map(({ name }) => name), ["far.other.internal."]);
  assert.match(refused(() => api.lookUpName({ name: "far" })), /; `meshnet dns list` shows all names$/);
});

Deno.test("unansweredNames() says why containers find no names, and what to do", () => {
  const told = (problem?: string, hint?: string) =>
    unansweredNames({ forContainers: () => ({ address: undefined, problem, hint }) });
  assert.equal(told(), undefined);
  assert.equal(told("no room"), "Containers of this host find no names yet: no room");
  assert.match(told("no port 53", "Give it a capability")!, /no port 53\. Give it a capability$/);
});

Deno.test("namesApi(): what an engine gives a container cannot be removed: it would be back at once", () => {
  const { add, own, refused, remove } = bench();
  own.lend("engine:4f4f", ["web.mesh.internal."], ["10.32.0.1" as Ip]);
  add("web", "192.0.2.1");
  assert.match(
    refused(() => remove("web")),
    /^dns\/conflict: Cannot remove web\.mesh\.internal: the engine gives it to a container; Rename the container/,
  );
  assert.deepEqual(remove("web", "192.0.2.1").records, ["10.32.0.1"]);
});
