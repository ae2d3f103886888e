import assert from "node:assert/strict";
import type { PeerName } from "../../../mod/core/names.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { PathChannel } from "../../../mod/daemon/doctor/path_channel.ts";
import {
  decodeHopMessage,
  encodeHopMessage,
  type HopAnswer,
  type HopQuestion,
} from "../../../mod/doctor/hop_messages.ts";

const [A, B] = ["02:00:00:00:50:01", "02:00:00:00:50:02"] as [PeerName, PeerName];
const WHAT: Omit<HopQuestion, "id"> = { to: null, from: null, src: null, dst: null, ip: null };

function answerOf(id: number): HopAnswer {
  return {
    ...{ id, nickname: "h", clock: Date.now() + 5_000, next: null, nextKnows: false, link: null, port: null },
    ...{ dropped: null, out: [], there: -1, back: -1, end: null },
  };
}

/** A channel, and what it has sent; `at` sets its clock. */
function bench() {
  let now = 0;
  const sent: { readonly peer: PeerName; readonly payload: Uint8Array }[] = [];
  const later: Promise<unknown>[] = [];
  let looks = 0;
  const channel = new PathChannel({
    clock: { now: () => now as Millis },
    faults: {
      guard: (_what, work) => (...args) => void work(...args),
      later: (_what, promise) => void later.push(Promise.resolve(promise)),
    },
    patienceMs: 5,
    send: (peer, payload) => void sent.push({ peer, payload }),
    look: ({ id }) => (looks++, Promise.resolve(answerOf(id))),
  });
  const settle = async () => void await Promise.all(later);
  return { channel, sent, settle, looks: () => looks, at: (ms: number) => now = ms };
}

Deno.test("PathChannel.ask() takes the answer of whom it asked, with its time and clock", async () => {
  const { at, channel, sent } = bench();
  const began = Date.now();
  const asked = channel.ask(B, WHAT);
  const read = decodeHopMessage(sent[0]!.payload);
  assert.ok(read.ok && read.value?.kind === "question");
  const { id } = read.value.question;
  at(7);
  const payload = encodeHopMessage({ kind: "answer", answer: answerOf(id) });
  assert.ok(channel.onUnicast(A, payload, 7 as Millis).ok, "of somebody else: passed over");
  assert.ok(channel.onUnicast(B, encodeHopMessage({ kind: "answer", answer: answerOf(99) }), 7 as Millis).ok);
  assert.ok(channel.onUnicast(B, payload, 7 as Millis).ok);
  const found = await asked;
  assert.equal(found!.ms, 7);
  const tookMs = Date.now() - began;
  assert.ok(Math.abs(found!.clockMs - 5_000) <= tookMs + 4, `${found!.clockMs} after ${tookMs} ms`);
});

Deno.test("PathChannel asks no more than 64 at a time, and none waits for ever", async () => {
  const { channel, sent } = bench();
  const all = Array.from({ length: 70 }, () => channel.ask(B, WHAT));
  assert.equal(sent.length, 64);
  assert.deepEqual(new Set(await Promise.all(all)), new Set([undefined]));
});

Deno.test("PathChannel answers as many questions as a peer may ask, and looks for no others", async () => {
  const { channel, looks, sent, settle } = bench();
  const question = encodeHopMessage({ kind: "question", question: { ...WHAT, id: 1 } });
  for (let i = 0; i < 500; i++) channel.onUnicast(A, question, 0 as Millis);
  await settle();
  assert.deepEqual([looks(), sent.length], [32, 32]);
  assert.ok(sent.every(({ peer }) => peer === A));
});

Deno.test("PathChannel passes over what makes no sense, and has nothing to tell neighbours", () => {
  const { channel } = bench();
  assert.deepEqual(channel.onUnicast(A, Uint8Array.of(1, 2), 0 as Millis), { ok: true, value: undefined });
  assert.equal(channel.fullState(), undefined);
  assert.deepEqual(
    [channel.onGossip(), channel.onBroadcast()],
    Array(2).fill({ ok: true, value: undefined }),
  );
  channel.onPeersRemoved();
});
