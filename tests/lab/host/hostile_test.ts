/** What a container or a stranger can do to a link: cost a counter, and some processor time. */
import assert from "node:assert/strict";
import { sendFrames } from "../../../ffi/packet_socket.ts";
import { mesh } from "../common/arrangements.ts";
import { links } from "../common/links.ts";
import { note } from "../common/notes.ts";
import { exec, FOLDER, ip, pause, until } from "../common/process.ts";
import { readPcap } from "../common/pcap.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { backAfter, BRIDGE, declareTests, hostWorld, linksSettled } from "./host_lab.ts";
import { blockUdp, blockUdpFor, SLEEVE_PORT, UDP_PORTS } from "./underlay.ts";

const FLOOD_SECONDS = 5;
/** xorshift32: the same bytes in every run. */
let seed = 0x5eed;
const random = (bound: number) => {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) % bound;
};

const floods = {
  "a container that floods starves neither the link nor the control socket": async (world: World) => {
    const [one, two] = [world.container(1), world.container(2)];
    const before = (await world.host(1).status()).connections[0]!;
    const flood = one.udp(two, { length: 64, bitsPerSecond: "0", seconds: FLOOD_SECONDS });
    const slowest = await slowAnswer(world, FLOOD_SECONDS * 1000);
    const { packets, lost, seconds } = await flood;
    const after = (await world.host(1).status()).connections[0]!;
    note(
      `${((packets - lost) / seconds / 1e3).toFixed(0)} k/s of ${
        (packets / seconds / 1e3).toFixed(0)
      } k/s; ` +
        `slow answers ${slowest.toFixed(0)} ms`,
    );
    assert.ok(slowest < 1_000, `${slowest} ms`);
    assert.deepEqual([after.state, after.overlay, after.address], [
      ...["established", before.overlay, before.address],
    ]);
    await one.mustPing(two.address, "-c", "5", "-i", "0.1", "-W", "2");
  },
  "a container that sends to and from ever new addresses does not, either": async (world: World) => {
    const [one, two] = [world.container(1), world.container(2)];
    const deadline = performance.now() + 2_000;
    const worst = slowAnswer(world, 2_000);
    let sent = 0;
    while (performance.now() < deadline) {
      const frames = Array.from({ length: 200 }, () => noise(60, [2, 0, random(256), random(256), 0, 1]));
      try {
        sendFrames(`/run/netns/${one.netns}`, "ethmesh", frames);
        sent += frames.length;
      } catch { /* its queue is full */ }
      await pause(1);
    }
    note(`${sent} frames; slow answers ${(await worst).toFixed(0)} ms`);
    assert.ok(await worst < 1_000);
    assert.equal((await world.host(1).status()).connections[0]!.state, "established");
    await one.reaches(two.address); // its own flood comes first
    await one.mustPing(two.address, "-c", "5", "-i", "0.1", "-W", "2");
  },
};

