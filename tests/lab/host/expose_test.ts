/** `meshnet expose`: what containers reach through a host that takes part in the network itself.
 *
 *     container 10.2.1.1 -- meshnet 10.2.1.254, host 1, 192.168.50.1 -- 192.168.50.2, host 2
 */
import assert from "node:assert/strict";
import { NAME_SERVER_IP } from "../../../mod/core/name_leg.ts";
import { mesh } from "../common/arrangements.ts";
import { exposedHosts } from "../common/exposed.ts";
import { links } from "../common/links.ts";
import { exec, ip, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

const OUT = ["-c", "3", "-i", "0.05", "-W", "1"] as const;

declareTests(suite({
  name: "host kernel, exposed host",
  open: () => hostWorld({ hosts: 2, containers: 2 }),
  prepare: mesh,
}, {
  "exposed hosts and containers reach each other, and nobody reaches a hidden one": exposedHosts,
  "containers get beyond the host under its address, past a firewall that drops": async (world) => {
    const [host, other] = [world.host(1), world.host(2)];
    const one = world.container(1);
    await exec(["sysctl", "-qw", "net.ipv4.ip_forward=1"], { netns: host.netns });
    await exec(["iptables-nft", "-P", "FORWARD", "DROP"], { netns: host.netns });
    await host.run("expose", "10.2.1.254/24");
    await one.exec("ip", "route", "replace", "default", "via", "10.2.1.254");
    await one.mustPing(other.address, ...OUT);
    await exec(["nft", "flush", "ruleset"], { netns: host.netns });
    await exec(["iptables-nft", "-P", "FORWARD", "DROP"], { netns: host.netns });
    await until("the rules are back", async () => (await one.ping(other.address, ...OUT)).received === 3);
    await host.run("expose", "10.2.1.254/24", "--no-masquerade");
    assert.doesNotMatch(await rules(world), /masquerade/); // only this host knows the way back
    assert.match(await rules(world), /meshnet: traffic from 10.2.1.0\/24/);
    await host.run("hide", "10.2.1.254/24");
    assert.doesNotMatch(await rules(world), /10\.2\.1\.0|nat hook/);
  },
  "an address of the range is held by the host's own name, also across a reboot, and goes back": async (
    world,
  ) => {
    const host = world.host(1);
    const first = await host.run("expose", "--json");
    const { addresses: [address] } = JSON.parse(first);
    assert.equal(await host.run("expose", "--json"), first);
    const held = await host.attempt("ipam", "release", "weave:expose");
    assert.match(held.stderr, /this host is exposed with them[\s\S]*meshnet hide/);
    const taken = await host.attempt("ipam", "claim", "printer", address);
    assert.equal(taken.code, 1);
    host.daemon.kill("SIGKILL");
    await host.daemon.ended();
    await ip(["link del meshnet"], host.netns); // as after a reboot
    await host.up();
    await host.established();
    assert.equal(await host.run("expose", "--json"), first);
    assert.match(
      await exec(["ip", "-4", "addr", "show", "dev", "meshnet"], { netns: host.netns }),
      /10\.32\./,
    );
    await host.run("hide");
    await host.run("ipam", "claim", "printer", address);
    assert.match(await host.run("hide"), /Nothing was exposed/);
  },
  "containers of all hosts find the host by its name, until it is hidden": async (world) => {
    const host = world.host(1);
    const two = world.container(2);
    const answer = (name: string) =>
      two.exec("busybox", "nslookup", `${name}.mesh.internal`, NAME_SERVER_IP).catch((error) =>
        String(error)
      );
    const finds = (text: string, name = "gateway") =>
      until(`answer ${text}`, async () => (await answer(name)).includes(text));
    const said = await host.run("expose", "--name", "gateway", "10.2.1.254/24");
    assert.match(said, new RegExp(`; it is called ${host.netns}\\.host, gateway\\.\n$`));
    await finds("10.2.1.254");
    await finds("10.2.1.254", `${host.netns}.host`);
    host.daemon.kill("SIGKILL");
    await host.daemon.ended();
    await host.up();
    await host.established();
    await finds("10.2.1.254");
    assert.match(await host.run("ps"), /this host .*gateway/);
    await host.run("hide");
    await finds("NXDOMAIN");
  },
  "what cannot be is refused, and changes nothing": async (world) => {
    const host = world.host(1);
    const cases: readonly (readonly [address: string, message: RegExp])[] = [
      ["192.168.50.9/24", /overlaps 192.168.50.0\/24 on interface eth0/],
      ["10.2.1.1/24", /Cannot expose 10.2.1.1\/24: netns:.* has this address/],
      ["fd00::1/64", /only IPv4/],
      ["169.254.53.53/16", /containers of every host ask the name server/],
      ["10.2.1.0/24", /address of the network itself/],
      ["net:10.2.1.0/24", /an address of 10\.2\.1\.0\/24: it is outside 10\.32/],
    ];
    for (const [address, message] of cases) {
      const { code, stderr } = await host.attempt("expose", address);
      assert.notEqual(code, 0, address);
      assert.match(stderr, message);
      assert.match(stderr, /hint: /);
    }
    assert.deepEqual((await host.status()).exposed, []);
    assert.match((await host.attempt("hide", "10.2.1.254/24")).stderr, /not exposed with it/);
  },
  "reset leaves nothing": async (world) => {
    const host = world.host(1);
    await host.run("expose", "10.2.1.254/24");
    assert.match(await rules(world), /meshnet/);
    await host.run("reset");
    assert.deepEqual((await links(host.netns)).filter(({ ifname }) => /^(mesh|vmn)/.test(ifname)), []);
    assert.doesNotMatch(await rules(world), /meshnet/);
  },
}));

async function rules(world: World): Promise<string> {
  return await exec(["nft", "list", "ruleset"], { netns: world.host(1).netns });
}
