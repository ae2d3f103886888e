import assert from "node:assert/strict";
import { command } from "../../mod/tasks/run.ts";
import { EXAMPLE } from "../unit/control/example_status.ts";
import { withDaemon } from "./fake_daemon.ts";
import { meshnet, meshnetCommand, withFolder } from "./run_meshnet.ts";

/** What bash offers for a command line; the last word is the one being typed. */
async function complete(
  script: string,
  line: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  const driver = `source "$1"; line=$2; COMP_LINE=$line COMP_POINT=\${#line}
    read -ra COMP_WORDS <<< "\${line//=/ = }"; [[ $line == *' ' || $line == *= ]] && COMP_WORDS+=('')
    COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _meshnet 2>/dev/null; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await command(["bash", "-c", driver, "bash", script, line], { env }).output();
  return new TextDecoder().decode(stdout).split("\n").filter(Boolean);
}

const OFFERS: readonly (readonly [line: string, words: string[]])[] = [
  ["meshnet st", ["status"]],
  ["meshnet com", ["completions"]],
  ["meshnet status ", ["connections", "peers", "targets", "ipam", "dns"]],
  ["meshnet status con", ["connections"]],
  ["meshnet status --j", ["--json"]],
  ["meshnet up --log", ["--log-level", "--log-format"]],
  ["meshnet up --log-level ", ["debug", "info", "warn", "error"]],
  ["meshnet up --log-format=j", ["json"]],
  ["meshnet up --datapath ", ["auto", "ovs", "ebpf", "bridge"]],
  ["meshnet service ", ["unit"]],
  ["meshnet help dns ", ["add", "remove", "lookup", "list"]],
  ["meshnet help dns l", ["lookup", "list"]],
  ["meshnet help up ", []],
  ["meshnet completions ", ["bash", "zsh", "fish"]],
  ["meshnet help rep", ["report"]],
  ["meshnet attach 10.2.1.1/24 pi", ["pid:"]],
  ["meshnet ipam ", ["allocate", "claim", "release", "export", "import", "status"]],
  ["meshnet dns ", ["add", "remove", "lookup", "list"]],
  ["meshnet down x", []],
];

Deno.test("meshnet completions bash completes commands, pages, options and values", () =>
  withFolder(async (folder) => {
    const { code, stdout } = await meshnet(["completions", "bash"]);
    assert.equal(code, 0);
    await Deno.writeTextFile(`${folder}/meshnet`, stdout);
    for (const [line, words] of OFFERS) {
      assert.deepEqual(await complete(`${folder}/meshnet`, line), words, line);
    }
  }));

Deno.test("meshnet completions zsh and fish name every command and option", async () => {
  for (const shell of ["zsh", "fish"]) {
    const { code, stdout } = await meshnet(["completions", shell]);
    assert.equal(code, 0);
    for (const word of ["status", "attach", "trusted-subnets", "log-format", "connections"]) {
      assert.ok(stdout.includes(word), `${shell}: ${word}`);
    }
  }
});

const ATTACHMENT = EXAMPLE.attachments[0]!;
const container = { ...ATTACHMENT, target: `container:${"ab".repeat(32)}`, name: "db" };
const stranger = { ...EXAMPLE.peers[0]!, name: "8a:3e:11:02:9c:09", nickname: "$(touch pwned)" };
/** Of these the last peer has chosen a nickname that no shell may be told. */
const STATUS = {
  ...EXAMPLE,
  attachments: [ATTACHMENT, container],
  peers: [...EXAMPLE.peers, stranger],
};

Deno.test("meshnet completions bash asks the daemon for what is attached, named hosts and peers", () =>
  withDaemon(async (run, folder) => {
    const script = `${folder}/completions`;
    await Deno.writeTextFile(script, (await run("completions", "bash")).stdout);
    const [program, ...args] = meshnetCommand();
    await Deno.mkdir(`${folder}/bin`);
    const line = [program, ...args].map((word) => `'${word}'`).join(" ");
    await Deno.writeTextFile(`${folder}/bin/meshnet`, `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 });
    const env = { PATH: `${folder}/bin:${Deno.env.get("PATH")}`, MESHNET_RUN_DIR: folder };
    const offers = (typed: string) => complete(script, typed, env);
    assert.deepEqual(await offers("meshnet detach "), ["db", "netns:web"]);
    assert.deepEqual(await offers("meshnet detach netns:w"), ["web"]); // bash has "netns:" already
    assert.deepEqual(await offers("meshnet ps d"), ["db"]);
    assert.deepEqual(await offers("meshnet forget "), ["192.0.2.7:6783", "host2"]);
    for (const name of ["ping", "trace"]) {
      assert.deepEqual(await offers(`meshnet ${name} `), ["db", "h1.host", "host2", "web", "www"], name);
      assert.deepEqual(await offers(`meshnet ${name} web --from d`), ["db"], name);
    }
    for (const begin of ["check ", "wait --connected ", "wait --connected="]) {
      assert.deepEqual(await offers(`meshnet ${begin}`), ["192.0.2.7:6783", "host2"], begin);
      assert.deepEqual(await offers(`meshnet ${begin}ho`), ["host2"], begin);
    }
    assert.deepEqual(await offers("meshnet rmpeer "), ["host3"]); // who is there is never offered
    const away = { ...env, MESHNET_RUN_DIR: `${folder}/away` };
    assert.deepEqual(await complete(script, "meshnet detach ", away), []);
  }, STATUS));

Deno.test("what completions ask for is silent and no error where no daemon runs", () =>
  withFolder(async (folder) => {
    for (const kind of [["peers"], ["nonsense"], []]) {
      const ran = await meshnet(["__offer", ...kind], { MESHNET_RUN_DIR: folder });
      assert.deepEqual(ran, { code: 0, stdout: "", stderr: "" });
    }
  }));
