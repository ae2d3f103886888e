import assert from "node:assert/strict";
import { parseTargetList, targetChanges, targetsAtStart } from "../../../mod/daemon/targets.ts";

const CASES: readonly (readonly [
  what: string,
  configured: string[] | undefined,
  configuredBefore: string[],
  stored: string[],
  targets: string[],
])[] = [
  ["a first start", ["a", "b"], [], [], ["a", "b"]],
  ["a restart", ["a"], ["a"], ["a"], ["a"]],
  ["what connect added", ["a"], ["a"], ["a", "x"], ["a", "x"]],
  ["a peer taken out of the configuration", ["b"], ["a", "b"], ["a", "b", "x"], ["b", "x"]],
  ["a configured peer that was forgotten by hand", ["a"], ["a"], [], ["a"]],
  ["an empty list", [], [], ["x"], ["x"]],
  ["a configuration that says nothing", undefined, ["a"], ["a", "x"], ["a", "x"]],
  ["the same peer twice", ["a", "a"], [], ["a"], ["a"]],
];

for (const [what, configured, configuredBefore, stored, targets] of CASES) {
  Deno.test(`targetsAtStart() handles ${what}`, () => {
    assert.deepEqual(targetsAtStart({ configured, configuredBefore, stored }), targets);
  });
}

Deno.test("targetChanges() gives what to connect and what to forget", () => {
  assert.deepEqual(targetChanges(["a", "b"], ["b", "c"]), { connect: ["c"], forget: ["a"] });
});

Deno.test("parseTargetList() takes lists of texts and nothing else", () => {
  const texts = ['["a","b"]', "[1,null]", "{}", "{", undefined, '"a"'];
  assert.deepEqual(texts.map(parseTargetList), [["a", "b"], [], [], [], [], []]);
});
