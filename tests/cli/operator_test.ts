import assert from "node:assert/strict";
import type { StatusReport } from "../../mod/control/api_types.ts";
import { EXAMPLE } from "../unit/control/example_status.ts";
import { startControlServer } from "../../mod/control/server.ts";
import { faultsOf } from "../unit/control/schema.ts";
import { api, asked, HISTORY, withDaemon } from "./fake_daemon.ts";
import { assertSnapshot, meshnet, withFolder } from "./run_meshnet.ts";

/** All is well. */
const WELL: StatusReport = {
  ...EXAMPLE,
  problems: [],
  targets: ["host2"],
  targetStates: EXAMPLE.targetStates.slice(0, 1),
  connections: EXAMPLE.connections.filter(({ state }) => state === "established"),
  ipam: { ...EXAMPLE.ipam!, owners: EXAMPLE.ipam!.owners.filter(({ reachable }) => reachable) },
};
/** Nobody else is there yet. */
const ALONE: StatusReport = {
  ...WELL,
  targetStates: [{ ...EXAMPLE.targetStates[1]!, target: "host2" }],
  connections: [],
  peers: EXAMPLE.peers.filter(({ name }) => name === EXAMPLE.name).map((one) => ({
    ...one,
    connections: [],
  })),
};

Deno.test("meshnet status --check says in one line that all is well, or what is not, and exits 0 or 4", async () => {
  await withDaemon(async (run) => {
    assert.deepEqual(await run("status", "--check"), {
      ...{ code: 0, stdout: "ok: 1 other host reached\n", stderr: "" },
    });
  }, WELL);
  await withDaemon(async (run) => {
    const { code, stdout } = await run("status", "--check");
    assert.equal(code, 4);
    // The other one is a host that owns addresses and is away.
    assert.equal(
      stdout,
      `degraded: ${EXAMPLE.problems[0]!.message} (and 1 more, see \`meshnet status\`)\n`,
    );
  });
  await withDaemon(async (run) => {
    const { code, stdout } = await run("status", "--check");
    assert.equal(code, 4);
    assert.equal(stdout, `degraded: host2 is not connected: ${EXAMPLE.targetStates[1]!.info}\n`);
  }, ALONE);
  await withFolder(async (folder) => {
    const { code, stdout } = await meshnet(["status", "--check", "--run-dir", folder]);
    assert.deepEqual([code, stdout], [3, ""]);
  });
  await withDaemon(async (run) => {
    assert.equal((await run("status", "peers", "--check")).code, 2);
    assert.equal((await run("status", "--json", "--check")).code, 2);
  });
});

Deno.test("meshnet wait returns when hosts are reached, and says what is missing when its time is over", async () => {
  await withDaemon(
    async (run) => {
      const { code, stdout } = await run("wait", "--peers", "1", "--timeout", "20");
      assert.deepEqual([code, stdout], [0, "1 other host reached.\n"]);
    },
    ALONE,
    ALONE,
    WELL,
  );
  await withDaemon(async (run) => {
    for (const host of ["host2", "192.0.2.2", "192.0.2.2:6783", "8a:3e:11:02:9c:02"]) {
      assert.equal((await run("wait", "--connected", host, "--timeout", "0")).code, 0, host);
    }
    assert.equal((await run("wait", "--timeout", "0")).code, 0);
    const more = await run("wait", "--peers", "2", "--timeout", "0.2");
    assert.deepEqual([more.code, more.stdout], [4, ""]);
    assert.match(more.stderr, /^meshnet: Not within 0.2 s: 1 of 2 other hosts are reached\nhint: /);
    const other = await run("wait", "--connected", "host2,host3", "--timeout", "0");
    assert.equal(other.code, 4);
    assert.match(other.stderr, /host3 is not reached/);
  }, WELL);
  await withDaemon(async (run) => {
    const { code, stderr } = await run("wait", "--connected", "host2", "--timeout", "0");
    assert.equal(code, 4);
    assert.match(stderr, /host2 is not reached: nothing listens on 192.0.2.7:6783/);
  }, ALONE);
  await withFolder(async (folder) => {
    const started = performance.now();
    const { code } = await meshnet(["wait", "--timeout", "0.5", "--run-dir", folder]);
    assert.equal(code, 3);
    assert.ok(performance.now() - started >= 400, "a daemon that is starting is waited for");
  });
  for (const args of [["--peers", "two"], ["--peers", "-1"], ["--connected", "a,,b"], ["--timeout", "x"]]) {
    const { code, stderr } = await meshnet(["wait", ...args]);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, new RegExp(args[0]!));
  }
});

Deno.test("meshnet connect --wait returns when the hosts are reached, or exits 4", async () => {
  await withDaemon(
    async (run) => {
      asked.length = 0;
      const { code, stdout } = await run("connect", "host2", "--wait");
      assert.deepEqual([code, stdout], [0, "Connected; 1 target: host2\n"]);
      assert.deepEqual(asked, [{ targets: ["host2"], replace: false }]);
    },
    ALONE,
    WELL,
  );
  await withDaemon(async (run) => {
    assert.equal((await run("connect", "host2", "--wait", "--timeout", "0.1")).code, 4);
    assert.equal((await run("connect", "host2", "--timeout", "1")).code, 2);
  }, ALONE);
});

Deno.test("meshnet history lists what happened, for people and as JSON", () =>
  withDaemon(async (run) => {
    await assertSnapshot("history", (await run("history")).stdout);
    assert.deepEqual(JSON.parse((await run("history", "--json")).stdout), HISTORY);
  }));

