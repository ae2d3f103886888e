/** Faults of a running network, one after the other: the doctor names each, and nothing where all is well. */
import assert from "node:assert/strict";
import type { CheckReport } from "../../../mod/control/doctor_types.ts";
import { mesh } from "../common/arrangements.ts";
import { commandOf, healthy, mend, named, onlyNamed, runFix } from "../common/doctor.ts";
import { exec, ip } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";
import { blockUdp, narrow, singleDatagrams, SLEEVE_PORT } from "./underlay.ts";

/** Hosts without tunnels of the kernel; those with them: faults_test.ts. */
const BRIDGE = ["--datapath", "bridge"];

async function nft(netns: string, ...commands: readonly string[]): Promise<void> {
  await exec(["nft", "-f", "-"], { netns, input: commands.join("\n") + "\n" });
}

/** Ends the daemon of host 2, does something, and starts it again, pointed at host 1. */
async function startAgain(
  world: World,
  between: () => Promise<void>,
  ...options: readonly string[]
): Promise<void> {
  const host = world.host(2);
  await host.run("down");
  await host.daemon.ended();
  await between();
  await host.up("--peers", world.host(1).address, ...options);
}

/** Hosts of their own: host 1 has never dialled, so it finds no way around what it closes. */
const closed = suite({
  name: "host kernel, doctor, closed port",
  open: () => hostWorld({ hosts: 2, containers: 2, upOptions: BRIDGE }),
  prepare: mesh,
}, {
  "TCP is closed": async (world) => {
    const one = world.host(1);
    await startAgain(world, () =>
      nft(
        one.netns,
        "add table inet block",
        "add chain inet block in { type filter hook input priority 0; }",
        "add rule inet block in tcp dport 6783 drop",
      ));
    await named(world.host(2), /No connection to 192\.168\.50\.1: /);
    await mend(
      one,
      await named(one, /firewall drops what other hosts send to TCP 6783.*\n.*nft insert rule inet block/s),
    );
    await world.host(2).run("connect", one.address);
    await healthy(world.hosts);
    await nft(one.netns, "delete table inet block");
  },
});

