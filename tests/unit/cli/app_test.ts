import assert from "node:assert/strict";
import { exitCodeOf, main } from "../../../mod/cli/app.ts";
import { parseCommandLine } from "../../../mod/cli/parse.ts";
import { COMMANDS } from "../../../mod/cli/commands.ts";
import { helpCommand } from "../../../mod/cli/help.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { fakeIo } from "./fake_io.ts";

const MISTAKES: readonly (readonly [argv: string, message: string, hint: string])[] = [
  ["statsu", "Unknown command: statsu", "Did you mean `meshnet status`?"],
  ["bug-report", "Unknown command: bug-report", "Did you mean `meshnet report`?"],
  ["dns rm web", "Unknown command: dns rm", "Did you mean `meshnet dns remove`?"],
  ["-v", "Unknown command: -v", "Did you mean `meshnet version`?"],
  [
    "metrics",
    "Unknown command: metrics",
    "`meshnet status connections` shows the traffic with each host, `meshnet report` all counters as JSON",
  ],
  ["frobnicate", "Unknown command: frobnicate", "`meshnet help` lists all commands"],
  ["ipam alocate x", "Unknown command: ipam alocate", "Did you mean `meshnet ipam allocate`?"],
  ["ipam alocate --help", "Unknown command: ipam alocate", "Did you mean `meshnet ipam allocate`?"],
  [
    "ipam --json",
    "Unknown command: ipam --json",
    "Options come after the command: `meshnet COMMAND OPTIONS`",
  ],
  ["help ipam alocate", "Unknown command: ipam alocate", "Did you mean `meshnet ipam allocate`?"],
  ["service unt", "Unknown command: service unt", "Did you mean `meshnet service unit`?"],
  ["--json status", "Unknown command: --json", "Options come after the command: `meshnet COMMAND OPTIONS`"],
  ["up --prot 1", "Unknown option of meshnet up: --prot", "Did you mean --port?"],
  ["up --ports=1", "Unknown option of meshnet up: --ports", "Did you mean --port?"],
  ["up --port", "Option --port needs a value", "See `meshnet help up`"],
  ["up --port=", 'Cannot use --port: value is ""', "Give a whole number from 1 to 65534, for example 6783"],
  [
    "launch",
    "Unknown command: launch",
    "`weave launch` is `meshnet up --peers HOST,...` here; `meshnet help " +
    "service unit` has it as a service",
  ],
  ["stop", "Unknown command: stop", "Did you mean `meshnet down`? (`weave stop` is that here)"],
  [
    "env --restore",
    "Unknown command: env",
    "`weave env` is `meshnet docker env` here: `eval $(meshnet docker env)`",
  ],
  ["help dns-add", "Unknown command: dns-add", "`weave dns-add` is `meshnet dns add NAME ADDRESS` here"],
  ["dns-add --help", "Unknown command: dns-add", "`weave dns-add` is `meshnet dns add NAME ADDRESS` here"],
  [
    "up --ipalloc-range 10.2.0.0/16",
    "Unknown option of meshnet up: --ipalloc-range",
    "It is --ip-range CIDR here",
  ],
  [
    "up --no-restart",
    "Unknown option of meshnet up: --no-restart",
    "Leave --no-restart out: the service says whether it starts again",
  ],
  ["attach --without-dns web", "Unknown option of meshnet attach: --without-dns", "It is --no-dns here"],
  [
    "status --ipalloc-range=x",
    "Unknown option of meshnet status: --ipalloc-range",
    "See `meshnet help status`",
  ],
  ["status -j", "Unknown option of meshnet status: -j", "See `meshnet help status`"],
  ["connect --x host2", "Unknown option of meshnet connect: --x", "See `meshnet help connect`"],
  [
    "attach  netns:web",
    "An argument of meshnet attach is empty",
    "It may come from a variable that is not set",
  ],
  ["up --port 1 --port 2", "Option --port is given twice", "Give it once"],
  ["up host2", "Too many arguments for meshnet up: host2", "Name hosts with --peers HOST,HOST"],
  ["down now", "Too many arguments for meshnet down: now", "See `meshnet help down`"],
  [
    "status conections",
    "Cannot use conections with meshnet status",
    "Did you mean `meshnet status connections`?",
  ],
  [
    "status everything",
    "Cannot use everything with meshnet status",
    "Give connections, peers, targets, ipam, dns",
  ],
  ["attach", "An argument is missing: meshnet attach [CIDR...] TARGET", "See `meshnet help attach`"],
  ["attach --name", "Option --name needs a value", "See `meshnet help attach`"],
  ["attach netns:a --name", "Option --name needs a value", "See `meshnet help attach`"],
  ["attach --json", "An argument is missing: meshnet attach [CIDR...] TARGET", "See `meshnet help attach`"],
  ["attach --jsn x", "Unknown option of meshnet attach: --jsn", "Did you mean --json?"],
  ["status --run-dir=", 'Cannot use --run-dir: value is ""', "Give a path"],
  ["dns lookup a --run-dir ", 'Cannot use --run-dir: value is ""', "Give a path"],
  ["reset --run-dir ", 'Cannot use --run-dir: value is ""', "Give a path"],
  ["completions tcsh", "Cannot use tcsh with meshnet completions", "Give bash, zsh, fish"],
  ["help statsu", "Unknown command: statsu", "Did you mean `meshnet status`?"],
  [
    "service unit --exec relative",
    'Cannot use --exec: value is "relative"',
    "Give an absolute path without blanks " +
    "and quotes, for example /usr/local/bin/meshnet",
  ],
];

