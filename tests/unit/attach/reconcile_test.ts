import assert from "node:assert/strict";
import { type FakeHost, hostWith, testOnSwitches } from "./fake_host.ts";

const A = "/run/netns/a";
const B = "/run/netns/b";

function attach(host: FakeHost, ...addresses: readonly string[]): void {
  using attachments = host.start();
  attachments.attach({ target: "netns:a", addresses });
}

testOnSwitches("Attachments.reconcile() adopts after a restart without a single change", () => {
  const host = hostWith(A, B);
  attach(host, "10.2.1.1/24", "fd00::1/64");
  const [before, changes] = [host.snapshot(), host.kernel.changes];
  using attachments = host.start();
  assert.deepEqual(attachments.reconcile(), {
    adopted: ["netns:a"],
    restored: [],
    waiting: [],
    forgotten: [],
    failed: [],
    unknown: [],
  });
  assert.equal(host.kernel.changes, changes);
  assert.equal(host.snapshot(), before);
  assert.equal(attachments.list()[0]!.attached, true);
});

testOnSwitches("Attachments.reconcile() makes a missing interface again as it was", () => {
  const host = hostWith(A);
  attach(host, "10.2.1.1/24", "10.2.1.2/24");
  const before = host.kernel.snapshot();
  host.kernel.delete(host.kernel.link(A, "ethmesh")!);
  using attachments = host.start();
  assert.match(attachments.list()[0]!.problem!, /missing/);
  assert.deepEqual(attachments.reconcile().restored, ["netns:a"]);
  assert.equal(host.kernel.snapshot(), before);
  assert.equal(attachments.list()[0]!.problem, null);
});

testOnSwitches("Attachments.reconcile() repairs what was changed from outside", () => {
  const breaks: [string, (host: FakeHost) => void][] = [
    ["down inside", (host) => host.kernel.setUp(host.kernel.link(A, "ethmesh")!, false)],
    ["address gone", (host) => host.kernel.link(A, "ethmesh")!.addresses.pop()],
    ["route gone", (host) => host.kernel.link(A, "ethmesh")!.routes.pop()],
    ["host end down", (host) => host.kernel.setUp(host.kernel.link(A, "ethmesh")!.peer!, false)],
    ["not a port", (host) => host.kernel.ports.clear()],
    ["other MTU", (host) => host.kernel.link(A, "ethmesh")!.mtu = 1500],
    [
      "setting",
      (host) => host.kernel.link(A, "ethmesh")!.sysctls.set("net/ipv4/conf/IF/promote_secondaries", "0"),
    ],
  ];
  for (const [name, damage] of breaks) {
    const host = hostWith(A);
    attach(host, "10.2.1.1/24");
    const before = host.kernel.snapshot();
    damage(host);
    assert.notEqual(host.kernel.snapshot(), before);
    using attachments = host.start();
    assert.deepEqual(attachments.reconcile().restored, ["netns:a"], name);
    assert.equal(host.kernel.snapshot(), before, name);
    assert.deepEqual(attachments.reconcile().adopted, ["netns:a"], name);
  }
});

testOnSwitches("Attachments give a renamed host end its name back, and detach it whole", () => {
  const host = hostWith(A);
  const empty = host.kernel.snapshot();
  using attachments = host.start();
  attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24"] });
  const before = host.kernel.snapshot();
  const rename = () => {
    const end = host.kernel.link(A, "ethmesh")!.peer!;
    const { name } = end;
    end.name = "eth9";
    host.kernel.ports.clear();
    return name;
  };
  for (const only of [(name: string) => ({ hostEnds: [name], guests: [] }), () => undefined]) {
    const name = rename();
    assert.deepEqual(attachments.reconcile(only(name)).restored, ["netns:a"]);
    assert.equal(host.kernel.snapshot(), before);
  }
  rename();
  attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24"] });
  assert.equal(host.kernel.snapshot(), before);
  rename();
  attachments.detach({ target: "netns:a", addresses: [] });
  assert.equal(host.kernel.snapshot(), empty);
});

testOnSwitches("Attachments.reconcile() looks at those alone that it is told of", () => {
  const host = hostWith(A, B);
  using attachments = host.start();
  attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24"] });
  attachments.attach({ target: "netns:b", addresses: ["10.2.1.2/24"] });
  const [a, b] = [A, B].map((path) => host.kernel.link(path, "ethmesh")!);
  const before = host.kernel.snapshot();
  const addresses = a!.addresses.splice(0);
  const others = { hostEnds: [b!.peer!.name], guests: [b!.index] };
  assert.deepEqual([attachments.reconcile(others).restored, a!.addresses], [[], []]);
  assert.deepEqual(attachments.reconcile({ hostEnds: [], guests: [a!.index] }).restored, ["netns:a"]);
  assert.deepEqual(a!.addresses, addresses);
  assert.equal(host.kernel.snapshot(), before);
  host.kernel.setUp(a!.peer!, false);
  assert.deepEqual(attachments.reconcile({ hostEnds: [a!.peer!.name], guests: [] }).restored, ["netns:a"]);
});

