import assert from "node:assert/strict";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { FakeHost, hostWith, OPTIONS, testOnSwitches } from "./fake_host.ts";

const A = "/run/netns/a";
const B = "/run/netns/b";

/** What `body` throws must be a MeshnetError of that code with a matching message and some hint. */
function refused(body: () => unknown, code: string, message: RegExp): void {
  assert.throws(body, (thrown) => {
    assert.ok(thrown instanceof MeshnetError, String(thrown));
    assert.equal(thrown.code, code);
    assert.match(thrown.message, message);
    assert.notEqual(thrown.hint, undefined);
    return true;
  });
}

testOnSwitches("Attachments.attach() makes a complete interface", () => {
  const host = hostWith(A);
  using attachments = host.start();
  const result = attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24", "ip:fd00::1/64"] });
  assert.deepEqual(result.addresses, ["10.2.1.1/24", "fd00::1/64"]);
  assert.deepEqual(result.warnings, []);
  assert.equal(result.attachment?.attached, true);
  const guest = host.kernel.link(A, "ethmesh")!;
  const end = host.kernel.link("", result.attachment.hostInterface)!;
  assert.match(end.name, /^vmn[0-9a-f]{10}$/);
  assert.equal(guest.peer, end);
  assert.ok(guest.up && end.up && host.kernel.ports.has(end.name));
  assert.deepEqual([guest.mtu, end.mtu], [1376, 1376]);
  assert.deepEqual(guest.addresses, ["10.2.1.1/24", "fd00::1/64"]);
  assert.deepEqual(guest.routes, ["224.0.0.0/4", "169.254.53.53/32"]);
  assert.deepEqual(guest.neighbours, ["169.254.53.53 02:6d:65:73:68:35"]);
  assert.equal(guest.mac, result.attachment.mac);
  assert.equal(parseInt(guest.mac.slice(0, 2), 16) & 3, 2);
  assert.deepEqual(host.kernel.announced, Array(3).fill(`${A} ethmesh`)); // IPv4 also to the name server
  assert.equal(guest.sysctls.get("net/ipv6/conf/IF/accept_ra"), "0");
  assert.equal(guest.sysctls.get("net/ipv4/neigh/IF/base_reachable_time_ms"), "5000");
  assert.equal(end.sysctls.get("net/ipv6/conf/IF/disable_ipv6"), "1");
  assert.equal(host.kernel.sockets, 1); // the target's namespace is not held
});

testOnSwitches("Attachments.attach() asked again changes nothing", () => {
  const host = hostWith(A);
  using attachments = host.start();
  attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24"] });
  const [before, changes] = [host.snapshot(), host.kernel.changes];
  const again = attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24", "10.2.1.1/24"] });
  assert.deepEqual(again.addresses, []);
  assert.equal(host.snapshot(), before);
  assert.equal(host.kernel.changes, changes);
});

testOnSwitches("Attachments.attach() announces again later what is attached then", () => {
  const host = hostWith(A, B);
  using attachments = host.start();
  attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24", "10.2.1.2/24"] });
  attachments.attach({ target: "netns:b", addresses: ["10.2.1.9/24"] });
  assert.deepEqual(host.pending.map(({ ms }) => ms), [200, 1000, 200, 1000]);
  attachments.detach({ target: "netns:a", addresses: ["10.2.1.1/24"] });
  host.removeNamespace(B);
  host.kernel.announced.length = 0;
  for (const { work } of host.pending) work();
  // Of each address everybody is told, and the name server.
  assert.deepEqual(host.kernel.announced, Array(4).fill(`${A} ethmesh`));
  host.start()[Symbol.dispose]();
  attachments[Symbol.dispose]();
  for (const { work } of host.pending) work(); // after the end: nothing
  assert.equal(host.kernel.announced.length, 4);
});

