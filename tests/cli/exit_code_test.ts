import assert from "node:assert/strict";
import { command } from "../../mod/tasks/run.ts";
import { meshnet, meshnetCommand, withFolder } from "./run_meshnet.ts";

Deno.test("meshnet exits 2 for wrong usage, with a hint on standard error", async () => {
  for (const args of [[], ["statsu"], ["up", "--prot", "1"], ["status", "peeers"], ["attach"]]) {
    const { code, stdout, stderr } = await meshnet(args);
    assert.deepEqual([code, stdout], [2, ""], args.join(" "));
    if (args.length > 0) assert.match(stderr, /^meshnet: .+\nhint: .+\n$/);
  }
});

Deno.test("meshnet says what does here what Weave Net's command and variable do", async () => {
  const launch = await meshnet(["launch", "host2"]);
  assert.equal(launch.code, 2);
  assert.match(
    launch.stderr,
    /^meshnet: Unknown command: launch\nhint: .*`meshnet up --peers HOST,\.\.\.` here/,
  );
  const { stderr } = await meshnet(["config", "check"], { WEAVE_PASSWORD: "s3cret" });
  assert.match(stderr, /^warning: Nothing reads .* WEAVE_PASSWORD; set MESHNET_PASSWORD instead$/m);
  assert.doesNotMatch(stderr, /s3cret/);
});

Deno.test("meshnet refuses a text for a switch in its own words", async () => {
  const { code, stderr } = await meshnet(["status", "--json=maybe"]);
  assert.equal(code, 2);
  assert.equal(
    stderr,
    'meshnet: Cannot use --json: value is "maybe"\nhint: Give --json alone, or leave it out\n',
  );
});

Deno.test("meshnet exits 3 when the daemon is not running, and says how to start it", () =>
  withFolder(async (folder) => {
    for (const args of [["status"], ["status", "peers", "--json"], ["down"], ["connect", "host2"]]) {
      const { code, stdout, stderr } = await meshnet([...args, "--run-dir", folder]);
      assert.deepEqual([code, stdout], [3, ""], args.join(" "));
      assert.match(stderr, /The daemon is not running.*\nhint: Start it as root with `meshnet up/);
    }
  }));

Deno.test("meshnet says that its output cannot be written, and is silent where errors cannot", async () => {
  const shell = (line: string) =>
    command(["sh", "-c", line, ...meshnetCommand()], { env: { NO_COLOR: "1" } }).output();
  const full = await shell('"$0" "$@" help > /dev/full');
  assert.equal(full.code, 1);
  assert.match(new TextDecoder().decode(full.stderr), /^meshnet: Cannot write the output: .+\nhint: .+\n$/);
  assert.equal((await shell('"$0" "$@" statsu 2> /dev/full')).code, 2);
  assert.equal((await shell('"$0" "$@" help | true')).code, 0);
});

Deno.test("meshnet up exits 2 for a bad flag", async () => {
  const { code, stderr } = await meshnet(["up", "--port", "0"]);
  assert.equal(code, 2);
  assert.equal(
    stderr,
    'meshnet: Cannot use --port: value is "0"\nhint: Give a whole number from 1 to 65534, for example 6783\n',
  );
});

Deno.test("meshnet up and config check exit 2 for a bad variable, file or key", () =>
  withFolder(async (folder) => {
    for (const command of [["up"], ["config", "check"]]) {
      const { code, stderr } = await meshnet([...command, "--datapath", "brigde"]);
      assert.equal(code, 2);
      assert.equal(
        stderr,
        'meshnet: Cannot use --datapath: value is "brigde"\nhint: Did you mean bridge?\n',
      );
    }
    const variable = await meshnet(["up"], { MESHNET_PORT: "x" });
    assert.equal(variable.code, 2);
    assert.match(variable.stderr, /^meshnet: Cannot use MESHNET_PORT: value is "x"\nhint: /);
    const path = `${folder}/meshnet.toml`;
    const missing = await meshnet(["up", "--config", path]);
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /Cannot read the configuration file/);
    await Deno.writeTextFile(path, "prot = 1\n");
    for (const command of [["up"], ["config", "check"]]) {
      const key = await meshnet([...command, "--config", path]);
      assert.equal(key.code, 2);
      assert.equal(key.stderr, `meshnet: Unknown key in ${path}: prot\nhint: Did you mean port?\n`);
    }
  }));

Deno.test("meshnet up changes nothing where another router answers", () =>
  withFolder(async (folder) => {
    const socket = `${folder}/control.sock`;
    using _other = Deno.listen({ transport: "unix", path: socket });
    const { code, stderr } = await meshnet(["up", "--run-dir", folder, "--state-dir", `${folder}/state`]);
    assert.equal(code, 1);
    assert.match(stderr, /^meshnet: Cannot (start: another router answers|run without CAP_)/); // the latter without root
    assert.deepEqual([...Deno.readDirSync(folder)].map((entry) => entry.name), ["control.sock"]);
  }));

Deno.test("meshnet up reads the password file before anything else", () =>
  withFolder(async (folder) => {
    const path = `${folder}/password`;
    const missing = await meshnet(["up", "--password-file", path]);
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /^meshnet: Cannot read the password for --password-file: /);
    await Deno.writeTextFile(path, "\n");
    const empty = await meshnet(["up"], { MESHNET_PASSWORD_FILE: path });
    assert.equal(empty.code, 2);
    assert.match(empty.stderr, /is empty\nhint: Write the password into it/);
    const both = await meshnet(["up"], { MESHNET_PASSWORD_FILE: path, MESHNET_PASSWORD: "s3cret" });
    assert.equal(both.code, 2);
    assert.match(both.stderr, /Both MESHNET_PASSWORD and MESHNET_PASSWORD_FILE are set/);
    assert.doesNotMatch(both.stderr, /s3cret/);
  }));