/** Datagrams of the user-space path: what comes to tunnels the kernel takes. */
const datagrams = {
  "datagrams that nobody of the mesh sent change nothing": async (world: World) => {
    await assertUnharmed(world, async () => {
      const socket = [Deno.execPath(), "run", "-A", "-q", "--unstable-net", "--no-config"];
      const program = `
        const socket = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: 0 });
        for (let n = 0; n < 5000; n++) {
          const bytes = crypto.getRandomValues(new Uint8Array(1 + n % 1472));
          if (n % 3 === 0) bytes.fill(0, 0, 40);
          await socket.send(bytes, { transport: "udp", hostname: "${
        world.host(1).address
      }", port: ${SLEEVE_PORT} });
        }`;
      const file = `${FOLDER}/${world.host(2).netns}/noise.ts`;
      Deno.writeTextFileSync(file, program);
      await exec([...socket, file], { netns: world.host(2).netns }); // the peer's own address, another port
    });
  },
  "real datagrams, replayed, cut short or bent, change nothing": async (world: World) => {
    const file = `${FOLDER}/${world.fabric}-pcap`;
    const filter = `udp and dst host ${world.host(1).address} and dst port ${SLEEVE_PORT}`;
    const dump = ["tcpdump", "-U", "-c", "30", "-w", file, "-i", "p2", filter];
    const capture = exec(dump, { netns: world.fabric });
    let captured = false;
    void capture.catch(() => {}).finally(() => captured = true); // what fails is thrown where it is awaited
    await until("pings filled the capture", async () => {
      await world.container(2).ping(world.container(1).address, "-c", "20", "-i", "0.01");
      return captured;
    });
    await capture;
    const real = readPcap(Deno.readFileSync(file));
    assert.ok(real.length >= 30);
    const { encrypted } = (await world.host(1).status()).connections[0]!;
    if (!encrypted) await knowEachOther(world);
    await assertUnharmed(world, async () => {
      const bent = Array.from({ length: 2_000 }, (_, n) => {
        const frame = real[n % real.length]!.slice();
        if (n % 4 === 0) return withUdpLength(frame, frame.length); // as it was
        if (n % 4 === 1) return withUdpLength(frame, 42 + random(frame.length - 42));
        const at = 42 + random(frame.length - 42);
        frame[at] = frame[at]! ^ (1 << random(8));
        return withUdpLength(frame, frame.length);
      });
      for (let at = 0; at < bent.length; at += 50) {
        sendFrames(`/run/netns/${world.host(2).netns}`, "eth0", bent.slice(at, at + 50)); // exactly as the peer would
        await pause(0); // slow answers shall be the daemon's, not this process's
      }
    });
    const report = await world.host(1).run("report");
    const why = encrypted ? "replayed" : "undecodable";
    const refused = Number(new RegExp(`"${why}": ([0-9]+)`).exec(report)?.[1] ?? 0);
    note(`${why}: ${refused}`);
    assert.ok(refused > 250, "they have reached the daemon");
  },
};

const open = () => hostWorld({ hosts: 2, containers: 2 });
const flooded = suite({
  name: "host kernel, floods",
  open,
  prepare: async (world) => {
    await mesh(world);
    await linksSettled(world);
  },
}, floods);
const clear = suite({
  name: "host kernel, hostile",
  open: () => hostWorld({ ...BRIDGE, hosts: 2, containers: 2 }),
  prepare: mesh,
}, { ...floods, ...datagrams });
const sealed = suite({
  name: "host kernel, hostile with a password",
  open,
  prepare: async (world) => {
    const file = `${FOLDER}/${world.host(1).netns}/password`;
    Deno.writeTextFileSync(file, "a secret\n", { mode: 0o600 });
    await world.upAll("--password-file", file);
    for (const [i, host] of world.hosts.entries()) {
      await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
    }
  },
}, { ...floods, ...datagrams });

const blocked = suite({ name: "host kernel, blocked UDP", open }, {
  "a link whose UDP is blocked says so and carries nothing; it heals by itself": async (world) => {
    const unblock = await blockUdp(world.host(2), UDP_PORTS);
    await world.host(1).up();
    await world.host(2).up("--peers", world.host(1).address);
    for (const [i, host] of world.hosts.entries()) {
      await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
    }
    const { state, info } = await until("status names the firewall", async () => {
      const { connections } = await world.host(1).status();
      return connections.find((connection) => /firewall/.test(connection.info));
    });
    assert.notEqual(state, "established");
    note(info);
    await unblock();
    note(`up ${await backAfter(world.container(1), "10.2.1.2", 10_000)} ms after it was unblocked`);
  },
});

