import assert from "node:assert/strict";
import type { StatusReport } from "../../mod/control/api_types.ts";
import { EXAMPLE } from "../unit/control/example_status.ts";
import { asked, NAMES, withDaemon } from "./fake_daemon.ts";
import { assertSnapshot, meshnet, withFolder } from "./run_meshnet.ts";

Deno.test("meshnet version --json has the version", async () => {
  const { code, stdout } = await meshnet(["version", "--json"]);
  assert.equal(code, 0);
  assert.match(JSON.parse(stdout).version, /^[0-9]+\.[0-9]+\.[0-9]+$/);
});

Deno.test("meshnet docker env and config name the proxy, and take it back", () =>
  withDaemon(async (run) => {
    const socket = "unix:///run/meshnet/docker.sock";
    assert.equal((await run("docker", "env")).stdout, `export DOCKER_HOST=${socket}\n`);
    assert.deepEqual(JSON.parse((await run("docker", "env", "--json")).stdout), {
      ...{ DOCKER_HOST: socket, MESHNET_ORIG_DOCKER_HOST: null },
    });
    assert.equal((await run("docker", "config")).stdout, `-H=${socket}\n`);
    assert.deepEqual(JSON.parse((await run("docker", "config", "--json")).stdout), { host: socket });
    const restored = await run("docker", "env", "--restore");
    assert.equal(restored.stdout, "unset DOCKER_HOST; unset MESHNET_ORIG_DOCKER_HOST\n");
  }));

Deno.test("meshnet docker env prints nothing for a shell without a daemon", () =>
  withFolder(async (runDir) => {
    const { code, stdout } = await meshnet(["docker", "env"], { MESHNET_RUN_DIR: runDir });
    assert.deepEqual([code, stdout], [3, ""]);
  }));

Deno.test("meshnet status --json prints the contract's shape, and each page its part", () =>
  withDaemon(async (run) => {
    const whole = await run("status", "--json");
    assert.equal(whole.code, 0);
    const report: StatusReport = JSON.parse(whole.stdout);
    assert.deepEqual(report, EXAMPLE);
    for (const page of ["connections", "peers", "ipam", "dns"] as const) {
      assert.deepEqual(JSON.parse((await run("status", page, "--json")).stdout), report[page]);
    }
    assert.deepEqual(JSON.parse((await run("status", "targets", "--json")).stdout), report.targetStates);
    assert.deepEqual(JSON.parse((await run("report")).stdout).status, EXAMPLE);
  }));

Deno.test("meshnet status prints pages for people", () =>
  withDaemon(async (run) => {
    await assertSnapshot("status", (await run("status")).stdout);
    for (const page of ["connections", "peers", "targets", "ipam", "dns"]) {
      await assertSnapshot(`status-${page}`, (await run("status", page)).stdout);
    }
  }));

Deno.test("meshnet connect, forget, attach and detach send what was typed", () =>
  withDaemon(async (run) => {
    asked.length = 0;
    const connect = await run("connect", "a", "b:7000", "--replace");
    assert.match(connect.stdout, /^Connecting; 2 targets: a, b:7000\n/);
    await run("forget", "a");
    const attach = await run("attach", "10.2.1.1/24", "netns:web", "--name", "web", "--name", "www.shop,x");
    assert.equal(attach.stderr, "warning: w\n");
    assert.equal(attach.stdout, "netns:web: ethmesh has 10.2.1.1/24; it is called web, www.shop\n");
    const detach = await run("detach", "netns:web", "--json");
    assert.equal(JSON.parse(detach.stdout).attachment, null);
    assert.deepEqual(asked, [
      { targets: ["a", "b:7000"], replace: true },
      { targets: ["a"] },
      {
        target: "netns:web",
        addresses: ["10.2.1.1/24"],
        names: ["web", "www.shop", "x"],
        ...{ noDns: false, force: false },
        noWait: false,
        timeoutMs: 60_000,
      },
      { target: "netns:web", addresses: [] },
    ]);
  }));

Deno.test("meshnet ipam import sends what ipam export printed, and says what was taken and what was not", () =>
  withDaemon((run) =>
    withFolder(async (folder) => {
      asked.length = 0;
      const file = `${folder}/addresses.json`;
      await Deno.writeTextFile(file, (await run("ipam", "export")).stdout);
      const { code, stderr, stdout } = await run("ipam", "import", file, "--gone", "host3,host4");
      assert.deepEqual(asked, [{ backup: { format: "meshnet addresses" }, gone: ["host3", "host4"] }]);
      assert.equal(
        stdout,
        "The hosts own again what the backup says.\nHeld again: 2 addresses.\n" +
          "Now run `meshnet rmpeer 02:00:00:00:00:03 02:00:00:00:00:04`.\n",
      );
      assert.equal(stderr, "left out: 10.32.0.3/12 of c: why\n");
      assert.equal(code, 0);
      for (const [name, text] of [["none", undefined], ["broken", "{"]] as const) {
        if (text !== undefined) await Deno.writeTextFile(`${folder}/${name}`, text);
        const bad = await run("ipam", "import", `${folder}/${name}`);
        assert.equal(bad.code, 1);
        assert.match(
          bad.stderr,
          /^meshnet: Cannot read the backup .*: .+\nhint: Give a file as `meshnet ipam export`/,
        );
      }
    })
  ));
