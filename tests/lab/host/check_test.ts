/** `meshnet check HOST`: a line for each thing that the mesh needs of the way between two hosts. */
import assert from "node:assert/strict";
import type { CheckLine, CheckReport } from "../../../mod/control/doctor_types.ts";
import { faultsOf } from "../../unit/control/schema.ts";
import { note } from "../common/notes.ts";
import { exec, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host, World } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";
import { blockUdp, SLEEVE_PORT } from "./underlay.ts";

/** Hosts without tunnels of the kernel; those with them: faults_test.ts. */
const BRIDGE = ["--datapath", "bridge"];

/** The report of a check, and its lines by what they are about. Its exit code must be that of the report. */
async function check(host: Host, what: string): Promise<CheckReport & { line(name: string): CheckLine }> {
  const { code, stderr, stdout } = await host.attempt("check", what, "--json");
  assert.match(stdout, /^\{/, stderr);
  const report = JSON.parse(stdout) as CheckReport;
  assert.equal(code, report.good ? 0 : 4, stdout);
  assert.deepEqual(faultsOf("CheckReport", report), []);
  for (const { fix, state, text, what } of report.lines) {
    if (state === "bad") note(`${what}: ${text} | ${fix?.command ?? fix?.nft} | ${fix?.iptables}`);
  }
  return { ...report, line: (name) => report.lines.find((one) => one.what === name)! };
}

const states = (report: CheckReport) =>
  Object.fromEntries(report.lines.map(({ state, what }) => [what, state]));

/** Both daemons, the second pointed at the first. */
async function both(world: World): Promise<void> {
  const [one, two] = world.hosts as [Host, Host];
  await one.up();
  await two.up("--peers", one.address);
  for (const host of [one, two]) await host.established();
}

async function nft(host: Host, ...commands: readonly string[]): Promise<void> {
  await exec(["nft", "-f", "-"], { netns: host.netns, input: commands.join("\n") + "\n" });
}

declareTests(suite({
  name: "host kernel, check",
  open: () => hostWorld({ hosts: 3, upOptions: BRIDGE }),
  prepare: both,
}, {
  "a host that runs meshnet, connected: everything is known": async (world) => {
    const [one, two] = world.hosts as [Host, Host];
    const known = { "TCP 6783": "good", "UDP 6783": "good", MTU: "good", clock: "good" };
    const unused = { "UDP 6784": "unused", ESP: "unused" }; // these hosts have no tunnels
    // From one end by the address of the other, from that one by nickname. Each end learns by itself what gets through.
    for (const [host, word, peer] of [[two, one.address, one], [one, two.netns, two]] as const) {
      const report = await until("everything is known", async () => {
        const found = await check(host, word);
        return found.lines.every(({ state }) => state !== "unknown") && found;
      });
      assert.equal(report.peer, peer.netns);
      assert.deepEqual(states(report), { ...known, ...unused, password: "good", firewall: "good" });
    }
    const text = await two.run("check", one.address);
    note(text);
    assert.match(text, /^mnl.*h1 \(192\.168\.50\.1\)\nWHAT +STATE\nTCP 6783 +ok /);
  },
  "a host that runs nothing": async (world) => {
    const report = await check(world.host(1), world.host(3).address);
    assert.equal(report.peer, null);
    assert.match(report.line("TCP 6783").text, /nothing listens there/);
    assert.match(report.line("UDP 6783").text, /nothing uses that port there/);
    assert.equal(report.line("UDP 6783").fix!.command, "meshnet up");
  },
  "this host itself: by address, by nickname, and without its daemon": async (world) => {
    const one = world.host(1);
    for (const word of [one.address, one.netns, one.peerName!]) {
      const [line, ...rest] = (await check(one, word)).lines;
      assert.deepEqual([line!.what, line!.state, rest.length], ["host", "bad", 0]);
      assert.match(line!.text, /this is this host itself/);
    }
  },
  "a host that is not there, and a name that is none": async (world) => {
    const none = await check(world.host(1), "no-such-name.invalid");
    assert.match(none.lines[0]!.text, /no-such-name\.invalid has no address/);
    const { code, stderr } = await world.host(1).attempt("check", "a b");
    assert.equal(code, 2);
    assert.match(stderr, /Cannot check a b/);
  },
  "without a connection: it hears who is there, and becomes no peer": async (world) => {
    const [one, , three] = world.hosts as [Host, Host, Host];
    await three.up();
    const report = await check(one, three.address);
    assert.equal(report.peer, three.netns);
    assert.deepEqual([report.line("TCP 6783").state, report.line("password").state], ["good", "good"]);
    assert.equal(report.line("UDP 6783").state, "unknown");
    assert.equal((await three.status()).peers.length, 1);
    await one.run("down");
    const alone = await check(one, three.address); // nor does it need a daemon here
    assert.equal(alone.peer, three.netns);
    assert.equal(alone.line("daemon").state, "unknown");
    assert.match((await check(one, one.address)).line("host").text, /this is this host itself/);
    await one.up();
    await three.run("down");
  },
  "TCP is dropped: the fix in nft and in iptables": async (world) => {
    const [one, , three] = world.hosts as [Host, Host, Host];
    await three.up();
    await nft(
      three,
      "add table inet filter",
      "add chain inet filter input { type filter hook input priority 0; }",
      "add rule inet filter input tcp dport 6783 drop",
    );
    const { fix, state, text } = (await check(one, three.address)).line("TCP 6783");
    assert.deepEqual([state, text], ["bad", "no answer: a firewall drops it, or the host is off"]);
    assert.equal(fix!.on, three.address);
    assert.match(fix!.iptables!, /^iptables -I INPUT -s 192\.168\.50\.1 -p tcp --dport 6783 -j ACCEPT$/);
    await nft(three, fix!.nft!.replace(/^nft /, ""));
    assert.equal((await check(one, three.address)).line("TCP 6783").state, "good", "the fix mends it");
    const own = (await check(three, one.address)).line("firewall");
    assert.equal(own.state, "good");
    await nft(three, "delete table inet filter");
    await three.run("down");
  },
  "the password differs": async (world) => {
    const [one, , three] = world.hosts as [Host, Host, Host];
    three.environment = { MESHNET_PASSWORD: "another" };
    await three.up();
    const { fix, state, text } = (await check(one, three.address)).line("password");
    assert.equal(state, "bad");
    assert.match(text, /the peer has a password and this host has none/);
    assert.match(fix!.command!, /--password-file/);
    await three.run("down");
    three.environment = {};
  },
  "UDP is dropped one way: each end says where, and this host's own firewall is named": async (world) => {
    const [one, two] = world.hosts as [Host, Host];
    await two.run("down");
    const unblock = await blockUdp(two, SLEEVE_PORT);
    await two.up("--peers", one.address);
    const here = await until("it is known", async () => {
      const report = await check(two, one.address);
      return report.line("UDP 6783").state === "bad" && report;
    }, { ms: 20_000, everyMs: 250 });
    assert.equal(here.line("UDP 6783").fix!.on, "this host");
    assert.match(
      here.line("UDP 6783").text,
      /firewall drops what other hosts send to UDP 6783: rule 1 of chain in/,
    );
    assert.equal(here.line("firewall").state, "bad");
    const there = await until("the other end knows", async () => {
      const report = await check(one, two.address);
      return report.line("UDP 6783").state === "bad" && report;
    }, { ms: 20_000, everyMs: 250 });
    assert.equal(there.line("UDP 6783").fix!.on, two.netns);
    assert.match(there.line("UDP 6783").fix!.nft!, /ip saddr 192\.168\.50\.1 udp dport 6783 accept/);
    await exec(["sh", "-c", here.line("UDP 6783").fix!.nft!], { netns: two.netns });
    for (const [host, other] of [[one, two], [two, one]] as const) {
      await until("the fix mends it", async () => (await check(host, other.address)).good, { everyMs: 250 });
    }
    await unblock();
  },
}));