testOnSwitches("Attachments.reconcile() forgets a path that leads nowhere, host end and all", () => {
  const host = hostWith(A);
  const empty = host.kernel.snapshot();
  using attachments = host.start();
  attachments.attach({ target: A, addresses: ["10.2.1.1/24"] });
  host.files.delete(A); // the name is gone, the namespace lives on
  assert.match(attachments.list()[0]!.problem!, /gone/);
  assert.deepEqual(attachments.reconcile().forgotten, [A]);
  assert.equal(host.kernel.snapshot(), empty);
  assert.deepEqual(host.store.list(""), []);
});

testOnSwitches("Attachments keeps a name without a namespace until there is one, across restarts", () => {
  const host = hostWith(A);
  attach(host, "10.2.1.1/24", "10.2.1.2/24");
  const mac = host.kernel.link(A, "ethmesh")!.mac;
  host.removeNamespace(A); // as by a restart of the host
  for (let start = 0; start < 2; start++) {
    using attachments = host.start();
    assert.deepEqual(attachments.reconcile().waiting, ["netns:a"]);
    assert.deepEqual(attachments.reconcile().waiting, ["netns:a"]);
    const [listed] = attachments.list();
    assert.equal(listed!.attached, false);
    assert.match(listed!.problem!, /no namespace of that name/);
    assert.equal(host.kernel.snapshot(), hostWith().kernel.snapshot());
  }
  host.namespace(A);
  using attachments = host.start();
  assert.deepEqual(attachments.reconcile().restored, ["netns:a"]);
  assert.deepEqual(host.kernel.link(A, "ethmesh")!.addresses, ["10.2.1.1/24", "10.2.1.2/24"]);
  assert.equal(host.kernel.link(A, "ethmesh")!.mac, mac);
});

testOnSwitches("Attachments.detach() takes addresses of a name that waits, and gives it up", () => {
  const host = hostWith(A);
  using attachments = host.start();
  attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24", "10.2.1.2/24"] });
  host.removeNamespace(A);
  attachments.reconcile();
  attachments.detach({ target: "netns:a", addresses: ["10.2.1.1/24"] });
  assert.deepEqual(attachments.list()[0]!.addresses, ["10.2.1.2/24"]);
  attachments.detach({ target: "netns:a", addresses: [] });
  assert.deepEqual(attachments.list(), []);
  assert.deepEqual(host.store.list(""), []);
});

testOnSwitches(
  "Attachments.reconcile() follows a name to its new namespace, but not a process number",
  () => {
    const host = hostWith(A, "/proc/77/ns/net");
    host.processes.set(77, "boot 1");
    using attachments = host.start();
    attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24"] });
    attachments.attach({ target: "pid:77", addresses: ["10.2.1.7/24"] });
    const mac = host.kernel.link(A, "ethmesh")!.mac;
    for (const path of [A, "/proc/77/ns/net"]) {
      host.removeNamespace(path);
      host.namespace(path);
    }
    host.processes.set(77, "boot 2");
    const done = attachments.reconcile();
    assert.deepEqual([done.restored, done.forgotten], [["netns:a"], ["pid:77"]]);
    assert.deepEqual(host.kernel.link(A, "ethmesh")!.addresses, ["10.2.1.1/24"]);
    assert.equal(host.kernel.link(A, "ethmesh")!.mac, mac);
    assert.equal(host.kernel.link("/proc/77/ns/net", "ethmesh"), undefined);
  },
);

testOnSwitches(
  "Attachments.attach() does not mistake a namespace for one that is gone and had its number",
  () => {
    const host = hostWith(A, B);
    using attachments = host.start();
    attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24"] });
    const identity = host.files.get(A)!;
    host.removeNamespace(A);
    host.files.set(B, identity); // the kernel reuses inode numbers
    const result = attachments.attach({ target: "netns:b", addresses: ["10.2.1.2/24"] });
    assert.deepEqual(result.attachment?.addresses, ["10.2.1.2/24"]);
    assert.deepEqual(attachments.list().map((a) => [a.target, a.attached]), [
      ["netns:a", false],
      ["netns:b", true],
    ]);
  },
);

testOnSwitches("Attachments.reconcile() reports what it cannot repair and goes on", () => {
  const host = hostWith(A, B);
  using attachments = host.start();
  attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24"] });
  attachments.attach({ target: "netns:b", addresses: ["10.2.1.2/24"] });
  for (const path of [A, B]) host.kernel.delete(host.kernel.link(path, "ethmesh")!);
  host.kernel.failAt = host.kernel.changes;
  const done = attachments.reconcile();
  assert.deepEqual(done.failed.map((f) => f.target), ["netns:a"]);
  assert.deepEqual(done.restored, ["netns:b"]);
  assert.match(attachments.list()[0]!.problem!, /failed to make interface/);
  assert.deepEqual(attachments.reconcile().restored, ["netns:a"]);
  assert.equal(attachments.list()[0]!.problem, null);
});