const network = suite({
  name: "host kernel, doctor, network",
  open: () => hostWorld({ hosts: 2, containers: 2, upOptions: BRIDGE }),
  prepare: async (world) => {
    for (const host of world.hosts) await singleDatagrams(host);
    await mesh(world);
  },
}, {
  "nothing is named where all is well": async (world) => {
    await healthy(world.hosts);
    assert.match(await world.host(1).run("doctor"), /^healthy: \d+ checks\n$/);
  },
  "UDP is closed one way: the end that hears nothing says what to open": async (world) => {
    const [one, two] = [world.host(1), world.host(2)];
    let unblock = async () => {};
    await startAgain(world, async () => void (unblock = await blockUdp(two, SLEEVE_PORT)));
    await onlyNamed(one, /No traffic flows to .*: .*firewall blocks UDP towards 192\.168\.50\.2/);
    const fault = await onlyNamed(two, /firewall drops what other hosts send to UDP 6783/); // and not what follows from it
    await mend(two, fault);
    await healthy(world.hosts);
    await unblock();
  },
  "this host lets nothing out: the rule is named, with the command that mends it, and nothing that follows":
    async (
      world,
    ) => {
      const [one, two] = [world.host(1), world.host(2)];
      await startAgain(world, () =>
        nft(
          two.netns,
          "add table inet block",
          "add chain inet block out { type filter hook output priority 0; }",
          "add rule inet block out udp dport 6783 drop",
        ));
      await named(one, /No traffic flows to /);
      await mend(
        two,
        await onlyNamed(two, /drops what it sends to other hosts' UDP 6783: rule 1 of chain out /),
      );
      await healthy(world.hosts);
      await startAgain(world, () =>
        nft(
          two.netns,
          "flush chain inet block out",
          "add rule inet block out tcp dport 6783 drop",
        ));
      const fault = await onlyNamed(
        two,
        /drops what it sends to other hosts' TCP 6783: rule 1 of chain out /,
      );
      const check = JSON.parse((await two.attempt("check", one.address, "--json")).stdout) as CheckReport;
      const line = check.lines.find(({ what }) => what === "TCP 6783")!;
      assert.equal(line.fix!.nft, commandOf(fault));
      await mend(two, fault);
      await healthy(world.hosts);
      await nft(two.netns, "delete table inet block");
    },
  "this host's way out is down: it is named, and nothing that follows": async (world) => {
    const [one, two] = [world.host(1), world.host(2)];
    await ip(["link set eth0 down"], two.netns);
    await onlyNamed(
      two,
      /^This host has no route to .*h1 \(192\.168\.50\.1\)\n`ip route get 192\.168\.50\.1`/,
    );
    const check = JSON.parse((await two.attempt("check", one.netns, "--json")).stdout) as CheckReport;
    const bad = check.lines.filter(({ state }) => state === "bad").map(({ what }) => what);
    assert.equal(bad[0], "route", JSON.stringify(check));
    assert.ok(check.lines.every(({ state, text }) => state !== "good" || !/heartbeats/.test(text)));
    await ip(["link set eth0 up"], two.netns);
    await healthy(world.hosts);
  },
  "the path carries less than containers send": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    await narrow(world, 2, 1300);
    for (let i = 0; i < 3; i++) await one.ping(two.address, "-s", "1350", "-c", "2", "-i", "0.2", "-W", "1");
    const fault = await onlyNamed(
      world.host(1),
      /carries packets of 1\d\d\d bytes and containers here send up to 1410/,
    );
    await mend(world.host(1), fault);
    await mend(world.host(2), fault, "--peers", world.host(1).address);
    await healthy(world.hosts);
    await narrow(world, 2, 1500);
    await runFix(world.host(1), "meshnet up");
    await startAgain(world, async () => {});
    await healthy(world.hosts);
  },
  "containers have another MTU on the peer": async (world) => {
    await startAgain(world, async () => {}, "--mtu", "1300");
    for (const host of world.hosts) await onlyNamed(host, /Containers have MTU 1.*\n.*--mtu 1300/);
    await runFix(world.host(1), "meshnet up --mtu 1300"); // as both say
    await healthy(world.hosts);
    await runFix(world.host(1), "meshnet up");
    await startAgain(world, async () => {});
    await healthy(world.hosts);
  },
  "an address is used twice": async (world) => {
    const [, other] = world.containers;
    await ip(["addr add 10.2.1.1/24 dev ethmesh"], other!.netns);
    const { fix } = await onlyNamed(
      world.host(1),
      /10\.2\.1\.1 is in use twice: by netns:.*c1 .*, and by netns:.*c2 .* on .*h2, which was not given it/,
    );
    assert.match(fix!, /ip netns exec .*c2 ip addr del 10\.2\.1\.1/);
    await ip(["addr del 10.2.1.1/24 dev ethmesh"], other!.netns);
    await healthy(world.hosts);
  },
  "a route leads to addresses of the range": async (world) => {
    const { netns } = world.host(1);
    await ip(["route add 10.32.5.0/24 dev eth0"], netns);
    await named(
      world.host(1),
      /range of addresses, 10\.32\.0\.0\/12, overlaps a route of this host to 10\.32\.5\.0\/24 by eth0: containers do not/,
    );
    await ip(["route del 10.32.5.0/24 dev eth0"], netns);
    await healthy(world.hosts);
  },
  "a namespace asks somebody else for names": async (world) => {
    const { netns } = world.container(1);
    const path = `/etc/netns/${netns}/resolv.conf`;
    const before = Deno.readTextFileSync(path);
    Deno.writeTextFileSync(path, "nameserver 192.0.2.53\n");
    await mend(
      world.host(1),
      await onlyNamed(world.host(1), /asks 192\.0\.2\.53 for names, not this host.*\n.*meshnet attach/),
    );
    assert.equal(Deno.readTextFileSync(path), before);
    await healthy(world.hosts);
  },
  "the daemon has few open files left": async (world) => {
    const host = world.host(1);
    const { pid } = await host.status();
    const open = [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
    await exec(["prlimit", `--pid=${pid}`, `--nofile=${open + 8}:`]);
    const words = /out of open files: it has \d+ open, the limit is \d+\n.*prlimit --pid/;
    await onlyNamed(host, words);
    await exec(["prlimit", `--pid=${pid}`, `--nofile=${open - 8}:`]); // none at all: it cannot even answer
    const fault = await onlyNamed(host, words);
    await exec(["sh", "-c", /`(prlimit [^`]*)`/.exec(fault.fix!)![1]!]);
    await healthy(world.hosts);
  },
  "the other host is gone, and owns addresses": async (world) => {
    const two = world.host(2);
    await world.host(1).run("prime");
    await two.run("attach", `netns:${world.container(2).netns}`); // host 2 has a share from now on
    two.daemon.kill("SIGKILL");
    await two.daemon.ended();
    await mend(
      world.host(1),
      await onlyNamed(
        world.host(1),
        /h2 cannot be reached and owns \d+ addresses.*\n.*meshnet rmpeer/,
        90_000,
      ),
    );
    await healthy([world.host(1)]);
  },
});

declareTests(closed, network);
