/** What operators may do who are not root, and what is asked before everything is removed. */
import assert from "node:assert/strict";
import { attempt, exec, type Output, pause, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { type Host, PROGRAM } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

/** Of nobody's account. */
const GROUP = 54_321;

declareTests(suite({
  name: "host kernel, careful",
  open: () => hostWorld({ hosts: 1, containers: 1 }),
}, {
  "members of --socket-group may look, and change nothing; others may do neither": async (world) => {
    const host = world.host(1);
    host.start("--socket-group", String(GROUP));
    await host.answers();
    await Deno.chmod(host.runDir, 0o755);
    for (
      const words of [["status"], ["status", "--json"], ["ps"], ["history"], ["dns", "list"], ["report"]]
    ) {
      const { code, stderr } = await as(host, GROUP, ...words);
      assert.deepEqual([code, stderr], [0, ""], words.join(" "));
    }
    for (
      const words of [["connect", "192.168.50.9"], ["down"], ["ipam", "allocate", "x"], ["attach", "netns:x"]]
    ) {
      const { code, stderr } = await as(host, GROUP, ...words);
      assert.notEqual(code, 0, words.join(" "));
      assert.match(
        stderr,
        /permission denied\nhint: Run the command as root; with `meshnet up --socket-group GROUP`/,
      );
    }
    for (const removed of ["status.sock", "", ""]) {
      await pause(1_000); // all is quiet: what follows a change of the folder is over
      await Deno.remove(`${host.runDir}/${removed}`, { recursive: true });
      await until("the group's socket is made again", async () => {
        await Deno.chmod(host.runDir, 0o755).catch(() => {}); // whatever the umask is
        return (await as(host, GROUP, "status")).code === 0;
      });
      assert.match(host.daemon.output(), /a socket was removed, and is made again socket=status /);
    }
    await host.answers();
    const stranger = await as(host, GROUP + 1, "status");
    assert.deepEqual([stranger.code, stranger.stdout], [1, ""]);
    assert.deepEqual((await host.status()).targets, []);
    await host.run("down");
    assert.deepEqual([...Deno.readDirSync(host.runDir)].map(({ name }) => name), []);
    const wrong = await host.attempt("up", "--socket-group", "no-such-group");
    assert.equal(wrong.code, 2);
  },
  "reset of a host whose daemon is dead says what it removes, and that nobody has its addresses": async (
    world,
  ) => {
    const host = world.host(1);
    host.start();
    await host.answers();
    await host.attach(world.container(1), "net:default");
    host.daemon.kill("SIGKILL");
    await host.daemon.ended();
    const { netns } = world.container(1);
    const told = new RegExp(`not handed over .*\\\`meshnet rmpeer ${host.peerName}\\\``);
    const dry = await host.run("reset", "--dry-run");
    for (
      const line of [
        `cut netns:${netns} off, which has 10\\.3[0-9.]+/12`,
        `give the resolv.conf of netns:${netns} back as it was`,
        "remove interface meshnet",
        "remove .*meshnet\\.db: .*",
      ]
    ) {
      assert.match(dry, new RegExp(`^  ${line}$`, "m"));
    }
    assert.match(dry, told);
    assert.doesNotMatch(await host.run("reset", "--dry-run", "--keep-state"), told);
    assert.match(await host.run("reset", "--yes"), told);
    const nothing = await onTerminal(host, "", "reset");
    assert.deepEqual([nothing.code, nothing.stdout.trim()], [0, "Nothing of meshnet is on this host."]);
  },
  "reset without a terminal does nothing unless it is told to, and is not ended by who reads what it says":
    async (
      world,
    ) => {
      const host = world.host(1);
      await host.up();
      await host.attach(world.container(1), "10.2.1.1/24");
      const options = { env: host.env, netns: host.netns };
      for (const more of [[], ["--keep-state"], ["--force"]]) {
        const { code, stderr } = await attempt([...host.program, "reset", ...more], options);
        assert.equal(code, 2);
        assert.match(
          stderr,
          /^meshnet: Cannot reset without a question: .*\nhint: Add --yes: `meshnet reset --yes`/,
        );
      }
      assert.equal((await host.status()).attachments.length, 1, "nothing was touched");
      await exec(["sh", "-c", `"$@" reset --yes | head -c 1`, "sh", ...host.program], options);
      await host.daemon.ended();
      await until("all of it has gone", async () => {
        return await host.run("reset", "--dry-run") === "Nothing of meshnet is on this host.\n";
      }, { ms: 20_000 });
    },
  "config check refuses what up refuses on this host, beside a running daemon too": async (world) => {
    const host = world.host(1);
    const check = async (...words: readonly string[]) => {
      const { code, stderr } = await host.attempt("config", "check", ...words);
      return `${code} ${stderr}`;
    };
    assert.equal(await check(), "0 ");
    const unsafe = `${host.stateDir}-unsafe`;
    await Deno.mkdir(unsafe);
    await Deno.chmod(unsafe, 0o777);
    const wrong: readonly (readonly [readonly string[], RegExp])[] = [
      [
        ["--host", "1.2.3.4"],
        /^2 meshnet: Cannot listen on 1\.2\.3\.4: this host does not have that address\nhint: /,
      ],
      [["--ip-range", "192.168.0.0/16"], /^[12] meshnet: .*192\.168\.50\.0\/24/],
      [["--state-dir", unsafe], /^[12] meshnet: .*-unsafe/],
    ];
    for (const [words, said] of wrong) {
      const up = await host.attempt("up", ...words);
      assert.match(`${up.code} ${up.stderr.slice(up.stderr.indexOf("meshnet: "))}`, said);
      assert.match(await check(...words), said);
    }
    host.start();
    await host.answers();
    assert.equal(await check(), "0 ", "its own daemon has the ports");
    for (const [words, said] of wrong) assert.match(await check(...words), said);
    assert.equal(await check("--settings-only", "--ip-range", "192.168.0.0/16"), "0 ");
    await host.run("reset", "--yes");
  },
  "reset --dry-run says what it would do and changes nothing; on a terminal it asks, and no is no": async (
    world,
  ) => {
    const host = world.host(1);
    host.start();
    await host.answers();
    await host.attach(world.container(1), "10.2.1.1/24");
    const dry = await host.run("reset", "--dry-run");
    for (
      const line of [
        "stop the daemon, process [0-9]+",
        "cut netns:.* off, which has 10\\.2\\.1\\.1/24",
        "remove interface meshnet",
        "remove .*meshnet\\.db: this host's name.*",
      ]
    ) {
      assert.match(dry, new RegExp(`^  ${line}$`, "m"));
    }
    assert.match(dry, /Nothing was changed\.\n$/);
    const no = await onTerminal(host, "n\n", "reset");
    assert.match(no.stdout, /Do this\?.*\[y\/N\][^]*Nothing was changed/);
    assert.equal(no.code, 1);
    assert.equal((await host.status()).attachments.length, 1, "nothing was touched");
    assert.equal((await host.attempt("reset", "--dry-run", "--yes")).code, 2);
    const yes = await onTerminal(host, "y\n", "reset");
    assert.match(yes.stdout, /Stopped the daemon\./);
    assert.equal(yes.code, 0);
    host.start();
    await host.answers();
    assert.match((await onTerminal(host, "", "reset", "--yes")).stdout, /^Stopped the daemon\./);
    assert.equal(await host.run("reset", "--dry-run"), "Nothing of meshnet is on this host.\n");
  },
}));

/** Runs a command as a user who is nobody, but a member of a group. */
async function as(host: Host, group: number, ...words: readonly string[]): Promise<Output> {
  const user = ["setpriv", "--reuid=65534", `--regid=${group}`, "--clear-groups"];
  return await attempt([...user, ...PROGRAM, ...words], { env: host.env, netns: host.netns });
}

/** Runs a command on a terminal of its own, where somebody types `input`. */
async function onTerminal(host: Host, input: string, ...words: readonly string[]): Promise<Output> {
  const line = [...PROGRAM, ...words].join(" ");
  return await attempt(["script", "-qec", line, "/dev/null"], {
    env: { ...host.env, TERM: "xterm" },
    netns: host.netns,
    input,
  });
}
