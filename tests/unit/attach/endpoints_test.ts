/** Interfaces that an engine moves into its containers itself. */
import assert from "node:assert/strict";
import { EndpointMender, EngineEndpoints } from "../../../mod/attach/mod.ts";
import {
  endpointInterfaces,
  isEndpointInterface,
  isHostInterface,
  macOf,
} from "../../../mod/attach/names.ts";
import { formatMac, isGroupMac, parseCidr } from "../../../mod/core/addr.ts";
import { hostWith, testOnSwitches } from "./fake_host.ts";

function endpointsOf(host: ReturnType<typeof hostWith>) {
  const { later, log, openRoute, ports, sysctl } = host.adapters();
  return new EngineEndpoints({ host: openRoute(undefined), later, log, ports, sysctl, mtu: 1376 });
}

testOnSwitches("EngineEndpoints makes a pair on the host, keeps it connected, and removes it", () => {
  const host = hostWith();
  const before = host.kernel.snapshot();
  const endpoints = endpointsOf(host);
  const { guest, outer } = endpointInterfaces("e1");
  assert.equal(endpoints.make("e1"), guest);
  const made = host.kernel.snapshot();
  assert.ok(host.kernel.link("", outer)!.up);
  assert.ok(!host.kernel.link("", guest)!.up); // Docker sets it up, inside
  assert.equal(endpoints.make("e1"), guest); // asked again
  assert.equal(host.kernel.snapshot(), made);
  host.adapters().ports.remove(outer);
  endpointsOf(host).keep(); // another run
  assert.equal(host.kernel.snapshot(), made);
  endpoints.remove("e1");
  endpoints.remove("e1");
  assert.equal(host.kernel.snapshot(), before);
});

testOnSwitches(
  "EngineEndpoints.keep() passes over one that cannot be connected, and raises what is down",
  () => {
    const host = hostWith();
    const { later, log, openRoute, ports, sysctl } = host.adapters();
    const around = { host: openRoute(undefined), later, log, sysctl, mtu: 1376 };
    new EngineEndpoints({ ...around, ports }).make("e1");
    new EngineEndpoints({ ...around, ports }).make("e2");
    const [bad, good] = ["e1", "e2"].map((one) => endpointInterfaces(one).outer);
    host.kernel.link("", good!)!.up = false;
    const refusing = {
      ...{ remove: ports.remove.bind(ports), has: (name: string) => name !== bad && ports.has(name) },
      add(name: string) {
        if (name === bad) throw new Error("it is a port of another switch");
        ports.add(name);
      },
    };
    new EngineEndpoints({ ...around, ports: { ...ports, ...refusing } }).keep();
    assert.ok(host.kernel.link("", good!)!.up);
    assert.match(host.logged.join(), /endpoint-not-connected/);
  },
);

testOnSwitches(
  "EngineEndpoints.removeSoon() removes one after the other, later; until then they count as gone",
  () => {
    const host = hostWith();
    const before = host.kernel.snapshot();
    const endpoints = endpointsOf(host);
    const work = () => host.pending.splice(0).forEach(({ work }) => work());
    for (const one of ["e1", "e2"]) {
      endpoints.make(one);
      endpoints.removeSoon(one);
    }
    const [first, second] = ["e1", "e2"].map((one) => endpointInterfaces(one).outer);
    assert.ok(host.kernel.link("", first!), "whoever asked does not wait for it");
    assert.deepEqual([endpoints.has("e1"), endpoints.look()("e2"), endpoints.any], [false, false, false]);
    host.kernel.link("", first!)!.up = false;
    endpoints.keep();
    assert.ok(!host.kernel.link("", first!)!.up, "nothing is mended any more");
    work();
    assert.deepEqual([host.kernel.link("", first!), host.kernel.link("", second!)?.name], [
      undefined,
      second,
    ]);
    endpoints.make("e2"); // the engine starts it again
    work();
    assert.ok(endpoints.has("e2"));
    endpoints.removeSoon("e2");
    host.kernel.delete(host.kernel.link("", second!)!); // it goes with its container, before its turn
    endpoints.make("e2");
    work();
    assert.ok(endpoints.has("e2"));
    endpoints.removeSoon("e2");
    endpoints[Symbol.dispose]();
    assert.equal(host.kernel.snapshot(), before);
  },
);

testOnSwitches("an engine's endpoint is no attachment that nobody knows", () => {
  const host = hostWith();
  endpointsOf(host).make("e1");
  using attachments = host.start();
  assert.deepEqual(attachments.reconcile().unknown, []);
});

Deno.test("names of endpoints fit the kernel, and their MAC addresses are their own", () => {
  const { guest, outer } = endpointInterfaces("f".repeat(64));
  assert.ok(
    guest.length <= 15 && isHostInterface(outer) && isEndpointInterface(outer) && !isHostInterface(guest),
  );
  const mac = macOf("02:00:00:00:50:01 10.32.0.1");
  assert.equal(mac, macOf("02:00:00:00:50:01 10.32.0.1"));
  assert.notEqual(mac, macOf("02:00:00:00:50:02 10.32.0.1"));
  assert.ok(formatMac(mac).startsWith("6e:") && !isGroupMac(mac));
});

testOnSwitches(
  "EndpointMender makes a pair again inside a container, and leaves nothing when that fails",
  () => {
    const host = hostWith("/ns/web");
    host.kernel.add("/ns/web", "ethmesh0", "dummy"); // of another network of ours
    const adapters = host.adapters();
    const mender = new EndpointMender(adapters, adapters.openRoute(undefined), {
      mtu: 1376,
      prefix: "ethmesh",
    });
    const lost = { endpoint: "e1", path: "/ns/web", address: parseCidr("10.32.0.1/12")!, mac: macOf("web") };
    const before = host.kernel.snapshot();
    const { outer } = endpointInterfaces("e1");
    const refusing = {
      ...adapters,
      ports: {
        has: () => false,
        remove() {},
        add: () => assert.fail("no switch"),
      },
    };
    const unable = new EndpointMender(refusing, adapters.openRoute(undefined), mender.options);
    assert.throws(() => unable.mend(lost), /Cannot give its interface back: .*no switch/);
    assert.equal(host.kernel.snapshot(), before);

    mender.mend(lost);
    assert(endpointsOf(host).has("e1"));
    assert(host.kernel.link("", outer)!.up);
    const inside = host.kernel.link("/ns/web", "ethmesh1")!;
    assert(inside.up);
    assert.equal(inside.mac, formatMac(lost.mac));
    endpointsOf(host).remove("e1");
    assert.equal(host.kernel.snapshot(), before);
  },
);

testOnSwitches("EndpointMender gives no container an address that another interface of it has", () => {
  const host = hostWith("/ns/web");
  const adapters = host.adapters();
  const mender = new EndpointMender(adapters, adapters.openRoute(undefined), {
    mtu: 1376,
    prefix: "ethmesh",
  });
  const lost = { endpoint: "e1", path: "/ns/web", address: parseCidr("10.32.0.1/12")!, mac: undefined };
  mender.mend(lost);
  assert.throws(() => mender.mend({ ...lost, endpoint: "e2" }), /ethmesh0 has its address/);
});
