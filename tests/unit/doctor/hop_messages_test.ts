import assert from "node:assert/strict";
import type { PeerName } from "../../../mod/core/names.ts";
import {
  decodeHopMessage,
  encodeHopMessage,
  type HopAnswer,
  type HopMessage,
} from "../../../mod/doctor/hop_messages.ts";
import { fuzz } from "../fuzz.ts";

const PEER = "02:00:00:00:50:02" as PeerName;
const MAC = "02:00:00:00:00:07";
const ANSWER: HopAnswer = {
  ...{ id: 7, nickname: "host2", clock: 1_795_000_000_000, next: PEER, nextKnows: true, port: "vmn1" },
  ...{ dropped: null, out: ["user space"], there: 3, back: -1 },
  link: { overlay: "sleeve", cipher: null, mtu: 1438, rttMs: 0.31, address: "192.0.2.2:6783", info: "" },
  end: { target: "netns:web", name: null, mac: MAC, problem: null },
};
const MESSAGES: readonly HopMessage[] = [
  { kind: "question", question: { id: 7, to: PEER, from: null, src: MAC, dst: MAC, ip: "10.2.1.2" } },
  { kind: "question", question: { id: 8, to: null, from: PEER, src: null, dst: null, ip: null } },
  { kind: "answer", answer: ANSWER },
  { kind: "answer", answer: { ...ANSWER, next: null, link: null, end: null, port: null, out: [] } },
];
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

Deno.test("decodeHopMessage() gives what encodeHopMessage() was given", () => {
  for (const message of MESSAGES) {
    assert.deepEqual(decodeHopMessage(encodeHopMessage(message)), { ok: true, value: message });
  }
});

Deno.test("encodeHopMessage() cuts what is too long, so that the message is taken", () => {
  const long = "x".repeat(10_000);
  const out = Array.from({ length: 20 }, () => "y");
  const message = { kind: "answer", answer: { ...ANSWER, nickname: long, out } } as const;
  const read = decodeHopMessage(encodeHopMessage(message));
  assert.ok(read.ok && read.value?.kind === "answer");
  assert.equal(read.value.answer.nickname.length, 400);
  assert.equal(read.value.answer.out.length, 8);
});

Deno.test("encodeHopMessage() gives what is taken, whatever the texts are", () => {
  for (const letter of ["x", "\u0000", '"', "\u20ac", "\ud83d\ude00", "\ud83d", "\u2028"]) {
    const long = letter.repeat(1_000);
    const answer = {
      ...{
        ...ANSWER,
        nickname: long,
        port: long,
        dropped: long,
        out: Array.from({ length: 20 }, () => long),
      },
      link: { ...ANSWER.link!, cipher: long, address: long, info: long },
      end: { target: long, name: long, mac: MAC, problem: long },
    };
    const octets = encodeHopMessage({ kind: "answer", answer });
    const read = decodeHopMessage(octets);
    assert.ok(octets.length <= 4096 && read.ok && read.value?.kind === "answer", JSON.stringify(letter));
    assert.deepEqual([read.value.answer.next, read.value.answer.end!.mac], [PEER, MAC]);
  }
});

Deno.test("decodeHopMessage() refuses what is not whole, and passes over what it does not know", () => {
  assert.deepEqual(decodeHopMessage(bytes({ kind: "riddle" })), { ok: true, value: undefined });
  const whole = { ...ANSWER } as Record<string, unknown>;
  const broken = [
    ...Object.keys(ANSWER).filter((key) => key !== "nextKnows").map((key) => ({
      ...whole,
      [key]: undefined,
    })),
    { ...whole, clock: "now" },
    { ...whole, next: "nobody" },
    { ...whole, out: "x" },
    { ...whole, out: [1] },
    { ...whole, link: { ...ANSWER.link, overlay: "pigeon" } },
    { ...whole, end: { ...ANSWER.end, target: 4 } },
  ];
  for (const answer of broken) {
    assert.equal(decodeHopMessage(bytes({ kind: "answer", answer })).ok, false, JSON.stringify(answer));
  }
  const others = [Uint8Array.of(), Uint8Array.of(0xff), bytes(4), bytes([]), bytes({ kind: "question" })];
  for (const other of [...others, new Uint8Array(5_000)]) assert.equal(decodeHopMessage(other).ok, false);
});

Deno.test("decodeHopMessage() takes any octets and returns", () => {
  fuzz((bytes) => decodeHopMessage(bytes), MESSAGES.map(encodeHopMessage));
});