const interrupted = suite({ name: "host kernel, UDP blocked for a moment", open, prepare: mesh }, {
  "an established link whose UDP is blocked for a while is as good as before at once": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    await linksSettled(world);
    await using ping = one.background("ping", "-n", "-i", "0.1", two.address);
    const answered = () =>
      [...ping.output().matchAll(/icmp_seq=([0-9]+) .*time=/g)].map((row) => Number(row[1]));
    await until("pings are answered", () => answered().length >= 5);
    await blockUdpFor(world.host(2), UDP_PORTS, 1);
    const hole = () => Math.max(...answered().map((seq, i, all) => seq - (all[i - 1] ?? seq) - 1));
    await until("pings are answered again", () => hole() >= 3);
    await one.mustPing(two.address, "-c", "3", "-i", "0.1", "-W", "3");
    note(`${hole()} pings in a row were lost`);
    assert.ok(hole() <= 15, `${hole()}`);
  },
});

/** The link stays the same while this happens, and a container of a third party hears nothing of it. */
async function assertUnharmed(world: World, attack: () => Promise<void>): Promise<void> {
  const [one, two] = [world.container(1), world.container(2)];
  const before = await world.host(1).status();
  await using ping = one.background("ping", "-n", "-i", "0.05", two.address);
  const worst = slowAnswer(world, 1_500);
  await attack();
  assert.ok(await worst < 1_000);
  ping.kill("SIGINT");
  await ping.ended();
  const [, sent, received] = /([0-9]+) packets transmitted, ([0-9]+) received/.exec(ping.output()) ?? [];
  const ended = 1; // may have been on its way when ping was ended
  assert.ok(Number(received) >= (Number(sent) - ended) * 0.9, ping.output().split("\n").slice(-4).join("\n"));
  const after = await world.host(1).status();
  assert.equal(after.uid, before.uid);
  assert.equal(after.connections.length, before.connections.length);
  const { state, address, overlay } = after.connections[0]!;
  const { address: knownAddress, overlay: knownOverlay } = before.connections[0]!;
  assert.deepEqual([state, address, overlay], ["established", knownAddress, knownOverlay]);
  await one.mustPing(two.address, "-c", "5", "-i", "0.02", "-W", "2");
}

/** Containers do not ask for each other's MAC addresses from now on. Frames on a clear link are anybody's who can send from
 * the peer's address; a bent ARP message among them would be believed, as on any Ethernet. */
async function knowEachOther(world: World): Promise<void> {
  for (const [me, other] of [[1, 2], [2, 1]].map((pair) => pair.map((n) => world.container(n)))) {
    const { address } = (await links(other!.netns)).find(({ ifname }) => ifname === "ethmesh")!;
    await ip([`neigh replace ${other!.address} lladdr ${address} dev ethmesh nud permanent`], me!.netns);
  }
}

/** How slow the control sockets answer for some time, in milliseconds: the slow answers but for the worst tenth, which
 * a busy machine may have slowed. */
async function slowAnswer(world: World, ms: number): Promise<number> {
  const deadline = performance.now() + ms;
  const times: number[] = [];
  while (performance.now() < deadline) {
    for (const host of world.hosts) {
      const asked = performance.now();
      await host.status();
      times.push(performance.now() - asked);
    }
    await pause(50);
  }
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.9)]!;
}

/** A frame of random content from a random address. */
function noise(length: number, destination: readonly number[]): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(length);
  for (let at = 12; at < length; at++) frame[at] = random(256);
  frame.set([...destination, 2, 0, 0x5e, random(256), random(256), random(256), 0x88, 0xb5]);
  return frame;
}

/** The IPv4 frame cut to a length, its header and UDP's telling so; no UDP checksum, as captured ones were not complete. */
function withUdpLength(frame: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  const cut = frame.slice(0, length);
  const view = new DataView(cut.buffer);
  view.setUint16(16, length - 14);
  view.setUint16(38, length - 34);
  view.setUint16(40, 0);
  view.setUint16(24, 0);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(24, ~sum & 0xffff);
  return cut;
}

declareTests(flooded, clear, sealed, blocked, interrupted);
