/** attach, detach, down and reset as commands; and what is left afterwards. */
import assert from "node:assert/strict";
import { hosts, mesh } from "../common/arrangements.ts";
import { listDatapaths } from "../common/kernel_flows.ts";
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
  "attach without an address says that one is needed, and leaves nothing": async (world) => {
    const [fresh] = await world.addContainers(1);
    const { code, stderr } = await world.host(1).attempt("attach", `netns:${fresh!.netns}`);
    assert.ok(code === 1 || code === 2, `exit code is ${code}`);
    assert.match(stderr, /CIDR|address/i);
    assert.deepEqual((await links(fresh!.netns)).map((link) => link.ifname), ["lo"]);
  },
  "attach by process id works": async (world) => {
    const [fresh] = await world.addContainers(1);
    await using sleeper = fresh!.background("sleep", "100");
    await world.host(1).run("attach", "10.2.1.31/24", `pid:${sleeper.pid}`);
    await fresh!.mustPing("10.2.1.2", "-c", "2", "-i", "0.1", "-W", "3");
    await world.host(1).run("detach", `pid:${sleeper.pid}`);
  },
  "attach to a namespace that is not there fails and says so": async (world) => {
    const { code, stderr } = await world.host(1).attempt("attach", "10.2.1.32/24", "netns:nowhere");
    assert.equal(code, 1);
    assert.match(stderr, /nowhere/);
  },
  "status tells people and programs the same": async (world) => {
    const host = world.host(1);
    const status = JSON.parse(await host.run("status", "--json"));
    const keys = ["name", "nickname", "version", "uid", "protocol", "encryption", "peerDiscovery", "targets"];
    for (const key of [...keys, "connections", "peers", "datapath"]) {
      assert.ok(key in status, `${key} is missing`);
    }
    const [connection] = status.connections;
    for (
      const key of [
        "peer",
        "nickname",
        "address",
        "outbound",
        "state",
        "info",
        "overlay",
        "mtu",
        "encrypted",
        "rttMs",
      ]
    ) {
      assert.ok(key in connection, `${key} of a connection is missing`);
    }
    assert.equal(connection.state, "established");
    assert.equal(connection.overlay, "fastdp");
    assert.equal(connection.nickname, world.host(2).netns);
    for (const peer of status.peers) {
      for (const key of ["name", "nickname", "uid", "shortId", "version", "connections"]) {
        assert.ok(key in peer, key);
      }
    }
    for (const key of ["kind", "mtu", "ports", "flows"]) assert.ok(key in status.datapath, key);
    assert.equal(status.datapath.kind, "ovs");
    const text = await host.run("status");
    for (const word of [status.name, host.netns, "established"]) assert.ok(text.includes(word), text);
    assert.match(
      await host.run("status", "connections"),
      new RegExp(`${world.host(2).netns}.*fastdp|fastdp.*`),
    );
  },
  "a second daemon on the same host is refused": async (world) => {
    const { code, stderr } = await world.host(1).attempt("up");
    assert.equal(code, 1, stderr);
    assert.match(stderr, /another router/);
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
      assert.deepEqual((await links(host.netns)).map((link) => link.ifname).toSorted(), ["eth0", "lo"]);
      assert.deepEqual(await listDatapaths(host.netns), []);
      assert.deepEqual((await links(world.container(i + 1).netns)).map((link) => link.ifname), ["lo"]);
      const routes = await exec(["ip", "route", "show", "table", "all", "dev", "eth0"], {
        netns: host.netns,
      });
      assert.ok(!routes.includes("224."), routes);
      for (const folder of [host.runDir, host.stateDir]) {
        assert.deepEqual(filesIn(folder), [], `left in ${folder}`);
      }
    }
  },
  "reset without a daemon removes what it left": async (world) => {
    const host = world.host(1);
    await host.up();
    await host.attach(world.container(1), "10.2.1.1/24");
    host.daemon.kill("SIGKILL");
    await host.daemon.ended();
    await host.run("reset", "--force");
    assert.deepEqual((await links(host.netns)).map((link) => link.ifname).toSorted(), ["eth0", "lo"]);
    assert.deepEqual(await listDatapaths(host.netns), []);
    assert.deepEqual(filesIn(host.stateDir), []);
  },
});

async function addresses(netns: string): Promise<readonly string[]> {
  const text = await exec(["ip", "-j", "-4", "addr", "show", "dev", "ethmesh"], { netns });
  const [link] = JSON.parse(text) as { addr_info: { local: string; prefixlen: number }[] }[];
  return link!.addr_info.map((info) => `${info.local}/${info.prefixlen}`).toSorted();
}

function filesIn(folder: string): readonly string[] {
  try {
    return [...Deno.readDirSync(folder)].map((entry) => entry.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