for (const [argv, message, hint] of MISTAKES) {
  Deno.test(`main() refuses ${argv}`, async () => {
    const io = fakeIo();
    assert.equal(await main(argv.split(" "), io), 2);
    assert.equal(io.stderr(), `meshnet: ${message}\nhint: ${hint}\n`);
    assert.equal(io.stdout(), "");
  });
}

Deno.test("main() never repeats a password from the command line", async () => {
  for (const argv of [["up", "--password", "s3cret"], ["up", "--password=s3cret"]]) {
    const io = fakeIo();
    assert.equal(await main(argv, io), 2);
    assert.doesNotMatch(io.stderr(), /s3cret/);
    assert.match(io.stderr(), /hint: .*--password-file FILE, or set MESHNET_PASSWORD/);
  }
});

Deno.test("main() without a command prints the overview on standard error and fails", async () => {
  const io = fakeIo();
  assert.equal(await main([], io), 2);
  assert.match(io.stderr(), /^meshnet: one Ethernet/);
});

Deno.test("main() shows what a group of commands has, and fails where the group was named alone", async () => {
  for (const [line, code] of [["ipam", 2], ["ipam --help", 0], ["help ipam", 0]] as const) {
    const io = fakeIo();
    assert.equal(await main(line.split(" "), io), code, line);
    const [told, silent] = code === 0 ? [io.stdout(), io.stderr()] : [io.stderr(), io.stdout()];
    assert.match(told, /^Usage: meshnet ipam COMMAND .*\n\n {2}ipam allocate NAME/, line);
    assert.equal(silent, "", line);
  }
  const io = fakeIo();
  assert.equal(await main(["service"], io), 2);
  assert.match(io.stderr(), /^Usage: meshnet service unit /);
});

Deno.test("main() takes --help anywhere and -h", async () => {
  for (const argv of [["up", "--peers", "a", "--help"], ["up", "-h"]]) {
    const io = fakeIo();
    assert.equal(await main(argv, io), 0);
    assert.match(io.stdout(), /^Usage: meshnet up /);
  }
  const io = fakeIo();
  assert.equal(await main(["--help"], io), 0);
  assert.match(io.stdout(), /Usage: meshnet COMMAND/);
});

Deno.test("main() prints the version for --version and -V too", async () => {
  for (const argv of [["version"], ["--version"], ["-V"]]) {
    const io = fakeIo();
    assert.equal(await main(argv, io), 0);
    assert.match(io.stdout(), /^meshnet [0-9]+\.[0-9]+\.[0-9]+\n$/);
  }
});

Deno.test("main() exits 3 when the daemon is not running, and says how to start it", async () => {
  for (
    const words of [
      "status",
      "down",
      "connect a",
      "forget a",
      "attach 10.2.1.1/24 netns:x",
      "detach x",
    ]
  ) {
    const io = fakeIo({ MESHNET_RUN_DIR: "/nonexistent/run" });
    assert.equal(await main(words.split(" "), io), 3, words);
    assert.match(io.stderr(), /^meshnet: The daemon is not running/);
    assert.match(io.stderr(), /meshnet up --run-dir \/nonexistent\/run/);
  }
});

Deno.test("parseCommandLine() gives options and arguments", async () => {
  const { command, invocation } = await parseCommandLine(
    ["up", "--peers", "a,b", "--peers=c", "--no-discovery", "--no-dns=false", "--mtu", "1400"],
  );
  assert.equal(command.name, "up");
  assert.equal(invocation.text("peers"), "a,b,c");
  assert.equal(invocation.on("no-discovery"), true);
  assert.equal(invocation.given["no-dns"], false);
  assert.equal(invocation.text("mtu"), "1400");
  assert.equal(invocation.text("port"), undefined);
});

Deno.test("parseCommandLine() takes nothing and line breaks behind --option=", async () => {
  const { invocation } = await parseCommandLine(["up", "--peers=", "--nickname=a\nb", "--log-level=info"]);
  assert.deepEqual(["peers", "nickname", "log-level"].map(invocation.text), ["", "a\nb", "info"]);
});

Deno.test("main() explains the pages of a command with the command", async () => {
  const io = fakeIo();
  assert.equal(await main(["help", "status", "peers"], io), 0);
  assert.match(io.stdout(), /^Usage: meshnet status /);
});

Deno.test("parseCommandLine() keeps what follows -- as arguments", async () => {
  const { invocation } = await parseCommandLine(["attach", "--json", "--", "10.2.1.1/24", "--odd"]);
  assert.deepEqual(invocation.args, ["10.2.1.1/24", "--odd"]);
});

Deno.test("exitCodeOf() maps codes", () => {
  assert.equal(exitCodeOf(new MeshnetError("usage/bad-option", "x")), 2);
  assert.equal(exitCodeOf(new MeshnetError("usage/bad-target", "malformed")), 2);
  assert.equal(exitCodeOf(new MeshnetError("usage/bad-address", "malformed")), 2);
  assert.equal(exitCodeOf(new MeshnetError("attach/bad-target", "not on this host")), 1);
  assert.equal(exitCodeOf(new MeshnetError("attach/bad-address", "taken on this host")), 1);
  assert.equal(exitCodeOf(new MeshnetError("usage/bad-config", "x")), 2);
  assert.equal(exitCodeOf(new MeshnetError("control/not-running", "x")), 3);
  assert.equal(exitCodeOf(new MeshnetError("up/port-taken", "x")), 1);
  assert.equal(exitCodeOf(new Error("x")), 1);
});

Deno.test("helpCommand() fits a terminal of 80 columns, examples too", () => {
  const wide = COMMANDS.flatMap((command) => helpCommand(command).split("\n")).filter(({ length }) =>
    length > 80
  );
  assert.deepEqual(wide, []);
});