testOnSwitches("Attachments.attach() adds addresses, also by another name of the namespace", () => {
  const host = new FakeHost();
  host.namespace(A, "/proc/77/ns/net");
  host.processes.set(77, "boot 1");
  using attachments = host.start();
  attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24"] });
  const more = attachments.attach({ target: "pid:77", addresses: ["10.2.1.2/24", "10.3.0.1/16"] });
  assert.deepEqual(more.attachment?.addresses, ["10.2.1.1/24", "10.2.1.2/24", "10.3.0.1/16"]);
  assert.equal(more.attachment.target, "netns:a");
  assert.equal(attachments.list().length, 1);
  assert.deepEqual(host.kernel.link(A, "ethmesh")!.addresses, ["10.2.1.1/24", "10.2.1.2/24", "10.3.0.1/16"]);
});

testOnSwitches("Attachments.attach() by another name keeps what the attachment was made for", () => {
  for (const [first, second] of [["netns:a", "pid:7"], ["pid:7", "netns:a"]] as const) {
    const host = new FakeHost();
    host.namespace(A, "/proc/7/ns/net");
    host.processes.set(7, "boot 7");
    using attachments = host.start();
    attachments.attach({ target: first, addresses: ["10.2.1.1/24", "10.2.1.3/24"] });
    attachments.attach({ target: second, addresses: ["10.2.1.2/24"] });
    attachments.detach({ target: second, addresses: ["10.2.1.3/24"] });
    assert.deepEqual(attachments.list().map((a) => [a.target, a.problem]), [[first, null]]);
    assert.deepEqual(attachments.reconcile().adopted, [first]);
    attachments.detach({ target: second, addresses: [] });
    assert.deepEqual(attachments.list(), []);
  }
});

testOnSwitches("Attachments.attach() failing at any change leaves everything as it was", () => {
  const starts: [string, (host: FakeHost) => void, string[]][] = [
    ["first attach", () => {}, ["10.2.1.1/24", "10.2.1.2/24", "fd00::1/64"]],
    ["more addresses", (host) => attach(host, "10.2.1.1/24"), ["10.2.1.2/24", "10.3.0.1/16"]],
    ["repair and more", (host) => {
      attach(host, "10.2.1.1/24");
      const guest = host.kernel.link(A, "ethmesh")!;
      host.kernel.setUp(guest, false);
      guest.mtu = 1400;
      host.kernel.setUp(guest.peer!, false);
      host.kernel.ports.clear();
      guest.sysctls.set("net/ipv6/conf/IF/accept_ra", "1");
    }, ["10.2.1.2/24"]],
  ];
  for (const [name, prepare, addresses] of starts) {
    let failures = 0;
    for (let step = 0;; step++) {
      const host = hostWith(A, B);
      prepare(host);
      using attachments = host.start();
      const before = host.snapshot();
      host.kernel.failAt = host.kernel.changes + step;
      try {
        const { warnings } = attachments.attach({ target: "netns:a", addresses });
        if (host.kernel.changes <= host.kernel.failAt) break; // more steps than there are
        assert.equal(warnings.length, 1, `${name}, change ${step}`); // an optional one failed
      } catch (thrown) {
        failures++;
        assert.ok(thrown instanceof MeshnetError && thrown.code === "attach/failed", String(thrown));
        assert.match(thrown.message, /^Cannot attach netns:a: failed to .+: Kernel refuses/);
        // A setting that was put right before another step failed is put back as well.
        assert.equal(host.snapshot(), before, `${name}, change ${step}: ${thrown.message}`);
      }
      assert.equal(host.kernel.sockets, 1);
    }
    assert.ok(failures >= 2, `${name}: ${failures} failures`);
  }
});

testOnSwitches("Attachments.detach() changes nothing when the store or the kernel refuses", () => {
  for (const addresses of [[], ["10.2.1.2/24"]]) {
    const host = hostWith(A, B);
    attach(host, "10.2.1.1/24", "10.2.1.2/24");
    using attachments = host.start();
    const before = host.snapshot();
    const listed = JSON.stringify(attachments.list());
    const { changes } = host.kernel;
    host.store.fails = new Error("the disk is full");
    assert.throws(() => attachments.detach({ target: "netns:a", addresses }), /the disk is full/);
    assert.deepEqual([host.snapshot(), host.kernel.changes], [before, changes]);
    host.store.fails = undefined;
    host.kernel.failAt = changes;
    assert.throws(() => attachments.detach({ target: "netns:a", addresses }), { code: "attach/failed" });
    assert.deepEqual([host.snapshot(), JSON.stringify(attachments.list())], [before, listed]);
    host.kernel.failAt = Infinity;
    attachments.detach({ target: "netns:a", addresses });
    assert.equal(attachments.list().length, addresses.length);
  }
});