Deno.test("meshnet expose and hide send what was typed", () =>
  withDaemon(async (run) => {
    asked.length = 0;
    const expose = await run("expose", "net:10.2.1.0/24", "--name", "a,b", "--no-masquerade", "--no-wait");
    assert.equal(expose.stdout, "This host has 10.2.1.254/24 in the network; it is called h1.host, a.\n");
    assert.equal(expose.stderr, "warning: w\n");
    assert.deepEqual(JSON.parse((await run("expose", "--json")).stdout).exposed, [
      { address: "10.2.1.254/24", masquerade: true },
    ]);
    assert.equal((await run("hide", "10.2.1.254/24")).stdout, "This host has no address in the network.\n");
    assert.deepEqual(asked, [
      {
        addresses: ["net:10.2.1.0/24"],
        names: ["a", "b"],
        masquerade: false,
        noWait: true,
        timeoutMs: 60_000,
      },
      { addresses: [], names: [], masquerade: true, noWait: false, timeoutMs: 60_000 },
      { addresses: ["10.2.1.254/24"] },
    ]);
  }));

Deno.test("commands about addresses send what was typed, and print addresses alone", () =>
  withDaemon(async (run) => {
    asked.length = 0;
    assert.equal((await run("ipam", "allocate", "printer")).stdout, "10.32.0.7/12\n");
    await run("ipam", "allocate", "printer", "10.32.1.0/24", "--no-wait", "--timeout", "2.5");
    await run("ipam", "claim", "printer", "10.32.0.7/12", "--timeout", "0");
    assert.equal((await run("ipam", "release", "printer")).stdout, "Free again: 10.32.0.7/12\n");
    await run("ipam", "release", "printer", "10.32.0.7");
    assert.equal((await run("prime")).stdout, "The range is shared out.\n");
    assert.equal((await run("rmpeer", "host3")).stdout, "This host took over 512 addresses of 1 host.\n");
    assert.deepEqual(JSON.parse((await run("rmpeer", "host3", "--json")).stdout), {
      ...{ peers: ["host3"], addresses: 512 },
    });
    const usual = { noWait: false, timeoutMs: 60_000 };
    assert.deepEqual(asked, [
      { holder: "printer", subnet: null, ...usual },
      { holder: "printer", subnet: "10.32.1.0/24", noWait: true, timeoutMs: 2_500 },
      { holder: "printer", address: "10.32.0.7/12", noWait: false, timeoutMs: 0 },
      { holder: "printer", address: null },
      { holder: "printer", address: "10.32.0.7" },
      usual,
      { peers: ["host3"], ...usual },
      { peers: ["host3"], ...usual },
    ]);
    const wrong = await run("ipam", "allocate", "printer", "--timeout", "soon");
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /Cannot use --timeout: value is "soon"/);
    assert.equal((await run("ipam")).code, 2);
  }));

Deno.test("meshnet ps lists holders, or those that are named", () =>
  withDaemon(async (run) => {
    await assertSnapshot("ps", (await run("ps")).stdout);
    const one = JSON.parse((await run("ps", "printer", "--json")).stdout);
    assert.deepEqual(one, [{
      ...{
        holder: "printer",
        name: null,
        attached: false,
        addresses: ["10.32.0.2/12", "10.32.1.1/24"],
        names: [],
        ...{ health: null, trouble: null },
      },
    }]);
    const none = await run("ps", "scanner");
    assert.equal(none.code, 1);
    assert.match(none.stderr, /Cannot list scanner: it holds no address here/);
  }));

Deno.test("commands about names send what was typed, and print records alone", () =>
  withDaemon(async (run) => {
    asked.length = 0;
    const added = await run("dns", "add", "web", "10.2.1.1", "cname:x");
    assert.equal(added.stdout, "web.mesh.internal: 10.2.1.1, cname:x\n");
    assert.equal(
      (await run("dns", "remove", "web")).stdout,
      "web.mesh.internal: has no record of this host any more\n",
    );
    assert.equal((await run("dns", "lookup", "web")).stdout, "10.32.0.1\n10.32.0.9\n");
    assert.deepEqual(asked, [
      { name: "web", records: ["10.2.1.1", "cname:x"], order: null },
      { name: "web", records: [], order: null },
      { name: "web" },
    ]);
    const { stdout } = await run("dns", "list");
    await assertSnapshot("dns-list", stdout);
    assert.deepEqual(JSON.parse((await run("dns", "list", "--json")).stdout), NAMES);
    const hole = await run("attach", "netns:web", "--name", "a,,b");
    assert.deepEqual([hole.code, hole.stdout], [2, ""]);
    assert.match(hole.stderr, /Cannot use --name: value is "a,,b", and a name in it is empty/);
    const wrong = await run("attach", "netns:web", "--name", " ,");
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /Cannot use --name: value is " ,"/);
  }));
