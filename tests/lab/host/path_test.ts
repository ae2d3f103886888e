/** `meshnet ping` and `meshnet trace`: every hop by name, and which of them swallows what is sent. */
import assert from "node:assert/strict";
import type { CheckReport, PathReport } from "../../../mod/control/doctor_types.ts";
import { faultsOf } from "../../unit/control/schema.ts";
import { line, lineIsKnown, mesh } from "../common/arrangements.ts";
import { note } from "../common/notes.ts";
import { attempt, exec, ip, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host } from "../common/world.ts";
import { declareTests, hostWorld, linksSettled, OVERLAY } from "./host_lab.ts";
import { ask } from "./sharing.ts";
import { SLEEVE_PORT, UDP_PORTS } from "./underlay.ts";

/** What a command says, for people and as JSON. Its exit code must be that of the report. */
async function follow(host: Host, ...args: readonly string[]): Promise<PathReport> {
  const { code, stderr, stdout } = await host.attempt(...args, "--json");
  assert.match(stdout, /^\{/, stderr);
  const report = JSON.parse(stdout) as PathReport;
  assert.equal(code, report.reached ? 0 : 4, stdout);
  assert.deepEqual(faultsOf("PathReport", report), []);
  note(`${args.join(" ")}: ${report.reached ? `reached in ${report.ms} ms` : report.verdict}`);
  return report;
}

/** Follows a way until the verdict is in these words: a host that waits for a processor may miss the time for its answer. */
async function found(host: Host, words: RegExp, ...args: readonly string[]): Promise<PathReport> {
  let last: string | undefined;
  return await until(`${args.join(" ")} finds ${words}`, async () => {
    const report = await follow(host, ...args);
    last = report.verdict;
    return words.test(report.verdict) && report;
  }).catch((error) => {
    throw new Error(`${error}: it says ${last}`);
  });
}

const two = suite({
  name: "host kernel, ways, two hosts",
  open: () => hostWorld({ hosts: 2, containers: 3 }),
  prepare: async (world) => {
    await mesh(world);
    await linksSettled(world);
    await world.host(1).attach(world.container(3), "10.2.1.3/24");
  },
}, {
  "ping names container, host, overlay, host and container, each with its time": async (world) => {
    const [one, two] = [world.host(1), world.host(2)];
    const report = await follow(one, "ping", "10.2.1.2");
    assert.ok(report.reached);
    assert.match(report.from!.target!, /c[13]$/);
    assert.deepEqual(report.hops.map(({ nickname }) => nickname), [one.netns, two.netns]);
    assert.equal(report.hops[0]!.link!.overlay, OVERLAY);
    assert.ok(report.hops[1]!.ms! > 0 && report.ms! > 0);
    // That of a tunnel is measured while it carries traffic.
    const { rttMs } = report.hops[0]!.link!;
    assert.ok(rttMs === null ? OVERLAY === "fastdp" : rttMs > 0, `${rttMs}`);
    assert.equal(report.to!.target, `netns:${world.container(2).netns}`);
    const text = await one.run("ping", "10.2.1.2");
    note(text);
    const overlay = `overlay.*${OVERLAY}, in clear, MTU`;
    assert.match(
      text,
      new RegExp(`container.*\\nhost.*h1.*\\n${overlay}.*\\nhost.*h2.*\\ncontainer.*10\\.2\\.1\\.2`),
    );
    assert.match(text, /\nreached\n$/);
  },
  "ping knows hosts by nickname, names, and what is on this host": async (world) => {
    const one = world.host(1);
    assert.equal((await follow(one, "ping", world.host(2).netns)).hops.length, 2);
    await world.host(2).run("attach", "--name", "db", `netns:${world.container(2).netns}`);
    await until("the name is known", async () => (await one.attempt("dns", "lookup", "db")).code === 0);
    assert.ok((await follow(one, "ping", "db")).reached);
    const here = await follow(one, "ping", "10.2.1.3");
    assert.ok(here.reached);
    assert.equal(here.hops.length, 1);
    const { code, stderr } = await one.attempt("ping", "nobody");
    assert.equal(code, 1);
    assert.match(stderr, /it is no address, no name and no host\nhint: .*dns list/);
  },
  "trace does not call reached what the target's own routes do not": async (world) => {
    const [one, { netns }] = [world.host(1), world.container(2)];
    const from = ["--from", `netns:${world.container(1).netns}`];
    await world.host(2).run("attach", "10.9.9.2/24", `netns:${netns}`);
    const other = await attempt(["ping", "-n", "-c", "1", "-W", "1", "10.9.9.2"], {
      netns: world.container(1).netns,
    });
    assert.match(other.stderr, /unreachable/);
    await found(
      one,
      /has no route to 10\.9\.9\.2, as it has 10\.2\.1\.1\/24: /,
      "trace",
      "10.9.9.2",
      ...from,
    );
    assert.equal(
      (await follow(one, "trace", "10.9.9.2")).from,
      null,
      "nobody here has a way, so the host asks",
    );
    await one.run("attach", "10.9.9.1/24", from[1]!);
    const report = await follow(one, "trace", "10.9.9.2", ...from);
    assert.deepEqual([report.reached, report.from!.address], [true, "10.9.9.1"]);
    await one.run("detach", "10.9.9.1/24", from[1]!);
    await world.host(2).run("detach", "10.9.9.2/24", `netns:${netns}`);
  },
  "trace counts what flows carry, there and back": async (world) => {
    const from = ["--from", `netns:${world.container(1).netns}`];
    const report = await follow(world.host(1), "trace", "10.2.1.2", ...from);
    assert.ok(report.reached, report.verdict);
    for (const { back, nickname, there } of report.hops) {
      assert.ok((there.after ?? 0) > (there.before ?? 0), `${nickname} ${JSON.stringify(report)}`);
      assert.ok((back.after ?? 0) > (back.before ?? 0), `${nickname} ${JSON.stringify(report)}`);
    }
    note(await world.host(1).run("trace", "10.2.1.2", ...from));
  },
  "a container that does not answer: its host says why": async (world) => {
    const { netns } = world.container(2);
    const rules = [
      "add table arp eat",
      "add chain arp eat in { type filter hook input priority 0; policy drop; }",
    ];
    await exec(["nft", "-f", "-"], { netns, input: rules.join("\n") });
    const words = new RegExp(`${netns} on .*h2 was asked and did not answer`);
    const deaf = await found(world.host(1), words, "trace", "10.2.1.2");
    assert.equal(deaf.to!.target, `netns:${netns}`);
    await exec(["nft", "delete", "table", "arp", "eat"], { netns });
    await until("it answers again", async () => (await follow(world.host(1), "ping", "10.2.1.2")).reached);
    await found(
      world.host(1),
      /^nobody answers for 10\.2\.1\.99, and no host .* attached$/,
      "ping",
      "10.2.1.99",
    );
  },
  "what is swallowed between two hosts is found by counting": async (world) => {
    const [one, two] = [world.host(1), world.host(2)];
    // Only what is as large as frames of a container, so that heartbeats go on. What the user-space path says of itself is
    // as large: beside a tunnel that is left alone, as without it a link breaks that leaves its tunnel for a moment.
    const port = OVERLAY === "fastdp" ? SLEEVE_PORT + 1 : UDP_PORTS;
    await exec(["nft", "-f", "-"], {
      netns: two.netns,
      input: [
        "add table inet eat",
        "add chain inet eat in { type filter hook input priority 0; }",
        `add rule inet eat in ip saddr ${one.address} udp dport ${port} meta length 70-100 drop`,
      ].join("\n"),
    });
    const words = /the probe left .*h1 and did not arrive at .*h2: what is between them swallowed it/;
    await found(one, words, "trace", "10.2.1.2", "--from", `netns:${world.container(1).netns}`);
    await exec(["nft", "delete", "table", "inet", "eat"], { netns: two.netns });
  },
  "a host that left: it, its containers and its names say so": async (world) => {
    const [one, two] = [world.host(1), world.host(2)];
    await two.run("attach", "--name", "gone", `netns:${world.container(2).netns}`);
    const given = (await two.run("ipam", "allocate", "somebody")).trim().split("/")[0]!;
    await until("the name is known", async () => (await one.attempt("dns", "lookup", "gone")).code === 0);
    await until("so is who owns the address", async () => {
      return (await one.status()).ipam!.owners.some(({ peer }) => peer === two.peerName);
    });
    await two.run("down");
    await two.daemon.ended();
    await until("it has left", async () => (await one.status()).peers.length === 1);
    // Its names stay as long as the host answers that nobody listens there: a daemon that restarts is soon back.
    assert.equal((await one.attempt("dns", "lookup", "gone")).code, 0);
    const left = /h2 was here and left \d+ s ago \(.*\); .*`meshnet check 192\.168\.50\.2`/;
    assert.match((await follow(one, "ping", two.netns)).verdict, left);
    assert.match((await follow(one, "trace", two.peerName!)).verdict, left);
    const address = (await follow(one, "ping", given)).verdict;
    assert.match(
      address,
      new RegExp(`^nobody answers for ${given}, .*: it is of the addresses of .*h2\\. .*h2 was here`),
    );
    // What is in the kernels stays: over tunnels the container may answer all the same.
    const { reached, verdict } = await follow(one, "ping", "10.2.1.2");
    if (!(reached && OVERLAY === "fastdp")) {
      assert.match(verdict, /it may have been on .*h2, which left \d+ s ago/);
    }
    await ip(["link set p2 down"], world.fabric);
    await until("its names have left", async () => (await one.attempt("dns", "lookup", "gone")).code !== 0);
    const { code, stderr } = await one.attempt("ping", "gone");
    await ip(["link set p2 up"], world.fabric);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /no address, no name and no host\nhint: .*names go with their host: .*h2, which left/,
    );
    const check = JSON.parse((await one.attempt("check", two.netns, "--json")).stdout) as CheckReport;
    assert.equal(check.address, two.address);
    assert.match(check.lines[0]!.text, left);
    await two.up("--peers", one.address);
    await until("it is here again", async () => (await follow(one, "ping", two.netns)).reached);
  },
  "questions beyond the bound get no answer, and cost nobody else his": async (world) => {
    const one = world.host(1);
    const question = { to: world.host(2).netns, from: null, probe: false };
    const many = await Promise.all(Array.from({ length: 40 }, () => ask<PathReport>(one, "/path", question)));
    const answered = many.filter(({ reached }) => reached).length;
    note(`${answered} of ${many.length} at once are answered`);
    assert.ok(answered > 0);
    await until("it is answered again", async () => (await follow(one, "ping", "10.2.1.2")).reached);
  },
});