testOnSwitches("Attachments.attach() that fails is forgotten here, also where the store refuses that", () => {
  const host = hostWith(A);
  using attachments = host.start();
  host.kernel.failAt = host.kernel.changes;
  host.kernel.onFailure = () => host.store.fails = new Error("the disk is full");
  assert.throws(() => attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24"] }), {
    code: "attach/failed",
  });
  assert.deepEqual(attachments.list(), []);
  assert.ok(host.logged.some((line) => line.includes("attachment-not-remembered")), host.logged.join(" "));
});

function attach(host: FakeHost, ...addresses: readonly string[]): void {
  using attachments = host.start();
  attachments.attach({ target: "netns:a", addresses });
}

testOnSwitches("Attachments.attach() removes what a crash left half done", () => {
  const host = hostWith(A);
  attach(host, "10.2.1.1/24");
  const end = host.kernel.link(A, "ethmesh")!.peer!.name;
  host.kernel.link(A, "ethmesh")!.name = end.replace("vmn", "vmt"); // not yet renamed
  using attachments = host.start();
  assert.deepEqual(attachments.reconcile().restored, ["netns:a"]);
  assert.equal(host.kernel.link(A, "ethmesh")!.peer!.name, end);
  assert.equal(host.kernel.link(A, end.replace("vmn", "vmt")), undefined);
});

