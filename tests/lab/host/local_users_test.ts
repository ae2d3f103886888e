/** What other users and programs of a host do to its daemon. */
import assert from "node:assert/strict";
import { callDaemon } from "../../../mod/control/client.ts";
import { links } from "../common/links.ts";
import { note } from "../common/notes.ts";
import { attempt, Background, FOLDER, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { type Host, PROGRAM } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

const NOBODY = "65534";
/** How long commands wait for an answer. */
const COMMAND_MS = 10_000;

/** The environment of a second router on a host. */
function otherFolders(host: Host): Readonly<Record<string, string>> {
  return {
    ...host.env,
    MESHNET_RUN_DIR: `${host.runDir}-other`,
    MESHNET_STATE_DIR: `${host.stateDir}-other`,
  };
}

/** Takes an abstract name as a user without rights, by a runtime that everybody may run. */
async function squat(host: Host, runtime: string): Promise<Background> {
  const code =
    `Deno.listen({ transport: "unix", path: "\\0meshnet/meshnet" }); setInterval(() => {}, 1e6); console.log("squatting");`;
  const cache = `${FOLDER}/${host.netns}/squatter-cache`;
  Deno.mkdirSync(cache, { recursive: true });
  Deno.chownSync(cache, Number(NOBODY), Number(NOBODY));
  const user = ["nsenter", "--setuid", NOBODY, "--setgid", NOBODY, `--net=/run/netns/${host.netns}`];
  const log = `${FOLDER}/${host.netns}/squatter`;
  const squatter = new Background([...user, runtime, "eval", "--no-config", code], log, {
    env: { DENO_DIR: cache },
  });
  await until("somebody squats", () => /^squatting$/m.test(squatter.output()), { ms: 20_000 });
  return squatter;
}

/** Starts a second router on a host, which must be refused. */
async function refuseSecond(host: Host): Promise<void> {
  const argv = [...PROGRAM, ...host.upCommand("--port", "7783")];
  const { code, stderr } = await attempt(argv, { netns: host.netns, env: otherFolders(host) });
  assert.equal(code, 1);
  assert.match(
    stderr,
    new RegExp(`Another router \\(process ${host.daemon.pid}\\) works in this network namespace already`),
  );
}

/** An open connection to a control socket that has sent the beginning of a request. */
async function slowClient(host: Host): Promise<Deno.Conn> {
  const open = async () => {
    try {
      return await Deno.connect({ transport: "unix", path: `${host.runDir}/control.sock` });
    } catch (error) {
      if (error instanceof Deno.errors.WouldBlock) return undefined; // the queue is full for a moment
      throw error;
    }
  };
  const connection = await until("the socket takes a connection", open, { ms: 20_000, everyMs: 10 });
  await connection.write(new TextEncoder().encode("GET /status HT")).catch(() => {}); // may be cut off already
  return connection;
}

function descriptors(host: Host): number {
  return [...Deno.readDirSync(`/proc/${host.daemon.pid}/fd`)].length;
}

function residentKiB(host: Host): number {
  return Number(/^VmRSS:\s*([0-9]+)/m.exec(Deno.readTextFileSync(`/proc/${host.daemon.pid}/status`))![1]);
}

/** Whether a process that this one started is the launcher, or the runtime before the program, and ignores SIGHUP. */
function survivesHangup(pid: number): boolean {
  if (Deno.readLinkSync(`/proc/${pid}/exe`) === Deno.execPath()) return false; // still a copy of this process
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return /^SigIgn:\s*[0-9a-f]*[13579bdf]$/m.test(status);
}

const takeOver = suite({ name: "host kernel, local users", open: () => hostWorld({ hosts: 1 }) }, {
  "a name that anybody may take does not keep the daemon from starting": async (world) => {
    const host = world.host(1);
    await host.up();
    await refuseSecond(host);
    const runtime = Deno.readLinkSync(`/proc/${host.daemon.pid}/exe`);
    await host.run("down");
    await host.daemon.ended();
    await using squatter = await squat(host, runtime);
    await host.up();
    assert.match(host.daemon.output(), new RegExp(`poses as a router pid=${squatter.pid} uid=${NOBODY}`));
    await refuseSecond(host);
    await host.run("down");
    await host.daemon.ended();
  },
  "a folder that everybody may write into is refused before anything is made": async (world) => {
    const host = world.host(1);
    Deno.mkdirSync(host.runDir, { recursive: true });
    Deno.chmodSync(host.runDir, 0o777);
    const { code, stderr } = await host.attempt(...host.upCommand());
    assert.equal(code, 1);
    assert.match(stderr, /everybody may write into .*chmod o-w/s);
    Deno.chmodSync(host.runDir, 0o755);
    assert.deepEqual((await links(host.netns)).map(({ ifname }) => ifname).includes("mesh-tap"), false);
  },
  "a limit that is too low gives a sentence, and nothing is made": async (world) => {
    const host = world.host(1);
    const folders = ["", "/pids"].map((name) => `/sys/fs/cgroup${name}`); // of both kinds of cgroups
    const threads = (limit: number) =>
      "mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/pids && " +
      folders.map((top) => `echo ${limit} >${top}/pids.max; echo 1 >${top}/pids.current; `).join("") +
      'exec unshare -C "$@"'; // the root of its cgroups, as a container sees it
    const cases: readonly (readonly [limit: readonly string[], says: RegExp])[] = [
      [["prlimit", "--nofile=16"], /Only 16 files/],
      [["prlimit", "--nofile=64"], /limit is 64/],
      [["prlimit", "--as=1024000000"], /address space/],
      [["unshare", "-m", "sh", "-c", threads(6), "sh"], /Only 5 more threads .* pids\.max is 6/],
      [["unshare", "-m", "sh", "-c", threads(16), "sh"], /pids\.max is 16/],
      [
        ["prlimit", "--nproc=3", "setpriv", "--reuid=65534", "--clear-groups"],
        /the limit of processes is 3, /,
      ],
    ];
    for (const [limit, says] of cases) {
      const { code, stderr } = await attempt([...limit, ...PROGRAM, ...host.upCommand()], {
        netns: host.netns,
        env: host.env,
      });
      assert.deepEqual([code, stderr.trim().split("\n").length], [1, 2], stderr);
      assert.match(stderr, /^meshnet: .*\nhint: /);
      assert.match(stderr, says);
    }
    assert.equal((await links(host.netns)).some(({ ifname }) => ifname === "mesh-tap"), false);
  },
  "SIGHUP while it starts does not end it": async (world) => {
    const host = world.host(1);
    const daemon = host.start();
    await until("the program has begun", () => survivesHangup(daemon.pid), { everyMs: 1 });
    daemon.kill("SIGHUP");
    await host.answers();
    daemon.kill("SIGHUP");
    await until("it has read its peers again", () => daemon.output().includes("nothing to reload"));
    await host.status();
    assert.equal(daemon.code, undefined);
  },
  "`reset --force` kills a daemon that hangs, and removes what it made": async (world) => {
    const host = world.host(1);
    host.daemon.kill("SIGSTOP");
    const { code, stdout, stderr } = await host.attempt("reset", "--force");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /Killed the daemon/);
    assert.equal((await links(host.netns)).some(({ ifname }) => ifname === "mesh-tap"), false);
    await host.up();
  },
  "a signal that comes twice at once, as `timeout` sends it, is an orderly end": async (world) => {
    const host = world.host(1);
    host.daemon.kill("SIGTERM");
    host.daemon.kill("SIGTERM");
    assert.equal(await host.daemon.ended(), 0);
    await host.up();
  },
  "the control socket comes back when somebody removes it, or its folder": async (world) => {
    const host = world.host(1);
    for (const path of [`${host.runDir}/control.sock`, host.runDir]) {
      Deno.removeSync(path, { recursive: true });
      await until("the socket is back", () => host.status(), { ms: 10_000 });
    }
  },
  "reset that names other folders takes nothing from a daemon that lives, not even with --force": async (
    world,
  ) => {
    const host = world.host(1);
    const before = await links(host.netns);
    const stateElsewhere = { ...otherFolders(host), MESHNET_STATE_DIR: host.stateDir };
    for (const env of [otherFolders(host), stateElsewhere]) {
      for (const force of [[], ["--force"]]) {
        const { code, stderr } = await attempt([...PROGRAM, "reset", "--yes", ...force], {
          netns: host.netns,
          env,
        });
        assert.equal(code, 1, stderr);
        assert.match(stderr, /--run-dir/);
      }
    }
    assert.deepEqual(await links(host.netns), before);
    await host.status();
    Deno.statSync(`${host.stateDir}/meshnet.db`);
  },
});