const three = suite({
  name: "host kernel, ways, a line of three hosts",
  open: () => hostWorld({ hosts: 3, containers: 3 }),
  prepare: async (world) => {
    await line(world);
    await linksSettled(world); // flows are counted anew when that changes
  },
}, {
  "the host in the middle is a hop": async (world) => {
    const report = await follow(
      world.host(1),
      "trace",
      "10.2.1.3",
      "--from",
      `netns:${world.container(1).netns}`,
    );
    assert.ok(report.reached, report.verdict);
    assert.deepEqual(report.hops.map(({ nickname }) => nickname), world.hosts.map(({ netns }) => netns));
    const [, middle] = report.hops;
    assert.ok((middle!.there.after ?? 0) > (middle!.there.before ?? 0), JSON.stringify(middle));
  },
  "an address of IPv6, and what is attached here by what it is called": async (world) => {
    const [one, three] = [world.host(1), world.host(3)];
    for (const [n, host] of [[1, one], [3, three]] as const) {
      await host.run("attach", `fd00:2::${n}/64`, `netns:${world.container(n).netns}`);
    }
    const from = ["--from", `netns:${world.container(1).netns}`];
    const report = await until("duplicates are looked for, and it answers", async () => {
      const found = await follow(one, "ping", "fd00:2::3", ...from);
      return found.reached && found;
    });
    assert.deepEqual(report.hops.map(({ nickname }) => nickname), world.hosts.map(({ netns }) => netns));
    assert.deepEqual([report.to!.target, report.to!.address], [
      `netns:${world.container(3).netns}`,
      "fd00:2::3",
    ]);
    assert.ok(report.ms! > 0);
    await exec(["nft", "-f", "-"], {
      netns: world.container(3).netns,
      input: "add table ip6 eat\nadd chain ip6 eat in { type filter hook input priority 0; policy drop; }\n",
    });
    await found(one, /c3 on .*h3 was asked and did not answer/, "ping", "fd00:2::3", ...from);
    await exec(["nft", "delete", "table", "ip6", "eat"], { netns: world.container(3).netns });
    const here = await follow(three, "ping", `netns:${world.container(3).netns}`);
    assert.deepEqual([here.reached, here.hops.length], [true, 1], here.verdict);
  },
  "a host that lacks the extension is named as such": async (world) => {
    const middle = world.host(2);
    await middle.run("down");
    middle.environment = { MESHNET_WITHOUT: "path1" };
    await middle.up("--no-discovery", "--peers", world.host(1).address);
    await middle.established(2);
    await lineIsKnown(world);
    await world.container(1).reaches("10.2.1.3", { ms: 30_000 });
    const report = await follow(world.host(1), "ping", "10.2.1.3");
    assert.ok(report.reached, "the address answers all the same");
    assert.match(report.hops[1]!.silent!, /does not understand such questions/);
  },
});

declareTests(two, three);