testOnSwitches("Attachments.removeAll() leaves nothing", () => {
  const host = hostWith(A, B);
  const empty = host.snapshot();
  using attachments = host.start();
  attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24"] });
  attachments.attach({ target: "netns:b", addresses: ["10.2.1.2/24"] });
  assert.deepEqual(attachments.removeAll(), ["netns:a", "netns:b"]);
  assert.equal(host.snapshot(), empty);
});

testOnSwitches("Attachments leaves a record alone that it cannot read", () => {
  const host = hostWith(A);
  host.store.put("attachment/0123456789", '{"version":9}');
  using attachments = host.start();
  assert.deepEqual(attachments.list(), []);
  assert.deepEqual(host.logged, ["attachment-unreadable attachment/0123456789"]);
  assert.equal(host.store.get("attachment/0123456789"), '{"version":9}');
});

const ID = "4f".repeat(32);
const CONTAINER = `container:${ID}`;

/** A host with an engine's container, and how that goes on. */
class Engine {
  readonly host = hostWith();
  #pid = 100;

  start(): void {
    const pid = ++this.#pid;
    this.host.namespace(this.path);
    this.host.containers.set(ID, { kind: "running", pid, name: "web" });
  }

  stop(): void {
    this.host.removeNamespace(this.path);
    this.host.containers.set(ID, { kind: "stopped", name: "web" });
  }

  get path(): string {
    return `/proc/${this.#pid}/ns/net`;
  }
}

testOnSwitches(
  "an attached container gets its interface, MAC and addresses back whenever it is started",
  () => {
    const engine = new Engine();
    const { host } = engine;
    engine.start();
    using attachments = host.start();
    attachments.attach({ target: CONTAINER, addresses: ["10.2.1.1/24"] });
    const first = attachments.list()[0]!;
    assert.equal(first.name, "web");
    assert.ok(first.attached);

    engine.stop();
    assert.deepEqual(attachments.reconcile().waiting, [CONTAINER]);
    assert.deepEqual(attachments.list().map(({ attached, problem }) => ({ attached, problem })), [
      { attached: false, problem: null },
    ]);
    assert.throws(
      () => attachments.attach({ target: CONTAINER, addresses: ["10.2.1.2/24"] }),
      /it does not run/,
    );

    engine.start();
    assert.deepEqual(attachments.reconcile().restored, [CONTAINER]);
    assert.deepEqual(attachments.list(), [first]);
    assert.ok(host.kernel.link(engine.path, "ethmesh"));

    host.removeNamespace(engine.path);
    host.containers.delete(ID);
    assert.deepEqual(attachments.reconcile().forgotten, [CONTAINER]);
    assert.deepEqual(attachments.targets(), []);
  },
);

testOnSwitches(
  "a container that was started again leaves nothing in a namespace that something else keeps alive",
  () => {
    const engine = new Engine();
    const { host } = engine;
    engine.start();
    using attachments = host.start();
    attachments.attach({ target: CONTAINER, addresses: ["10.2.1.1/24"] });
    const old = engine.path;
    engine.start(); // told of both at once
    assert.deepEqual(attachments.reconcile({ hostEnds: [], guests: [], targets: [CONTAINER] }).restored, [
      CONTAINER,
    ]);
    assert.equal(host.kernel.link(old, "ethmesh"), undefined);
    assert.ok(host.kernel.link(engine.path, "ethmesh"));
  },
);

testOnSwitches("while no engine answers, a container's attachment stays as it is", () => {
  const engine = new Engine();
  const { host } = engine;
  engine.start();
  {
    using attachments = host.start();
    attachments.attach({ target: CONTAINER, addresses: ["10.2.1.1/24", "10.2.1.2/24"] });
  }
  host.containers.set(ID, { kind: "unknown", name: undefined });
  const before = host.snapshot();
  using attachments = host.start();
  assert.deepEqual(attachments.reconcile().adopted, [CONTAINER]);
  assert.equal(host.snapshot(), before);
  assert.equal(attachments.list()[0]!.attached, true);
  assert.throws(
    () => attachments.detach({ target: CONTAINER, addresses: ["10.2.1.2/24"] }),
    /no container engine answers/,
  );
  assert.equal(host.snapshot(), before);
  attachments.detach({ target: CONTAINER, addresses: [] });
  assert.deepEqual(attachments.targets(), []);
  assert.equal(host.kernel.link(engine.path, "ethmesh"), undefined);
});
