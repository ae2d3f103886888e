/** What operators and their scripts see of a running mesh. */
import assert from "node:assert/strict";
import { exec, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { HistoryReport } from "../../../mod/control/history_types.ts";
import { STORE_FILE } from "../../../mod/sys/store.ts";
import { faultsOf } from "../../unit/control/schema.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

declareTests(suite({
  name: "host kernel, operator",
  open: () => hostWorld({ hosts: 2, containers: 1 }),
  prepare: (world) => world.upAll(),
}, {
  "wait returns when hosts are reached, and status --check tells well from degraded": async (world) => {
    const [one, two] = [world.host(1), world.host(2)];
    for (const host of [one, two]) await host.run("down");
    const waiting = one.attempt("wait", "--peers", "1", "--timeout", "60"); // before its daemon runs
    one.start();
    await one.answers();
    two.start("--peers", one.address);
    assert.deepEqual(await waiting, { code: 0, stdout: "1 other host reached.\n", stderr: "" });
    assert.equal((await two.attempt("wait", "--connected", one.address, "--timeout", "30")).code, 0);
    await until("status --check says ok", async () => (await two.attempt("status", "--check")).code === 0);
    await one.run("down");
    await until("status --check says degraded", async () => {
      const { code, stdout } = await two.attempt("status", "--check");
      return code === 4 && stdout.startsWith("degraded: ");
    });
    const late = await two.attempt("wait", "--connected", one.address, "--timeout", "0.2");
    assert.equal(late.code, 4);
    assert.match(late.stderr, /192\.168\.50\.1 is not reached: /);
    one.start();
    assert.equal((await two.attempt("connect", one.address, "--wait", "--timeout", "60")).code, 0);
    await one.answers(); // hosts connect before they answer commands
  },
  "who names a namespace as if it were a container is told how it is called": async (world) => {
    const { netns } = world.container(1);
    const { code, stderr } = await world.host(1).attempt("attach", netns);
    assert.equal(code, 1);
    assert.ok(stderr.endsWith(`hint: There is a namespace of that name: netns:${netns}\n`), stderr);
    assert.match(
      (await world.host(1).attempt("attach", "nobody")).stderr,
      /hint: Start it with --docker auto/,
    );
  },
  "an address that this host reaches elsewhere is given to no container, unless with --force": async (
    world,
  ) => {
    const [one, { netns }] = [world.host(1), world.container(1)];
    const refused = await one.attempt("attach", "192.168.50.9/24", `netns:${netns}`);
    assert.equal(refused.code, 1);
    assert.equal(
      refused.stderr,
      `meshnet: Cannot attach 192.168.50.9/24 to netns:${netns}: this host has a route to 192.168.50.0/24 by eth0\n` +
        "hint: Choose an address of another network, or attach it all the same with --force\n",
    );
    assert.equal((await one.status()).attachments.length, 0);
    await one.run("attach", "192.168.50.9/24", `netns:${netns}`, "--force");
    await one.run("attach", "10.9.1.1/24", `netns:${netns}`);
    await one.run("attach", "10.9.1.1/24", `netns:${netns}`); // it has it
    await one.run("detach", `netns:${netns}`);
  },
  "hosts of different ranges: one sentence says so, and what to do": async (world) => {
    const [one, two] = [world.host(1), world.host(2)];
    await one.run("prime");
    await two.run("down");
    two.start("--peers", one.address, "--ip-range", "10.99.0.0/16");
    await two.answers();
    // Until the other host has answered, and between two tries, there is nothing to tell.
    const problem = await until("it is told", async () => {
      return (await two.status()).problems.find(({ message }) => message.includes("Incompatible"));
    });
    assert.match(
      problem.message,
      /^(No connection to 192\.168\.50\.1: )?Incompatible IP allocation ranges \(received: 10\.32\.0\.0\/12, ours: 10\.99\.0\.0\/16\), to join theirs run "meshnet reset" and "meshnet up --ip-range 10\.32\.0\.0\/12"$/,
    );
    const shown = await until(
      "status shows it",
      async () => (await two.run("status")).match(/Incompatible/g) ?? undefined,
    );
    assert.equal(shown.length, 1);
    await two.run("down");
    two.start("--peers", one.address);
    await two.established();
  },
  "JSON is as the schema says": async (world) => {
    await world.host(1).attach(world.container(1), "10.32.1.1/24");
    for (const host of world.hosts) {
      await host.established();
      assert.deepEqual(faultsOf("StatusReport", JSON.parse(await host.run("status", "--json"))), []);
      assert.deepEqual(faultsOf("FullReport", JSON.parse(await host.run("report"))), []);
      for (const holder of JSON.parse(await host.run("ps", "--json"))) {
        assert.deepEqual(faultsOf("HolderReport", holder), []);
      }
    }
  },
  "the process is called meshnet, for ss too; its log has times in a file and priorities in the journal":
    async (
      world,
    ) => {
      const host = world.host(2);
      assert.equal(await Deno.readTextFile(`/proc/${host.daemon.pid}/comm`), "meshnet\n");
      assert.match(
        (await Deno.readTextFile(`/proc/${host.daemon.pid}/cmdline`)).split("\0")[0]!,
        /\/meshnet$/,
      );
      assert.match(await exec(["ss", "-Hltnp", "sport = :6783"], { netns: host.netns }), /\("meshnet",pid=/);
      assert.match(host.daemon.output(), /^[0-9-]+T[0-9:.]+Z INFO {2}running /m);
      await host.run("down");
      const { dev, ino } = await Deno.stat(host.log); // as systemd tells of the journal's socket
      const { environment } = host;
      host.environment = { ...environment, JOURNAL_STREAM: `${dev}:${ino}` };
      host.start();
      await host.answers();
      host.environment = environment;
      assert.match(host.daemon.output(), /^<6>running /m);
      await host.established();
    },
  "a peer that leaves is among the lost with the reason, and the history outlives kill -9": async (world) => {
    const [one, two] = [world.host(1), world.host(2)];
    for (const host of world.hosts) {
      await until(`${host.netns} misses nobody`, async () => (await host.status()).lost.length === 0);
    }
    await two.run("down");
    const lost = await until("the other one says whom it lost", async () => (await one.status()).lost[0]);
    assert.deepEqual([lost.peer, lost.address.startsWith(two.address)], [two.peerName, true]);
    assert.notEqual(lost.reason, "");
    const shown = await one.run("status");
    assert.match(shown, /^Lost .*02:00:00:00:50:02.* ago: /m);
    const itsOwn = await two.attempt("history"); // what it has left
    assert.equal(itsOwn.code, 0);
    assert.match(itsOwn.stdout, /established .*02:00:00:00:50:01/);
    assert.match(itsOwn.stdout, /stopped .*control socket\n$/);
    two.start();
    await two.answers();
    await until("it is not lost any more", async () => (await one.status()).lost.length === 0);
    const entries: HistoryReport[] = JSON.parse(await one.run("history", "--json"));
    for (const entry of entries) assert.deepEqual(faultsOf("HistoryReport", entry), []);
    const left = entries.findLast(({ event, peer }) => event === "disconnected" && peer === two.peerName);
    // The file is locked, so it is searched for the entry's text.
    await until("it is written", () => {
      const files = [STORE_FILE, `${STORE_FILE}-wal`].map((name) => `${one.stateDir}/${name}`);
      return files.some((file) => Deno.readTextFileSync(file).includes(JSON.stringify(left)));
    });
    one.daemon.kill("SIGKILL");
    await one.daemon.ended();
    const before = JSON.parse((await one.attempt("history", "--json")).stdout);
    assert.ok(before.some(({ at }: HistoryReport) => at === left!.at));
    one.start();
    await one.answers();
    const after: HistoryReport[] = JSON.parse(await one.run("history", "--json"));
    assert.match(after.findLast(({ event }) => event === "started")!.reason!, /ended without a word/);
    assert.deepEqual(after.slice(0, before.length), before);
    await one.established();
  },
  "SIGHUP takes peers over and says what needs a restart; report and status targets say what is in force, and why":
    async (
      world,
    ) => {
      const host = world.host(1);
      await host.run("down");
      const file = `${host.stateDir}/meshnet.toml`;
      const write = (...lines: readonly string[]) => Deno.writeTextFile(file, lines.join("\n"));
      await write('peers = ["192.168.50.2"]', "conn-limit = 9");
      host.start("--config", file);
      await host.answers();
      await host.run("connect", "192.168.50.77");
      await write('peers = ["192.168.50.2", "192.168.50.78"]', "conn-limit = 10");
      host.daemon.kill("SIGHUP");
      await until(
        "the new peer is a target",
        async () => (await host.status()).targets.includes("192.168.50.78"),
      );
      assert.match(host.daemon.output(), /settings have changed that need a restart.* settings=conn-limit/);
      const { targetStates } = await host.status();
      assert.deepEqual(targetStates.map(({ from, target }) => [target, from]), [
        ["192.168.50.2", `peers in ${file}`],
        ["192.168.50.77", "meshnet connect"],
        ["192.168.50.78", `peers in ${file}`],
      ]);
      const { config, status } = await host.report();
      assert.deepEqual(config["conn-limit"], { value: 9, from: `conn-limit in ${file}` });
      assert.deepEqual(config["peers"], {
        value: ["192.168.50.2", "192.168.50.78"],
        from: `peers in ${file}`,
      });
      assert.deepEqual(config["mtu"], { value: status.datapath.mtu, from: "underlay" });
      await write('peers = ["192.168.50.2"', "conn-limit = 10");
      host.daemon.kill("SIGHUP");
      await until(
        "the log names the fault",
        () => /cannot reload.*meshnet\.toml:2/.test(host.daemon.output()),
      );
      assert.equal((await host.attempt("config", "check", "--config", file)).code, 2);
      await host.run("down");
      host.start();
      await host.answers();
      assert.deepEqual((await host.status()).targetStates.map(({ from }) => from), [
        ...["remembered", "meshnet connect", "remembered"],
      ]);
      await host.run("forget", "192.168.50.77", "192.168.50.78");
    },
}));
