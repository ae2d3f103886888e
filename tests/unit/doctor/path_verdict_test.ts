import assert from "node:assert/strict";
import type { PathEnd, PathHop } from "../../../mod/control/doctor_types.ts";
import { type PathFacts, verdictOf } from "../../../mod/doctor/path_verdict.ts";

const TO: PathEnd = {
  ...{ target: "netns:db", name: null, address: "10.2.1.2", mac: "02:00:00:00:00:07", problem: null },
};
const NONE = { before: null, after: null };

function hop(nickname: string, there = 0, back = 0, change: Partial<PathHop> = {}): PathHop {
  const count = (packets: number) => packets === 0 ? NONE : { before: 1, after: 1 + packets };
  const link = { overlay: "sleeve", cipher: null, mtu: 1438, rttMs: 1, address: "a", info: "" } as const;
  return {
    ...{
      peer: nickname,
      nickname,
      silent: null,
      ms: 1,
      clockMs: 0,
      link,
      port: null,
      out: [],
      dropped: null,
    },
    ...{ there: count(there), back: count(back), ...change },
  };
}

const last = (there = 0, back = 0, change: Partial<PathHop> = {}) =>
  hop("h3", there, back, { link: null, ...change });

Deno.test("verdictOf() says where a way ends, and why", () => {
  const cases: readonly (readonly [Partial<PathFacts>, RegExp])[] = [
    [{ answered: true }, /^$/],
    [{ to: null, answered: true }, /^$/],
    [
      { hops: [hop("h1", 4), hop("h2"), last()] },
      /^the probe left h1 and did not arrive at h2: what is between/,
    ],
    [{ hops: [hop("h1", 4), hop("h2", 4), last()] }, /^the probe left h2 and did not arrive at h3/],
    [
      { hops: [hop("h1", 4), hop("h2", 4), last(4)] },
      /^netns:db on h3 was asked and did not answer: it drops/,
    ],
    [{ hops: [hop("h1", 4), hop("h2", 4, 4), last(4, 4)] }, /^the answer left h2 and did not arrive at h1/],
    [{ hops: [hop("h1", 4), hop("h2", 4), last(4, 4)] }, /^the answer left h3 and did not arrive at h2/],
    // Who says nothing about itself is not blamed.
    [{ hops: [hop("h1", 4), hop("h2", 0, 0, { silent: "old" }), last(4)] }, /^netns:db on h3 was asked/],
    [{ probed: false, hops: [hop("h1", 4), last()] }, /^netns:db on h3 was asked/],
    [
      { to: { ...TO, problem: "the namespace has gone" } },
      /^netns:db on h3 does not work: the namespace has gone/,
    ],
    [{ to: { ...TO, target: null, mac: null } }, /^nobody answers for 10\.2\.1\.2/],
    [{ complete: false, hops: [hop("h1"), last(0, 0, { silent: "old" })] }, /as far as h3, .*: old$/],
    [{ complete: false, hops: [last()] }, /^h3 has no way to the host/],
    [{ to: null, hops: [hop("h1"), last(0, 0, { silent: "no answer" })] }, /^h3 does not answer: no answer$/],
    [
      {
        hops: [
          hop("h1", 0, 0, { link: { ...hop("x").link!, overlay: null, info: "UDP is blocked" } }),
          last(),
        ],
      },
      /^h1 has no working way to the next host: UDP is blocked$/,
    ],
    [
      { hops: [hop("h1", 0, 0, { dropped: "no-route" }), last()] },
      /^h1 sends such frames nowhere: no-route$/,
    ],
  ];
  for (const [change, words] of cases) {
    const facts = { to: TO, hops: [hop("h1"), last()], answered: false, complete: true, probed: true };
    assert.match(verdictOf({ ...facts, ...change }), words, JSON.stringify(change));
  }
});
