/** Addresses that are allocated: by hosts that reach each other, that do not, that die, and that are lost for good. */
import assert from "node:assert/strict";
import type { RemovePeersAnswer } from "../../../mod/control/address_types.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { resetAll } from "../common/everyday.ts";
import { note } from "../common/notes.ts";
import { attempt, exec, ip, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { usedAddresses } from "../common/used_addresses.ts";
import type { Host, World } from "../common/world.ts";
import { backAfter, declareTests, hostWorld } from "./host_lab.ts";
import { agree, allocate, ask, everything, held, ipam, noneTwice, RANGE, SIZE } from "./sharing.ts";

async function cable(world: World, host: number, state: "up" | "down"): Promise<void> {
  await ip([`link set p${host} ${state}`], world.fabric);
}

async function refusal(work: Promise<unknown>): Promise<MeshnetError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof MeshnetError, String(error));
    return error;
  }
  throw new Error("It was not refused");
}

/** Addresses outside the range: nobody has to agree about them. */
const [EXPOSED, FIXED] = ["10.2.1.9/24", "10.2.1.8/24"] as const;

declareTests(
  suite({
    name: "host kernel, addresses",
    open: () => hostWorld({ hosts: 2, containers: 4 }),
    prepare: everything,
  }, {
    "attach without an address: a free one each, traffic, and back to the pool with detach": async (
      world,
    ) => {
      const [one, two] = world.hosts as [Host, Host];
      const [web, db] = [world.container(1), world.container(2)];
      const first = await one.run("attach", `netns:${web.netns}`);
      const [, a] = /has (10\.40\.\d+\.\d+)\/20$/m.exec(first)!;
      const second = JSON.parse(await two.run("attach", `netns:${db.netns}`, "--json"));
      const b: string = second.addresses[0].split("/")[0];
      assert.notEqual(a, b);
      await backAfter(web, b, 10_000);
      await backAfter(db, a!, 10_000);
      assert.equal(await one.run("attach", `netns:${web.netns}`), first, "again changes nothing");
      const subnet = await one.run("attach", "net:10.40.1.0/24", "10.2.1.9/24", `netns:${web.netns}`);
      assert.match(subnet, /has 10\.40\.\d+\.\d+\/20, 10\.40\.1\.\d+\/24, 10\.2\.1\.9\/24$/m);
      await one.run("detach", "net:10.40.1.0/24", `netns:${web.netns}`);
      assert.deepEqual((await held(one)).get(`netns:${web.netns}`), [`${a}/20`, "10.2.1.9/24"]);
      await one.run("detach", `netns:${web.netns}`);
      await two.run("detach", `netns:${db.netns}`);
      assert.deepEqual([...await held(one), ...await held(two)], []);
      assert.deepEqual((await Promise.all(world.hosts.map(ipam))).map(({ active }) => active), [0, 0]);
    },
    "an address that is given by hand is taken from the range; one that others have is refused": async (
      world,
    ) => {
      const [one, two] = world.hosts as [Host, Host];
      const target = `netns:${world.container(1).netns}`;
      await one.run("attach", "10.40.2.7/20", target);
      assert.equal(await two.run("ipam", "claim", "printer", "10.40.2.8/20"), "10.40.2.8/20\n");
      const taken = await two.attempt("attach", "10.40.2.7/20", `netns:${world.container(2).netns}`);
      assert.equal(taken.code, 1);
      assert.match(taken.stderr, /Cannot claim 10\.40\.2\.7\/20: .*02:00:00:00:50:01.* owns it/);
      assert.deepEqual((await two.status()).attachments, []);
      const released = await one.attempt("ipam", "release", target);
      assert.match(released.stderr, /it is attached\nhint: Run `meshnet detach/);
      await one.run("detach", target);
      await two.run("ipam", "release", "printer");
    },
    "an address that somebody uses already is given to nobody, and everybody is told who": usedAddresses,
    "kill -9 in the middle of allocation: what was answered is kept, and nothing is twice": async (world) => {
      const [one, two] = world.hosts as [Host, Host];
      const answered = new Map<string, string>();
      let stopped = false;
      const clients = Array.from({ length: 6 }, async (_, client) => {
        const host = client < 4 ? one : two;
        for (let i = 0; !stopped; i++) {
          const holder = `k${client}-${i}`;
          const address = await allocate(host, holder).catch(() => undefined);
          if (address !== undefined) answered.set(holder, address);
          else if (host === one) return;
        }
      });
      await until("some are answered", () => Promise.resolve(answered.size > 60), { ms: 20_000, everyMs: 5 });
      one.daemon.kill("SIGKILL");
      await one.daemon.ended();
      stopped = true;
      await Promise.all(clients);
      await one.up("--peers", two.address, "--ip-range", RANGE);
      await one.established();
      const holders = new Map([...await held(one), ...await held(two)]);
      for (const [holder, address] of answered) assert.deepEqual(holders.get(holder), [address], holder);
      for (let i = 0; i < 20; i++) await allocate(i % 2 === 0 ? one : two, `after${i}`);
      await noneTwice(world.hosts);
      note(`${answered.size} were answered before the end`);
      for (const host of world.hosts) {
        for (const holder of (await held(host)).keys()) await ask(host, "/ipam/release", { holder });
      }
    },
    "allocation goes on while hosts do not reach each other, and nothing is twice": async (world) => {
      const [one, two] = world.hosts as [Host, Host];
      await two.run("prime");
      await agree(world.hosts, 2);
      await cable(world, 2, "down");
      two.daemon.kill("SIGKILL"); // it shall know by its disk alone what it owns
      await two.daemon.ended();
      await two.up("--peers", one.address, "--ip-range", RANGE);
      const alone = Array.from({ length: 60 }, (_, i) => allocate(i % 2 === 0 ? one : two, `p${i}`));
      assert.equal(new Set(await Promise.all(alone)).size, 60);
      assert.match((await ipam(two)).info, /^\d+\.\d % of the addresses cannot be reached: they belong to /);
      await cable(world, 2, "up");
      await Promise.all(world.hosts.map((host) => host.established()));
      await agree(world.hosts, 2);
      for (let i = 60; i < 70; i++) await allocate(i % 2 === 0 ? one : two, `p${i}`);
      await noneTwice(world.hosts);
    },
    "a namespace that is made again has its address again, and so after a reboot": async (world) => {
      const host = world.host(1);
      const container = world.container(3);
      const target = `netns:${container.netns}`;
      const addressOf = async () => (await host.status()).attachments.find((one) => one.target === target);
      await host.run("attach", target);
      const before = (await addressOf())!.addresses;
      await ip([`netns del ${container.netns}`, `netns add ${container.netns}`]);
      await until("it is attached again", async () => (await addressOf())?.attached === true, { ms: 20_000 });
      assert.deepEqual((await addressOf())!.addresses, before);
      // A reboot: the process, the namespace and all interfaces are gone, and the namespace comes back later.
      host.daemon.kill("SIGKILL");
      await host.daemon.ended();
      await ip([`netns del ${container.netns}`]);
      for (const name of ["meshnet", "mesh-tap"]) {
        await attempt(["ip", "link", "del", name], { netns: host.netns });
      }
      await host.up("--peers", world.host(2).address, "--ip-range", RANGE);
      assert.deepEqual((await held(host)).get(target), before, "it is kept for the namespace");
      await ip([`netns add ${container.netns}`]);
      await until("it is attached after the reboot", async () => (await addressOf())?.attached === true, {
        ms: 20_000,
      });
      assert.deepEqual((await addressOf())!.addresses, before);
      await host.run("detach", target);
      assert.equal((await held(host)).has(target), false);
    },
  }),
  suite({
    name: "host kernel, addresses of lost hosts",
    open: () => hostWorld({ hosts: 3 }),
    prepare: everything,
  }, {
    "rmpeer on two hosts at once: one of them takes over, nothing is owned twice, again is nothing": async (
      world,
    ) => {
      const [one, two, three] = world.hosts as [Host, Host, Host];
      await one.run("prime");
      for (const host of world.hosts) await allocate(host, "x");
      await agree(world.hosts, 3);
      const lost = (await ipam(one)).owners.find(({ nickname }) => nickname === three.netns)!;
      three.daemon.kill("SIGKILL");
      await three.daemon.ended();
      const left = [one, two];
      await until("it is missed", async () => {
        const views = await Promise.all(left.map(ipam));
        return views.every(({ owners }) =>
          owners.some(({ peer, reachable }) => peer === lost.peer && !reachable)
        );
      }, { ms: 60_000 });
      const remove = (host: Host) =>
        ask<RemovePeersAnswer>(host, "/rmpeer", { peers: [three.netns], timeoutMs: 50_000 });
      const taken = (await Promise.all(left.map(remove))).map(({ addresses }) => addresses);
      assert.deepEqual(taken.toSorted((a, b) => a - b), [0, lost.addresses]);
      await agree(left, 2);
      assert.deepEqual((await Promise.all(left.map(remove))).map(({ addresses }) => addresses), [0, 0]);
      for (const host of left) await allocate(host, "y");
      await noneTwice(left);
      const back = await one.attempt("rmpeer", "nobody");
      assert.match(back.stderr, /Cannot remove nobody: no such host is known/);
      const alive = await one.attempt("rmpeer", two.netns);
      assert.match(alive.stderr, /Cannot remove .*: it is connected/);
    },
    "a host that is reset hands its share over, and may come back": async (world) => {
      const [one, two] = world.hosts as [Host, Host];
      await one.run("prime");
      await allocate(two, "z");
      assert.match(await two.run("reset"), /Stopped the daemon/);
      await two.daemon.ended();
      await until("others own its share", async () => {
        const { owners } = await ipam(one);
        const whole = owners.reduce((sum, { addresses }) => sum + addresses, 0) === SIZE;
        return whole && !owners.some(({ peer }) => peer === two.peerName);
      });
      await two.up("--peers", one.address, "--ip-range", RANGE);
      await two.established();
      const address = await allocate(two, "z");
      assert.match(address, /^10\.40\./);
      await noneTwice([one, two]);
    },
  }),
  suite({
    name: "host kernel, addresses in trouble",
    open: () => hostWorld({ hosts: 2, containers: 2 }),
  }, {
    "a range to which the host has a route is refused, with one that is free": async (world) => {
      const host = world.host(1);
      const route = ["10.40.8.0/24", "via", "192.168.50.9"];
      await exec(["ip", "route", "add", ...route], { netns: host.netns });
      const { code, stderr } = await host.attempt(...host.upCommand("--ip-range", RANGE));
      assert.equal(code, 1);
      assert.match(
        stderr,
        /Cannot allocate addresses of 10\.40\.0\.0\/20: this host has a route to 10\.40\.8\.0\/24/,
      );
      const [, free] = /--ip-range (10\.\d+\.\d+\.0\/20);/.exec(stderr)!;
      assert.equal((await attempt(["ip", "link", "show", "meshnet"], { netns: host.netns })).code, 1);
      await host.up("--ip-range", free!);
      assert.equal((await ipam(host)).range, free);
      await host.run("reset");
      await host.up("--ip-range", "off");
      const off = await host.attempt("attach", `netns:${world.container(1).netns}`);
      assert.match(
        off.stderr,
        /this host allocates no addresses, it runs with --ip-range off\nhint: Give an address/,
      );
      assert.equal((await host.status()).ipam, null);
      await host.run("reset");
      await exec(["ip", "route", "del", ...route], { netns: host.netns });
    },
    "a host that used its range before a route into it came starts again, and says what is hidden": async (
      world,
    ) => {
      const host = world.host(1);
      const [used, other] = world.containers;
      await host.up("--ip-range", RANGE);
      await host.run("attach", `netns:${used!.netns}`);
      await host.run("down");
      await host.daemon.ended();
      const route = ["10.40.8.0/24", "via", "192.168.50.9"];
      await exec(["ip", "route", "add", ...route], { netns: host.netns });
      const words =
        /10\.40\.0\.0\/20, overlaps a route of this host to 10\.40\.8\.0\/24 by eth0: containers do not/;
      const checked = async () => {
        const { code, stderr } = await host.attempt("config", "check", "--ip-range", RANGE);
        assert.match(stderr, new RegExp(`^warning: .*${words.source}`));
        assert.equal(code, 0);
      };
      await checked();
      await host.up("--ip-range", RANGE);
      await checked();
      await host.run("attach", `netns:${other!.netns}`);
      const told = async () => (await host.status()).problems.some(({ message }) => words.test(message));
      assert.ok(await told());
      await until("the log tells it", async () => words.test(await Deno.readTextFile(host.log)));
      await exec(["ip", "route", "del", ...route], { netns: host.netns });
      await until("the route has gone", async () => !await told(), { ms: 10_000 });
      await exec(["ip", "route", "add", ...route], { netns: host.netns });
      await until("the route is back", told, { ms: 10_000 });
      await host.run("reset");
      await host.daemon.ended();
      const first = await host.attempt(...host.upCommand("--ip-range", RANGE));
      assert.match(first.stderr, /Cannot allocate addresses of 10\.40\.0\.0\/20: this host has a route/);
      await exec(["ip", "route", "del", ...route], { netns: host.netns });
    },
    "who waits for others is told so in time, leaves nothing behind, and may wait as long as it likes":
      async (world) => {
        const [host, other] = world.hosts as [Host, Host];
        const target = `netns:${world.container(1).netns}`;
        const options = ["--ip-range", RANGE, "--ip-init", "consensus=2"];
        await host.up(...options);
        for (const wait of [["--no-wait"], ["--timeout", "1"]]) {
          const { code, stderr } = await host.attempt("attach", target, ...wait);
          assert.equal(code, 1);
          assert.match(stderr, /2 peers must agree on the first owners, 1 are here\nhint: Start the others/);
        }
        assert.deepEqual([(await host.status()).attachments, [...await held(host)]], [[], []]);
        await host.run("expose", EXPOSED);
        await host.run("attach", FIXED, target);
        const ended = [host.attempt("attach", target), host.attempt("expose")];
        const waits = (count: number) =>
          until("they wait", async () => (await ipam(host)).waiting.length === count, { ms: 10_000 });
        await waits(2);
        await host.run("hide", EXPOSED); // who gives back waits for nobody
        await host.run("detach", FIXED, target);
        const texts = (await Promise.all(ended)).map(({ stderr }) => stderr).join("");
        assert.match(texts, /detached while it waited[^]*hidden while it waited/);
        const waiting = host.run("attach", target);
        await waits(1);
        assert.equal((await ipam(host)).state, "awaiting-consensus");
        await other.up("--peers", host.address, ...options);
        assert.match(await waiting, /has 10\.40\./);
        await resetAll(world);
      },
    "a used-up subnet says who holds what; who has gone waits for it no more": async (world) => {
      const host = world.host(1);
      await world.upAll("--ip-range", RANGE);
      const subnet = "10.40.3.0/30";
      const want = (holder: string) => ask(host, "/ipam/allocate", { holder, subnet, timeoutMs: 8_000 });
      await want("a");
      await want("b");
      const { code, hint, message } = await refusal(want("c"));
      assert.equal(code, "ipam/exhausted");
      assert.match(message, /Cannot allocate an address: 10\.40\.3\.0\/30 has none free, owners: /);
      assert.equal(hint, "Release addresses, or ask for one in another subnet");
      const body = JSON.stringify({ holder: "gone", subnet });
      const client = await Deno.connect({ transport: "unix", path: `${host.runDir}/control.sock` });
      const head = `POST /ipam/allocate HTTP/1.1\r\ncontent-length: ${body.length}\r\n\r\n`;
      await client.write(new TextEncoder().encode(head + body));
      const waits = (count: number) => async () => (await ipam(host)).waiting.length === count;
      await until("the client waits", waits(1), { ms: 10_000 });
      client.close();
      await until("it waits no more", waits(0), { ms: 10_000 });
      await resetAll(world);
    },
    "two networks that grew apart are told of in one sentence, with the command that joins them": async (
      world,
    ) => {
      const [one, two] = world.hosts as [Host, Host];
      for (const host of world.hosts) {
        await host.up("--ip-range", RANGE);
        await allocate(host, "x");
      }
      await two.run("connect", one.address);
      await one.run("connect", two.address);
      const told = await until("it is told", async () => {
        const { problems } = await two.status();
        return problems.find(({ message }) => message.includes("seeded by different peers"));
      }, { ms: 30_000 });
      assert.match(
        told.message,
        /received: \[.*h1 \(02:00:00:00:50:01\)\], ours: \[.*h2 \(02:00:00:00:50:02\)\]/,
      );
      assert.match(told.message, /run "meshnet reset" on .*h[12] \(02:.*\), and start it again/);
      await two.run("reset");
      await two.daemon.ended();
      await two.up("--peers", one.address, "--ip-range", RANGE);
      await two.established();
      await allocate(two, "y");
      await noneTwice(world.hosts);
      for (const host of [one, two]) {
        await until(`the trouble is over on ${host.netns}`, async () => {
          return (await host.status()).problems.length === 0;
        }, { ms: 30_000 });
      }
    },
  }),
);