testOnSwitches("Attachments.attach() refuses what cannot work, and changes nothing", () => {
  const host = hostWith(A, B);
  host.files.set("/proc/1/ns/net", host.own);
  host.files.set("/etc/passwd", { device: 9, inode: 9 });
  host.kernel.add(A, "eth0").addresses.push("172.17.0.2/16");
  host.kernel.link(A, "eth0")!.routes.push("172.17.0.0/16", "0.0.0.0/0 via");
  host.processes.set(1, "boot 1");
  using attachments = host.start();
  attachments.attach({ target: "netns:b", addresses: ["10.2.1.2/24"] });
  host.kernel.add(A, "ethwe", "dummy");
  const before = host.snapshot();
  const cases: [string, string[], string, RegExp][] = [
    ["netns:c", ["10.2.1.1/24"], "attach/bad-target", /no \/run\/netns\/c$/],
    ["web", ["10.2.1.1/24"], "usage/bad-target", /neither a namespace nor a container/],
    ["pid:1", ["10.2.1.1/24"], "attach/bad-target", /host's own/],
    ["pid:2", ["10.2.1.1/24"], "attach/bad-target", /does not run/],
    ["/etc/passwd", ["10.2.1.1/24"], "attach/bad-target", /not a network namespace/],
    ["netns:a", [], "attach/no-address", /without an address/],
    ["netns:a", ["net:default"], "usage/bad-address", /not an IP address/],
    ["netns:a", ["10.2.1.0/24"], "usage/bad-address", /the network itself/],
    ["netns:a", ["10.2.1.2/24"], "attach/bad-address", /attached to netns:b here/],
    ["netns:a", ["10.2.1.1/24", "10.2.1.1/16"], "usage/bad-address", /given as 10.2.1.1\/24/],
    ["netns:b", ["10.2.1.2/16"], "attach/bad-address", /attached as 10.2.1.2\/24/],
    ["netns:a", ["172.17.0.2/24"], "attach/bad-address", /eth0 has the address 172.17.0.2\/16/],
    ["netns:a", ["172.17.1.1/24"], "attach/bad-address", /overlaps 172.17.0.0\/16 on interface eth0/],
  ];
  for (const [target, addresses, code, message] of cases) {
    refused(() => attachments.attach({ target, addresses }), code, message);
  }
  using weave = host.start({ ...OPTIONS, interface: "ethwe" });
  refused(
    () => weave.attach({ target: "netns:a", addresses: ["10.2.1.1/24"] }),
    "attach/failed",
    /somebody else made the interface ethwe/,
  );
  assert.equal(host.snapshot(), before);
});

testOnSwitches("Attachments.attach() takes over an interface of ours that no record knows", () => {
  const host = hostWith(A);
  attach(host, "10.2.1.1/24");
  host.store.records.clear();
  using attachments = host.start();
  const end = host.kernel.link(A, "ethmesh")!.peer!.name;
  assert.deepEqual(attachments.reconcile().unknown, [end]);
  attachments.reconcile();
  assert.deepEqual(host.logged.filter((line) => /no record/.test(line)).length, 1);
  assert.deepEqual(attachments.unknown(), [end]);
  const result = attachments.attach({ target: "netns:a", addresses: ["10.2.1.2/24"] });
  assert.equal(result.attachment?.hostInterface, end);
  assert.deepEqual(result.attachment.addresses, ["10.2.1.1/24", "10.2.1.2/24"]);
  assert.deepEqual(attachments.unknown(), []);
});

testOnSwitches("Attachments.detach() removes addresses, and with the last one the interface", () => {
  const host = hostWith(A);
  const empty = host.snapshot();
  using attachments = host.start();
  attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24", "10.2.1.2/24", "10.3.0.1/16"] });
  const first = attachments.detach({ target: "netns:a", addresses: ["ip:10.2.1.1/24"] });
  assert.deepEqual(first.addresses, ["10.2.1.1/24"]);
  assert.deepEqual(first.attachment?.addresses, ["10.2.1.2/24", "10.3.0.1/16"]);
  assert.deepEqual(host.kernel.link(A, "ethmesh")!.addresses, ["10.2.1.2/24", "10.3.0.1/16"]);
  refused(
    () => attachments.detach({ target: "netns:a", addresses: ["10.2.1.1/24"] }),
    "attach/not-attached",
    /does not have it/,
  );
  const last = attachments.detach({ target: "netns:a", addresses: [] });
  assert.equal(last.attachment, null);
  assert.equal(host.snapshot(), empty);
  refused(
    () => attachments.detach({ target: "netns:a", addresses: [] }),
    "attach/not-attached",
    /is not attached/,
  );
});

testOnSwitches("Attachments leaves an interface alone that took the place of ours", () => {
  const host = hostWith(A);
  using attachments = host.start();
  attachments.attach({ target: "netns:a", addresses: ["10.2.1.1/24", "10.2.1.2/24"] });
  host.kernel.delete(host.kernel.link(A, "ethmesh")!);
  host.kernel.add(A, "ethmesh", "macvlan").addresses.push("10.2.1.1/24");
  const before = host.snapshot();
  const message = /somebody else made the interface ethmesh/;
  refused(
    () => attachments.attach({ target: "netns:a", addresses: ["10.2.1.3/24"] }),
    "attach/failed",
    message,
  );
  refused(
    () => attachments.detach({ target: "netns:a", addresses: ["10.2.1.1/24"] }),
    "attach/failed",
    message,
  );
  assert.match(attachments.reconcile().failed[0]!.reason, message);
  assert.equal(host.snapshot(), before);
  attachments.detach({ target: "netns:a", addresses: [] });
  assert.equal(host.kernel.link(A, "ethmesh")?.kind, "macvlan");
});

testOnSwitches("Attachments.detach() failing at any change leaves everything as it was", () => {
  for (const addresses of [["10.2.1.1/24", "10.2.1.2/24"], []]) {
    for (let step = 0; step < 2; step++) {
      const host = hostWith(A);
      attach(host, "10.2.1.1/24", "10.2.1.2/24", "10.2.1.3/24");
      using attachments = host.start();
      const before = host.snapshot();
      host.kernel.failAt = host.kernel.changes + step;
      refused(
        () => attachments.detach({ target: "netns:a", addresses }),
        "attach/failed",
        /^Cannot detach netns:a: failed/,
      );
      assert.equal(host.snapshot(), before);
    }
  }
});
