/** attach, detach, down and reset without Open vSwitch; and what is left afterwards. */
import assert from "node:assert/strict";
import { mesh } from "../common/arrangements.ts";
import { assertClean, resetAfterKill } from "../common/everyday.ts";
import { links } from "../common/links.ts";
import { note } from "../common/notes.ts";
import { ip, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { backAfter, DATAPATH, declareTests, hostWorld, linksSettled, OVERLAY } from "./host_lab.ts";

declareTests(suite({
  name: "host kernel, commands",
  open: () => hostWorld({ hosts: 2, containers: 2 }),
  prepare: mesh,
}, {
  "attach and detach, as often as one likes": async (world) => {
    const host = world.host(1);
    const [fresh] = await world.addContainers(1);
    const target = `netns:${fresh!.netns}`;
    for (let round = 0; round < 3; round++) {
      await host.run("attach", "10.2.1.30/24", target);
      await host.run("attach", "10.2.1.30/24", target);
      await fresh!.mustPing("10.2.1.2", "-c", "2", "-i", "0.05", "-W", "3");
      await host.run("detach", target);
      assert.deepEqual((await links(fresh!.netns)).map(({ ifname }) => ifname), ["lo"]);
    }
  },
  "a container that goes away is no burden": async (world) => {
    const [fresh] = await world.addContainers(1);
    await world.host(1).attach(fresh!, "10.2.1.31/24");
    await fresh!.mustPing("10.2.1.2", "-c", "2", "-i", "0.05", "-W", "3");
    await ip([`netns del ${fresh!.netns}`]);
    await world.container(1).mustPing("10.2.1.2", "-c", "3", "-i", "0.05", "-W", "3");
  },
  "attach with an address that is none names it, and leaves nothing": async (world) => {
    const [fresh] = await world.addContainers(1);
    const { code, stderr } = await world.host(1).attempt("attach", "10.2.1.300/24", `netns:${fresh!.netns}`);
    assert.ok(code === 1 || code === 2, `exit code is ${code}`);
    assert.match(stderr, /10\.2\.1\.300/);
    assert.deepEqual((await links(fresh!.netns)).map((link) => link.ifname), ["lo"]);
  },
  "attach by process id works": async (world) => {
    const [fresh] = await world.addContainers(1);
    await using sleeper = fresh!.background("sleep", "100");
    const namespace = Deno.statSync(`/run/netns/${fresh!.netns}`).ino;
    await until(
      "it is in the namespace",
      () => Deno.statSync(`/proc/${sleeper.pid}/ns/net`).ino === namespace,
    );
    await world.host(1).run("attach", "10.2.1.33/24", `pid:${sleeper.pid}`);
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
    await linksSettled(world);
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
    assert.equal(connection.overlay, OVERLAY);
    assert.equal(connection.nickname, world.host(2).netns);
    for (const peer of status.peers) {
      for (const key of ["name", "nickname", "uid", "shortId", "version", "connections"]) {
        assert.ok(key in peer, key);
      }
    }
    for (const key of ["kind", "mtu", "ports", "flows"]) assert.ok(key in status.datapath, key);
    assert.equal(status.datapath.kind, DATAPATH);
    const text = await host.run("status");
    for (const word of [DATAPATH, "1 established", status.name, host.netns]) {
      assert.ok(text.includes(word), text);
    }
    assert.match(await host.run("status", "connections"), new RegExp(OVERLAY));
  },
  "a second daemon on the same host is refused": async (world) => {
    const { code, stderr } = await world.host(1).attempt("up");
    assert.equal(code, 1, stderr);
    assert.match(stderr, /another router/);
  },
  "down leaves interfaces, and up adopts them": async (world) => {
    const host = world.host(1);
    await host.run("down");
    await host.daemon.ended();
    const names = (await links(host.netns)).map(({ ifname }) => ifname);
    assert.ok(names.includes("meshnet") && names.some((name) => name.startsWith("vmn")), names.join(" "));
    assert.equal((await host.attempt("status")).code, 3);
    await host.up();
    await host.established();
    note(`traffic was back after ${await backAfter(world.container(1), "10.2.1.2", 10_000)} ms`);
    await world.container(1).mustPing("10.2.1.2", "-c", "3", "-i", "0.1", "-W", "3");
  },
  "reset --keep-state takes down what is in the kernel, and the next start attaches all again": async (
    world,
  ) => {
    const [host, container] = [world.host(1), world.container(1)];
    await host.run("reset", "--keep-state");
    await host.daemon.ended();
    assert.deepEqual((await links(host.netns)).map(({ ifname }) => ifname).toSorted(), ["eth0", "lo"]);
    assert.deepEqual((await links(container.netns)).map(({ ifname }) => ifname), ["lo"]);
    await host.up();
    await host.established();
    await backAfter(container, "10.2.1.2", 10_000);
  },
  "reset leaves nothing": async (world) => {
    for (const [i, host] of world.hosts.entries()) {
      await host.run("reset");
      await host.daemon.ended();
      await assertClean(host);
      assert.deepEqual((await links(world.container(i + 1).netns)).map(({ ifname }) => ifname), ["lo"]);
    }
  },
  "reset without a daemon removes what it left": async (world) => {
    await world.host(1).attempt("down"); // where the scenario before has failed
    await resetAfterKill(world.host(1), world.container(1));
  },
}));