Deno.test("meshnet history exits 3 where no daemon runs and none has left anything", () =>
  withFolder(async (folder) => {
    const { code, stdout } = await meshnet([
      "history",
      "--run-dir",
      folder,
      "--state-dir",
      `${folder}/state`,
    ]);
    assert.deepEqual([code, stdout], [3, ""]);
    assert.deepEqual([...Deno.readDirSync(folder)], [], "reading makes nothing");
  }));

Deno.test("meshnet config check prints each setting that is no default, and where it comes from", () =>
  withFolder(async (folder) => {
    const file = `${folder}/meshnet.toml`;
    await Deno.writeTextFile(file, 'peers = ["host2", "host3"]\nport = 7000\nconn-limit = 9\n');
    await Deno.writeTextFile(`${folder}/password`, "s3cret\n", { mode: 0o600 });
    const env = { MESHNET_PORT: "7001", MESHNET_PASSWORD_FILE: `${folder}/password`, MESHNET_PORTT: "1" };
    const { code, stderr, stdout } = await meshnet(
      ["config", "check", "--config", file, "--mtu", "1300"],
      env,
    );
    assert.equal(code, 0);
    assert.equal(
      stderr,
      "warning: Nothing reads the environment variable MESHNET_PORTT; did you mean MESHNET_PORT?\n",
    );
    for (
      const line of [
        `peers +host2,host3 +peers in ${file}`,
        "port +7001 +MESHNET_PORT",
        `conn-limit +9 +conn-limit in ${file}`,
        "mtu +1300 +--mtu",
        "All other settings are defaults. A password is set.",
      ]
    ) assert.match(stdout, new RegExp(`^${line}$`, "m"));
    assert.ok(!stdout.includes("s3cret"));
    const origins = JSON.parse((await meshnet(["config", "check", "--config", file, "--json"], env)).stdout);
    assert.deepEqual(origins["port"], { value: "7001", from: "MESHNET_PORT" });
    assert.deepEqual(origins["dns-order"], { value: "balanced", from: "default" });
  }));

Deno.test("a command that waits for other hosts says what it waits for, once for each reason, on standard error", () =>
  withFolder(async (folder) => {
    const removal = { peer: "8a:3e:11:02:9c:03", nickname: "host3", heir: null };
    const waits = (missing: readonly string[], info: string): StatusReport => ({
      ...WELL,
      ipam: { ...WELL.ipam!, state: "awaiting-consensus", info, removals: [{ ...removal, missing }] },
    });
    const states = [waits(["8a:3e:11:02:9c:02"], "a"), waits(["8a:3e:11:02:9c:02"], "a"), waits([], "b")];
    let asked = 0;
    let go = () => {};
    const status = () => {
      const state = states[Math.min(asked++, states.length - 1)]!;
      if (asked > states.length) go(); // whoever asks again has told of what he heard before
      return state;
    };
    const answered = <T>(answer: T) => new Promise<T>((resolve) => go = () => resolve(answer));
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    const removePeers = () => answered({ peers: ["host3"], addresses: 512 });
    const prime = () => answered({ done: true as const });
    await using _server = await startControlServer({ ...api, status, removePeers, prime }, {
      ...{ runDir: folder, logger },
    });
    const env = { MESHNET_RUN_DIR: folder };
    assert.deepEqual(await meshnet(["rmpeer", "host3"], env), {
      code: 0,
      stdout: "This host took over 512 addresses of 1 host.\n",
      stderr: "waiting: host2 (8a:3e:11:02:9c:02) must agree that host3 is gone for good\n" +
        "waiting: host3 is being taken over from\n",
    });
    asked = 0;
    assert.deepEqual(await meshnet(["prime"], env), {
      ...{ code: 0, stdout: "The range is shared out.\n", stderr: "waiting: a\nwaiting: b\n" },
    });
  }));

Deno.test("meshnet report says what can be said where no daemon runs: settings, files, host, faults", () =>
  withFolder(async (folder) => {
    const config = `${folder}/meshnet.toml`;
    await Deno.writeTextFile(config, "conn-limit = 9\n");
    const where = ["--run-dir", `${folder}/run`, "--state-dir", `${folder}/state`, "--config", config];
    const { code, stderr, stdout } = await meshnet(["report", ...where], { MESHNET_PASSWORD: "s3cret" });
    assert.equal(code, 3);
    assert.match(stderr, /^meshnet: The daemon is not running/);
    const report = JSON.parse(stdout);
    assert.deepEqual(faultsOf("StoppedReport", report), []);
    assert.deepEqual(report.config["conn-limit"], { value: 9, from: `conn-limit in ${config}` });
    assert.equal(report.status, null);
    assert.deepEqual(report.files.map(({ path }: { path: string }) => path), [config]);
    assert.match(report.doctor.faults[0].message, /The daemon is not running/);
    assert.doesNotMatch(stdout, /s3cret/);
    await Deno.writeTextFile(config, "conn-limt = 9\n");
    const wrong = JSON.parse((await meshnet(["report", ...where])).stdout);
    assert.equal(wrong.config, null);
    assert.ok(wrong.doctor.faults.some(({ message }: { message: string }) => message.includes("conn-limt")));
  }));

Deno.test("other words than ours lead to the command that is meant", async () => {
  const meant: readonly (readonly [string, string])[] = [
    ["start", "up"],
    ["stop", "down"],
    ["peers", "status peers"],
    ["connections", "status connections"],
    ["uninstall", "reset"],
    ["names", "dns list"],
  ];
  for (const [typed, command] of meant) {
    const { code, stderr } = await meshnet([typed]);
    assert.equal(code, 2);
    assert.ok(stderr.includes(`Did you mean \`meshnet ${command}\`?`), stderr);
  }
  assert.match((await meshnet(["logs"])).stderr, /journalctl -u meshnet/);
});
