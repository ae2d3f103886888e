/** Which other servers are said not to answer: not for a lost datagram, nor when nobody asked lately. */
import assert from "node:assert/strict";
import type { Millis } from "../../../mod/core/time.ts";
import { Silence } from "../../../mod/dns/upstream/silence.ts";

const A = "10.0.0.1:53";
const at = (seconds: number) => seconds * 1_000 as Millis;

function miss(
  silence: Silence,
  second: number,
  { key = `question ${second}`, unreachable = false } = {},
): void {
  silence.missed(A, { key, sentAt: at(second), now: at(second + 2), unreachable });
}

Deno.test("Silence: a server that has answered is well; one that nobody asked lately is not known", () => {
  const silence = new Silence();
  assert.equal(silence.of(A, at(0)).state, "unknown");
  silence.answered(A, at(1));
  assert.deepEqual(silence.of(A, at(2)), {
    ...{ state: "answers", answeredAt: at(1), silentSince: undefined, unreachable: false },
  });
  assert.equal(silence.of(A, at(122)).state, "unknown");
});

Deno.test("Silence: three different questions in ten seconds count, fewer do not, nor does one that is repeated", () => {
  const silence = new Silence();
  silence.answered(A, at(0));
  for (const second of [1, 5, 20, 40]) {
    miss(silence, second, { key: "dead.example" });
    assert.equal(silence.of(A, at(second + 2)).state, "unknown", `${second}`);
  }
  miss(silence, 41);
  assert.equal(silence.of(A, at(43)).state, "unknown");
  miss(silence, 44);
  const { answeredAt, silentSince, state } = silence.of(A, at(46));
  assert.deepEqual([state, answeredAt, silentSince], ["silent", at(0), at(1)]);
  const quick = new Silence();
  for (const second of [1, 2, 3]) miss(quick, second);
  assert.equal(quick.of(A, at(10)).state, "unknown");
  assert.equal(quick.of(A, at(11)).state, "silent");
});

Deno.test("Silence: an answer ends it, and an idle resolver says nothing; since when is kept until an answer comes", () => {
  const silence = new Silence();
  for (const second of [1, 6, 20]) miss(silence, second, { unreachable: true });
  assert.deepEqual(silence.of(A, at(25)), {
    ...{ state: "silent", answeredAt: undefined, silentSince: at(1), unreachable: true },
  });
  assert.equal(silence.of(A, at(143)).state, "unknown");
  miss(silence, 3_600);
  assert.deepEqual([silence.of(A, at(3_602)).state, silence.of(A, at(3_602)).silentSince], ["silent", at(1)]);
  silence.answered(A, at(3_603));
  assert.equal(silence.of(A, at(3_603)).state, "answers");
  miss(silence, 3_602); // was sent before the answer came
  assert.equal(silence.of(A, at(3_604)).state, "answers");
});

Deno.test("Silence: a server that was asked on purpose and has not answered is silent at once", () => {
  const silence = new Silence();
  silence.failed(A);
  assert.equal(silence.of(A, at(0)).state, "unknown", "it was not asked: there were too many questions");
  miss(silence, 0);
  silence.failed(A);
  assert.equal(silence.of(A, at(2)).state, "silent");
  silence.answered(A, at(3));
  assert.equal(silence.of(A, at(3)).state, "answers");
});
