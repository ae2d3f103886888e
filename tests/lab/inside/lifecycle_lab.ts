/** attach, detach, down and reset as commands where the kernel has a datapath, and what is left afterwards. What they say
 * of wrong ones is the same everywhere: ../host/lifecycle_test.ts. */
import assert from "node:assert/strict";
import { hosts, mesh } from "../common/arrangements.ts";
import { listDatapaths } from "../common/kernel_flows.ts";
import { assertClean, resetAfterKill } from "../common/everyday.ts";
import { links } from "../common/links.ts";
import { exec } from "../common/process.ts";
import { suite } from "../common/suite.ts";

export default suite({ name: "commands", open: () => hosts(2), prepare: mesh }, {
  "attach gives addresses, detach takes them, as often as one likes": async (world) => {
    const host = world.host(1);
    const [fresh] = await world.addContainers(1);
    const target = `netns:${fresh!.netns}`;
    await host.run("attach", "10.2.1.30/24", "10.9.0.1/16", target);
    await host.run("attach", "10.2.1.30/24", target);
    assert.deepEqual(await addresses(fresh!.netns), ["10.2.1.30/24", "10.9.0.1/16"]);
    await fresh!.mustPing("10.2.1.2", "-c", "2", "-i", "0.1", "-W", "3");
    await host.run("detach", "10.9.0.1/16", target);
    assert.deepEqual(await addresses(fresh!.netns), ["10.2.1.30/24"]);
    await host.run("detach", target);
    assert.deepEqual((await links(fresh!.netns)).map((link) => link.ifname), ["lo"]);
    const again = await host.attempt("detach", target);
    assert.notEqual(again.code, 2, again.stderr);
    await host.run("attach", "ip:10.2.1.30/24", target);
    await fresh!.mustPing("10.2.1.2", "-c", "2", "-i", "0.1", "-W", "3");
    await host.run("detach", target);
  },
  "traffic goes on after down; commands end with 3 and say how to start it": async (world) => {
    const host = world.host(1);
    await world.container(1).mustPing("10.2.1.2", "-c", "2", "-i", "0.1", "-W", "3");
    await host.run("down");
    await host.daemon.ended();
    await world.container(1).mustPing("10.2.1.2", "-c", "10", "-i", "0.1", "-W", "3");
    const { code, stderr } = await host.attempt("status");
    assert.equal(code, 3);
    assert.match(stderr, /meshnet up/);
    await host.up();
  },
  "reset leaves nothing": async (world) => {
    for (const [i, host] of world.hosts.entries()) {
      await host.run("reset");
      await host.daemon.ended();
      await assertClean(host);
      assert.deepEqual(await listDatapaths(host.netns), []);
      assert.deepEqual((await links(world.container(i + 1).netns)).map((link) => link.ifname), ["lo"]);
      const routes = await exec(["ip", "route", "show", "table", "all", "dev", "eth0"], {
        netns: host.netns,
      });
      assert.ok(!routes.includes("224."), routes);
    }
  },
  "reset without a daemon removes what it left": async (world) => {
    await resetAfterKill(world.host(1), world.container(1));
    assert.deepEqual(await listDatapaths(world.host(1).netns), []);
  },
});

async function addresses(netns: string): Promise<readonly string[]> {
  const text = await exec(["ip", "-j", "-4", "addr", "show", "dev", "ethmesh"], { netns });
  const [link] = JSON.parse(text) as { addr_info: { local: string; prefixlen: number }[] }[];
  return link!.addr_info.map((info) => `${info.local}/${info.prefixlen}`).toSorted();
}
