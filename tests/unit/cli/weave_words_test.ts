import assert from "node:assert/strict";
import { COMMANDS } from "../../../mod/cli/commands.ts";
import { groupOf } from "../../../mod/cli/help.ts";
import { parsePlain } from "../../../mod/cli/plain.ts";
import { weaveCommand, weaveOption } from "../../../mod/cli/weave_words.ts";

/** Every command of the original. */
const THEIRS = (
  "version setup setup-cni launch prime connect forget attach detach expose hide dns-add dns-remove dns-lookup dns-args " +
  "status report ps stop reset rmpeer env config docker-bridge-ip bridge-type attach-bridge help " +
  "run start restart launch-router launch-proxy launch-plugin stop-router stop-proxy stop-plugin"
).split(" ");
const OPTIONS = (
  "password trusted-subnets host name nickname no-restart resume no-discovery no-dns dns-listen-address dns-domain dns-ttl " +
  "resolv-conf ipalloc-init ipalloc-range ipalloc-default-subnet plugin proxy no-default-ipalloc hostname-from-label " +
  "hostname-match hostname-replacement rewrite-inspect log-level conn-limit mtu no-fastdp datapath docker-api"
).split(" ");

Deno.test("each command of Weave Net is one here, or has a hint, never both", () => {
  for (const word of THEIRS) {
    const isOurs = COMMANDS.some(({ name }) => name === word) || groupOf(word).length > 0;
    assert.equal(weaveCommand(word) !== undefined, !isOurs, word);
  }
  for (const word of ["statsu", "toString", "__proto__", ""]) assert.equal(weaveCommand(word), undefined);
});

Deno.test("each hint names commands that there are", () => {
  const lines = THEIRS.flatMap((word) => [...(weaveCommand(word) ?? "").matchAll(/meshnet ([a-z ]+[a-z])/g)]);
  assert.ok(lines.length > 15);
  for (const [, line] of lines) {
    const name = line!.startsWith("help ") ? line!.slice(5) : line!;
    const known = COMMANDS.some((command) => name === command.name) ||
      parsePlain(name.split(" ")) !== undefined;
    assert.ok(known, line);
  }
});

Deno.test("each option of `weave launch` is one of `meshnet up`, or has a hint with one", () => {
  const up = COMMANDS.find(({ name }) => name === "up")!;
  for (const option of OPTIONS.filter((word) => word !== "password")) { // mistakes.ts has a hint for that
    const isOurs = up.options.some(({ name }) => name === option);
    assert.equal(weaveOption(option, up) !== undefined, !isOurs, option);
  }
  assert.equal(weaveOption("without-masquerade", up), undefined);
  const expose = COMMANDS.find(({ name }) => name === "expose")!;
  assert.equal(weaveOption("without-masquerade", expose), "It is --no-masquerade here");
});
