/** The bridge of a host and the containers on it: alone, while no daemon runs, and when somebody meddles. */
import assert from "node:assert/strict";
import { sendFrames } from "../../../ffi/packet_socket.ts";
import { NAME_PORT, NAME_SERVER_IP } from "../../../mod/core/name_leg.ts";
import { links } from "../common/links.ts";
import { note } from "../common/notes.ts";
import { attempt, exec, ip, pause, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { cpuSeconds, wakeUps } from "../common/usage.ts";
import type { Host, World } from "../common/world.ts";
import { backAfter, BRIDGE, CARRIES, declareTests, hostWorld } from "./host_lab.ts";

const IDLE_MS = 5_000;
/** How often an idle daemon may be woken in that time, and one whose containers ask for nobody; measured: once, and a
 * hundred times. */
const [IDLE_WAKE_UPS, ASKING_WAKE_UPS] = [25, 500];
/** Processor time that it takes for both on no machine, in seconds; measured: 0.04, on a busy one 0.08. */
const BUSY_SECONDS = 1;

declareTests(suite({
  name: "host kernel, bridge",
  open: () => hostWorld({ ...BRIDGE, hosts: 1, containers: 2 }),
  prepare: async (world) => {
    await world.host(1).up();
    for (const n of [1, 2]) await world.host(1).attach(world.container(n), `10.2.1.${n}/24`);
  },
}, {
  "neither bridge nor TAP says anything by itself": async (world) => {
    const host = world.host(1);
    for (const name of ["meshnet", "mesh-tap"]) {
      const { stdout } = await attempt(["ip", "-6", "addr", "show", "dev", name], { netns: host.netns });
      assert.equal(stdout, "", name);
    }
    assert.equal((await bridge(host)).linkinfo.info_data.mcast_snooping, 0);
  },
  "traffic inside one host does not come to the daemon": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    await one.mustPing(two.address, "-c", "3", "-i", "0.05", "-W", "3");
    const pid = world.host(1).daemon.pid;
    const [before, handed] = [cpuSeconds(pid), await handedToDaemon(world.host(1))];
    const rate = await one.iperf(two, 3, "-C", "cubic");
    const used = cpuSeconds(pid) - before;
    note(`TCP ${(rate / 1e9).toFixed(1)} Gbit/s, processor time of the daemon ${used.toFixed(2)} s`);
    assert.ok(rate > CARRIES, `${rate}`);
    assert.ok(used < 0.3, `${used} s`);
    const octets = await handedToDaemon(world.host(1)) - handed;
    assert.ok(octets < rate * 3 / 8 / 100, `the daemon was handed ${octets} octets`);
  },
  "containers that nobody else hears cost nothing": async (world) => {
    const [one] = [world.container(1)];
    await one.ping("10.2.1.99", "-c", "1", "-W", "1");
    const pid = world.host(1).daemon.pid;
    const cost = async (work: () => Promise<unknown>) => {
      const [woken, used] = [wakeUps(pid), cpuSeconds(pid)];
      await work();
      return { woken: wakeUps(pid) - woken, used: cpuSeconds(pid) - used };
    };
    // Memory of the start is given back once, later on a busy machine: then it is at rest.
    const idle = await until("nothing wakes the daemon", async () => {
      const found = await cost(() => pause(IDLE_MS));
      return found.woken <= IDLE_WAKE_UPS && found;
    });
    // Asks for an address that nobody has, once a second.
    const asking = await cost(() => one.ping("10.2.1.99", "-c", "5", "-i", "1", "-W", "1"));
    const told = JSON.stringify({ idle, asking });
    note(told);
    assert.ok(asking.woken <= ASKING_WAKE_UPS, told);
    assert.ok(idle.used + asking.used <= BUSY_SECONDS, told);
  },
  "status counts what hangs on the bridge, and says why it is one": async (world) => {
    const { datapath } = await world.host(1).status();
    assert.deepEqual([datapath.kind, datapath.ports], ["bridge", 4]);
    assert.match(datapath.noFastdp ?? "", /--datapath bridge/);
  },
  "what the TAP's queue has no room for is counted": async (world) => {
    const host = world.host(1);
    const before = (await host.status()).datapath.overruns;
    host.daemon.kill("SIGSTOP");
    for (let i = 0; i < 60; i++) sendStorm(world);
    host.daemon.kill("SIGCONT");
    const lost = (await host.status()).datapath.overruns - before;
    note(`${lost} of 3000`);
    assert.ok(lost >= 1_500, `${lost}`); // the queue has room for 1,000
  },
  "while the daemon is down, containers of one host reach each other": async (world) => {
    const host = world.host(1);
    const [one, two] = [world.container(1), world.container(2)];
    const { address: mac } = await bridge(host);
    for (let i = 0; i < 4; i++) sendStorm(world); // for a moment no broadcast goes to containers: not for ever
    await host.run("down");
    await host.daemon.ended();
    await exec(["ip", "neigh", "flush", "all"], { netns: one.netns });
    await one.mustPing(two.address, "-c", "3", "-i", "0.05", "-W", "3");
    await host.up();
    await one.mustPing(two.address, "-c", "3", "-i", "0.05", "-W", "3");
    assert.equal((await bridge(host)).address, mac);
    const tap = (await links(host.netns)).find(({ ifname }) => ifname === "mesh-tap");
    assert.equal((tap as unknown as { master: string }).master, "meshnet");
  },
  "containers that somebody took off the bridge are back after attach": async (world) => {
    const host = world.host(1);
    const [one, two] = [world.container(1), world.container(2)];
    for (const { ifname } of await links(host.netns)) {
      if (ifname.startsWith("vmn")) await ip([`link set ${ifname} nomaster`], host.netns);
    }
    // Each is a problem until the daemon, which hears of it, has put it back by itself.
    for (const { message } of (await host.status()).problems) {
      assert.match(message, /not connected to the switch/);
    }
    for (const n of [1, 2]) await host.attach(world.container(n), `10.2.1.${n}/24`);
    await one.mustPing(two.address, "-c", "3", "-i", "0.05", "-W", "3");
    assert.deepEqual((await host.status()).problems, []);
  },
  "the way to the name server is put back, whoever took it away": async (world) => {
    const host = world.host(1);
    const one = world.container(1);
    await one.mustPing(NAME_SERVER_IP, "-c", "2", "-i", "0.05", "-W", "3");
    for (const meddle of [`link del ${NAME_PORT}`, `link set ${NAME_PORT} nomaster`]) {
      await ip([meddle], host.netns);
      note(`back after ${await backAfter(one, NAME_SERVER_IP, 5_000)} ms`);
    }
    host.daemon.kill("SIGKILL");
    await host.daemon.ended();
    // As an earlier version left it.
    await one.exec("ip", "route", "del", NAME_SERVER_IP);
    await one.exec("ip", "neigh", "del", NAME_SERVER_IP, "dev", "ethmesh");
    await host.up();
    await one.mustPing(NAME_SERVER_IP, "-c", "2", "-i", "0.05", "-W", "3");
  },
  "another kind is refused while the bridge is there, with the fix": async (world) => {
    const host = world.host(1);
    await host.run("down");
    await host.daemon.ended();
    const { code, stderr } = await host.attempt("up", "--datapath", "ovs");
    assert.equal(code, 1);
    assert.match(stderr, /hint: /);
    await host.run("reset");
    assert.deepEqual((await links(host.netns)).filter(({ ifname }) => ifname.startsWith("mesh")), []);
    await ip(["link add meshnet type veth peer name other"], host.netns);
    const refused = await host.attempt("up", "--datapath", "bridge");
    assert.match(refused.stderr, /interface of kind veth[\s\S]*ip link delete meshnet/);
    assert.equal((await host.attempt("reset")).code, 0);
    assert.ok((await links(host.netns)).some(({ ifname }) => ifname === "meshnet"), "it is not ours");
    await ip(["link delete meshnet"], host.netns);
  },
}));

/** How many octets the daemon has been handed by its TAP. */
async function handedToDaemon(host: Host): Promise<number> {
  const text = await exec(["ip", "-s", "-j", "link", "show", "dev", "mesh-tap"], { netns: host.netns });
  return JSON.parse(text)[0].stats64.tx.bytes;
}

// deno-lint-ignore no-explicit-any
async function bridge(host: Host): Promise<any> {
  const text = await exec(["ip", "-d", "-j", "link", "show", "meshnet"], { netns: host.netns });
  return JSON.parse(text)[0];
}

/** The same frame for everybody fifty times, from the first container. */
function sendStorm(world: World): void {
  const frame = new Uint8Array(60);
  frame.set([255, 255, 255, 255, 255, 255, 2, 0, 0x5e, 0, 0, 1, 0x88, 0xb5]);
  sendFrames(`/run/netns/${world.container(1).netns}`, "ethmesh", Array(50).fill(frame));
}
