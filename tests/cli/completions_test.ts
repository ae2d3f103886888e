import assert from "node:assert/strict";
import { command } from "../../mod/tasks/run.ts";
import { meshnet, withFolder } from "./run_meshnet.ts";

/** What bash offers for a command line; the last word is the one being typed. */
async function complete(script: string, line: string): Promise<string[]> {
  const driver = `source "$1"; line=$2; COMP_LINE=$line COMP_POINT=\${#line}
    read -ra COMP_WORDS <<< "\${line//=/ = }"; [[ $line == *' ' || $line == *= ]] && COMP_WORDS+=('')
    COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _meshnet 2>/dev/null; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await command(["bash", "-c", driver, "bash", script, line]).output();
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
