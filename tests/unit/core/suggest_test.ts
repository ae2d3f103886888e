import assert from "node:assert/strict";
import { closest } from "../../../mod/core/suggest.ts";

const WORDS = ["up", "down", "status", "attach", "detach", "connect", "trusted-subnets"];

for (
  const [typed, meant] of [
    ["statsu", "status"],
    ["staus", "status"],
    ["stat", "status"],
    ["Status", "status"],
    ["atach", "attach"],
    ["conect", "connect"],
    ["trusted-subnet", "trusted-subnets"],
    ["dwon", "down"],
    ["xyz", undefined],
    ["frobnicate", undefined],
    ["", undefined],
    ["x".repeat(1000), undefined],
  ] as const
) {
  Deno.test(`closest() takes ${typed.slice(0, 20)} for ${meant}`, () => {
    assert.equal(closest(typed, WORDS), meant);
  });
}
