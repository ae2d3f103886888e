import assert from "node:assert/strict";
import type { Mac } from "../../../../mod/core/addr.ts";
import { ERRNO } from "../../../../mod/core/errno.ts";
import { EbpfSwitch, leaveEbpf } from "../../../../mod/datapath/ebpf/switch_shell.ts";
import { SILENT } from "../link_notices.ts";
import { FakeMachine } from "./fake_machine.ts";
import { FakeRoute } from "./fake_route.ts";

const BRIDGE = 1;
const TAP = 2;
const PORT = 3;

/** A host with a bridge, a TAP, and a container's port. */
function host({ bridge = true } = {}) {
  const machine = new FakeMachine();
  const route = new FakeRoute();
  if (bridge) route.add({ index: BRIDGE, name: "meshnet", kind: "bridge" });
  route.add({ index: TAP, name: "mesh-tap", kind: "tun" });
  const port = route.add({ index: PORT, name: "vmn1", kind: "veth", master: BRIDGE });
  const leg = { keep: () => false };
  const open = () =>
    EbpfSwitch.open({
      machine,
      route: route.socket(),
      bridge: { name: "meshnet", tap: "mesh-tap", mtu: 1_500, mac: 2 as Mac, leg, quiet() {} },
      legOpen: () => true,
      leaveOther() {},
      log: SILENT,
    });
  return { machine, route, port, open };
}

/** Opens it, and has everything as it is to be. */
function run(open: () => EbpfSwitch): EbpfSwitch {
  const one = open();
  one.keepBase();
  for (const port of one.ports()) one.keepPort(port);
  return one;
}

/** The maps that the program at a place uses. */
function mapsAt({ machine, route }: { machine: FakeMachine; route: FakeRoute }, place: string) {
  const { program } = route.filters.get(place)!;
  return machine.programs.find(({ id }) => id === program)!.maps.toSorted();
}

Deno.test("the next process leaves programs at ports and leg as they are", () => {
  const { open, route } = host();
  run(open);
  const before = new Map(route.filters);
  run(open);
  for (const place of [`${PORT} in`, `${BRIDGE} out`]) {
    assert.deepEqual(route.filters.get(place), before.get(place));
  }
});

for (const left of [`${PORT} in`, `${BRIDGE} out`]) {
  Deno.test(`all programs have the same maps also where only the filter at ${left} was left`, () => {
    const it = host();
    run(it.open);
    const before = mapsAt(it, left);
    for (const place of [...it.route.filters.keys()]) if (place !== left) it.route.filters.delete(place);
    run(it.open);
    assert.equal(it.route.filters.size, 3);
    for (const place of [PORT, BRIDGE].flatMap((index) => [`${index} in`, `${index} out`])) {
      if (it.route.filters.has(place)) assert.deepEqual(mapsAt(it, place), before, place);
    }
    // The TAP's program, which is loaded at each start, has no use for all of them.
    for (const place of it.route.filters.keys()) {
      assert.ok(mapsAt(it, place).every((id) => before.includes(id)), place);
    }
  });
}

Deno.test("a port that was off the bridge at the start has the program of those maps that are in use", () => {
  const it = host();
  run(it.open);
  it.port.master = undefined;
  it.route.filters.delete(`${BRIDGE} out`);
  const next = run(it.open); // finds nothing, and makes new maps
  it.port.master = BRIDGE;
  next.keepPort(next.port(PORT)!);
  assert.deepEqual(mapsAt(it, `${PORT} in`), mapsAt(it, `${BRIDGE} out`));
  assert.equal(it.route.filters.get(`${PORT} in`)!.program, next.loaded.programs.local.id);
});

Deno.test("programs whose maps are not those in use are not taken", () => {
  const it = host();
  run(it.open);
  const old = it.route.filters.get(`${PORT} in`)!;
  const tunnel = it.route.add({ index: 4, name: "vxlan-6784", kind: "vxlan", master: BRIDGE, udpPort: 6784 });
  it.route.filters.clear();
  run(it.open); // other maps
  it.route.filters.set(`${PORT} in`, old);
  run(it.open);
  // Those of tunnels have one more: the numbers of IPv6 addresses.
  const maps = mapsAt(it, `${tunnel.index} in`);
  for (const place of it.route.filters.keys()) {
    const others = mapsAt(it, place).filter((id) => !maps.includes(id));
    assert.deepEqual(others, [], place);
  }
});

Deno.test("VXLAN interfaces that hang on another switch are left alone, whatever they are called", () => {
  const { open, route } = host();
  route.add({ index: 9, name: "ovs-system", kind: "openvswitch" });
  route.add({ index: 10, name: "vxlan-6784", kind: "vxlan", master: 9, udpPort: 6784 });
  route.add({ index: 11, name: "vxlan-6785", kind: "vxlan", udpPort: 6785 });
  const one = run(open);
  assert.deepEqual(one.ports().filter(({ kind }) => kind === "tunnel").map(({ name }) => name), [
    "vxlan-6785",
  ]);
  const refused = one.ensureTunnel(6784);
  assert.match(refused.kind === "failed" ? refused.reason : "", /another interface of that name/);
  assert.equal(route.links.find(({ index }) => index === 10)?.master, 9);
  assert.equal(one.ensureTunnel(6786).kind, "ready");
});

Deno.test("a kernel that refuses programs leaves the host as it was, and nothing open", () => {
  const { machine, open, route } = host({ bridge: false });
  machine.loadClassifier = () => {
    throw new Error("refused");
  };
  assert.throws(open, /refused/);
  assert.deepEqual([route.changes, route.open], [[], 0]);
  assert.ok(machine.maps.every(({ disposed }) => disposed === 1));
});

Deno.test("an interface that was a port keeps no program of ours, and those of others", () => {
  const { open, route } = host();
  const one = run(open);
  const port = one.port(PORT)!;
  one.leave(port);
  assert.equal(route.filters.has(`${PORT} in`), false);
  route.filters.set(`${PORT} in`, { name: "somebody's", program: 5 });
  one.leave(port);
  assert.equal(route.filters.has(`${PORT} in`), true);
});

for (const errno of [ERRNO.EOPNOTSUPP, ERRNO.ENOENT, ERRNO.EINVAL]) {
  Deno.test(`a bridge has no programs of ours where the kernel knows no filters (error ${errno})`, () => {
    const { route } = host();
    route.noFilters = errno;
    assert.equal(leaveEbpf(route.socket(), "meshnet"), false);
  });
}
