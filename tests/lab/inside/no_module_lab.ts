/** A host whose kernel lacks Open vSwitch. This suite must run before any other loads the module. */
import assert from "node:assert/strict";
import { type Link, links } from "../common/links.ts";
import { suite } from "../common/suite.ts";
import { World } from "../common/world.ts";

export default suite({
  name: "host without openvswitch",
  open: () => World.create({ hosts: 1, openvswitch: false }),
}, {
  "up --datapath ovs names the module and the fix, ends with 1 and changes nothing": async (world) => {
    const host = world.host(1);
    const before = await links(host.netns);
    const { code, stderr } = await host.attempt("up", "--datapath", "ovs");
    assert.equal(code, 1, stderr);
    assert.match(stderr, /openvswitch/);
    assert.match(stderr, /modprobe openvswitch/);
    const named = (all: readonly Link[]) => all.map(({ address, ifname, mtu }) => ({ address, ifname, mtu }));
    assert.deepEqual(named(await links(host.netns)), named(before));
    assert.throws(() => Deno.statSync(`${host.runDir}/control.sock`));
  },
  "up takes the bridge by itself, and says why": async (world) => {
    const host = world.host(1);
    await host.up();
    const { datapath } = await host.status();
    assert.equal(datapath.kind, "bridge");
    assert.match(datapath.noFastdp ?? "", /no Open vSwitch/);
    await host.run("reset");
    await host.daemon.ended();
  },
});