const crowd = suite({
  name: "host kernel, many local clients",
  open: () => hostWorld({ hosts: 1 }),
  prepare: (world) => world.host(1).up(),
}, {
  "hundreds who ask for the status at once are all answered": async (world) => {
    const { runDir } = world.host(1);
    const started = performance.now();
    const ask = () => callDaemon({ method: "GET", path: "/status" }, { runDir, timeoutMs: COMMAND_MS });
    await Promise.all(Array.from({ length: 500 }, ask));
    note(`${Math.round(performance.now() - started)} ms`);
  },
  "two thousand slow clients keep nobody out, and give everything back": async (world) => {
    const host = world.host(1);
    await host.status();
    const before = { files: descriptors(host), kib: residentKiB(host) };
    const clients: Deno.Conn[] = [];
    for (let i = 0; i < 2_000; i++) clients.push(await slowClient(host));
    const started = performance.now();
    await callDaemon({ method: "GET", path: "/status" }, { runDir: host.runDir, timeoutMs: COMMAND_MS });
    const ms = Math.round(performance.now() - started);
    const most = { files: descriptors(host), kib: residentKiB(host) };
    for (const client of clients) client.close();
    await until("all descriptors are back", () => descriptors(host) <= before.files);
    note(`answered after ${ms} ms; ${JSON.stringify({ before, most, after: residentKiB(host) })}`);
    assert.ok(ms < 8_000, `${ms} ms`);
    assert.ok(most.files - before.files < 300, `${most.files} descriptors`);
    assert.ok(most.kib - before.kib < 32 * 1024, `${most.kib} KiB`);
  },
});

declareTests(takeOver, crowd);
