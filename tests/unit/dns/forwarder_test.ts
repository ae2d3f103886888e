import assert from "node:assert/strict";
import type { Endpoint, Ip } from "../../../mod/core/addr.ts";
import type { Millis } from "../../../mod/core/time.ts";
import {
  type Asked,
  DnsForwarder,
  type ForwardEffect,
  MAX_FORWARDED,
} from "../../../mod/dns/upstream/forwarder.ts";
import { readQuery } from "../../../mod/wire/dns/dns_query.ts";
import { fuzz } from "../fuzz.ts";
import { seededRandom } from "../properties.ts";
import { decodeReference, encodeReference, type ReferenceMessage } from "../wire/dns/dns_packet.ts";
import { query, type Question } from "./server_bench.ts";

const server = (n: number): Endpoint => ({ ip: `10.0.0.${n}` as Ip, port: 53 });
const SOA = {
  ...{ name: "example.com", type: "SOA", ttl: 900 },
  data: {
    mname: "a.example.com",
    rname: "b.example.com",
    serial: 1,
    refresh: 2,
    retry: 3,
    expire: 4,
    minimum: 60,
  },
};

/** A forwarder on a bench. Waiters are numbers. */
class Trial {
  now = 0 as Millis;
  readonly forwarder: DnsForwarder<number>;
  /** Attempts that are open. */
  readonly open = new Map<number, ForwardEffect<number> & { readonly kind: "send" }>();
  /** What waiters were told, in order. */
  readonly told: string[] = [];
  readonly answers = new Map<number, Uint8Array>();

  /** Whether what is answered can be read. */
  #isSound = true;

  constructor() {
    this.forwarder = new DnsForwarder({ random: seededRandom(), patienceMs: 5_000 });
  }

  ask(waiter: number, question: Question, more: Partial<Asked<number>> & { id?: number } = {}): void {
    const message = query(question, { id: more.id ?? waiter });
    const read = readQuery(message);
    assert.ok(read.ok);
    this.#perform(this.forwarder.ask({
      ...{ waiter, message, query: read.value, source: 1, transport: "udp", servers: [server(1), server(2)] },
      ...more,
    }, this.now));
  }

  /** The server of the open attempt with this number answers. */
  reply(attempt: number, change: ReferenceMessage = {}): void {
    const { id, questions } = decodeReference(this.open.get(attempt)!.message);
    const { name } = questions[0]!;
    const answers = [{ name, type: "A", ttl: 300, data: "192.0.2.1" }];
    this.bytes(attempt, encodeReference({ type: "response", id, questions, answers, ...change }));
  }

  bytes(attempt: number, bytes: Uint8Array, isSound = true): void {
    this.#isSound = isSound;
    this.#perform(this.forwarder.replied(attempt, bytes, this.now));
    this.#isSound = true;
  }

  fail(attempt: number): void {
    this.#perform(this.forwarder.failed(attempt, this.now));
  }

  /** Time passes, and what is due by then is done when it is due. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (let next = this.forwarder.nextWake(); next <= end; next = this.forwarder.nextWake()) {
      this.now = next as Millis;
      this.#perform(this.forwarder.wake(this.now));
    }
    this.now = end as Millis;
  }

  /** Servers of the open attempts. */
  get asked(): string[] {
    return [...this.open.values()].map(({ server: { ip }, transport }) => `${ip} ${transport}`);
  }

  #perform(effects: readonly ForwardEffect<number>[]): void {
    for (const effect of effects) {
      if (effect.kind === "send") this.open.set(effect.attempt, effect);
      else if (effect.kind === "close") assert.ok(this.open.delete(effect.attempt));
      else if (effect.kind === "fail") this.told.push(`${effect.waiter} failed`);
      else if (!this.#isSound) {
        assert.equal(effect.message[0]! << 8 | effect.message[1]!, effect.waiter & 0xffff);
      } else {
        const { id, questions, answers } = decodeReference(effect.message);
        this.answers.set(effect.waiter, effect.message);
        this.told.push(
          `${effect.waiter} ${id} ${questions[0]!.name} ${answers.map(({ data, ttl }) => `${data} ${ttl}`)}`,
        );
      }
    }
  }
}

const WEB = { name: "Web.example.com" };

Deno.test("DnsForwarder asks with an id of its own, and answers with the client's id and letters", () => {
  const trial = new Trial();
  trial.ask(1, WEB, { id: 4711 });
  assert.deepEqual(trial.asked, ["10.0.0.1 udp"]);
  const { message } = trial.open.get(1)!;
  assert.notEqual(message[0]! << 8 | message[1]!, 4711);
  trial.reply(1, { questions: [{ name: "web.EXAMPLE.com", type: "A" }] });
  assert.deepEqual(trial.told, ["1 4711 Web.example.com 192.0.2.1 300"]);
  assert.equal(trial.open.size, 0);
  assert.equal(trial.forwarder.nextWake(), Infinity);
});

Deno.test("DnsForwarder joins equal questions, whatever their letters", () => {
  const trial = new Trial();
  trial.ask(1, WEB);
  trial.ask(2, { name: "web.example.com" }, { source: 2 });
  trial.ask(3, { ...WEB, type: "AAAA" });
  trial.ask(4, { ...WEB, edns: 1232 });
  trial.ask(5, WEB, { transport: "tcp" });
  assert.equal(trial.open.size, 4);
  trial.reply(1);
  assert.deepEqual(trial.told, ["1 1 Web.example.com 192.0.2.1 300", "2 2 web.example.com 192.0.2.1 300"]);
});

Deno.test("DnsForwarder passes over what is no answer to its question", () => {
  const trial = new Trial();
  trial.ask(1, WEB);
  const { id, questions } = decodeReference(trial.open.get(1)!.message);
  const bad: ReferenceMessage[] = [
    { id: id ^ 1 },
    { type: "query" },
    { questions: [{ name: "web.example.net", type: "A" }] },
    { questions: [{ name: "Web.example.com", type: "AAAA" }] },
    { questions: [{ name: "Web.example.com", type: "A", class: "CH" }] },
    { questions: [] },
    { questions: [...questions, ...questions] },
  ];
  for (const change of bad) trial.reply(1, change);
  trial.bytes(1, new Uint8Array(0));
  trial.bytes(1, new Uint8Array([id >>> 8, id, 0x80]));
  trial.bytes(77, new Uint8Array(0));
  assert.deepEqual(trial.told, []);
  assert.equal(trial.forwarder.counters.spoofed, bad.length + 2);
  trial.reply(1);
  assert.equal(trial.told.length, 1);
});

Deno.test("DnsForwarder asks the next server as well after a second, each twice, and takes the first answer", () => {
  const trial = new Trial();
  trial.ask(1, WEB);
  trial.pass(999);
  assert.equal(trial.open.size, 1);
  trial.pass(1);
  assert.deepEqual(trial.asked, ["10.0.0.1 udp", "10.0.0.2 udp"]);
  trial.pass(2_000);
  assert.deepEqual(trial.asked.length, 4);
  trial.reply(2);
  assert.equal(trial.told.length, 1);
  assert.equal(trial.open.size, 0);
  trial.ask(2, { name: "other.example.com" }); // the first one has not answered: it comes after the other
  assert.deepEqual(trial.asked, ["10.0.0.2 udp"]);
  trial.reply(5);
  trial.pass(30_000);
  trial.ask(3, { name: "third.example.com" });
  assert.deepEqual(trial.asked, ["10.0.0.1 udp"]);
});

Deno.test("DnsForwarder fails when nobody has answered in time", () => {
  const trial = new Trial();
  trial.ask(1, WEB);
  trial.ask(2, WEB);
  trial.pass(7_999);
  assert.deepEqual(trial.told, []);
  trial.pass(1);
  assert.deepEqual(trial.told, ["1 failed", "2 failed"]);
  assert.equal(trial.open.size, 0);
  assert.equal(trial.forwarder.nextWake(), Infinity);
  trial.ask(3, WEB); // nothing is remembered of it
  assert.equal(trial.open.size, 1);
});

Deno.test("DnsForwarder turns at once to the next server, and fails at once, where servers cannot be reached", () => {
  const trial = new Trial();
  trial.ask(1, WEB);
  trial.fail(1);
  assert.deepEqual(trial.asked, ["10.0.0.2 udp"]);
  trial.fail(2);
  assert.deepEqual(trial.told, ["1 failed"]);
  assert.equal(trial.forwarder.nextWake(), Infinity);
});

Deno.test("DnsForwarder waits for a slow server while another cannot be reached", () => {
  const trial = new Trial();
  trial.ask(1, WEB);
  trial.pass(1_000);
  trial.fail(2);
  assert.deepEqual(trial.told, []);
  trial.reply(1);
  assert.equal(trial.told.length, 1);
});

Deno.test("DnsForwarder over TCP gives up a server that answers something else", () => {
  const trial = new Trial();
  trial.ask(1, WEB, { transport: "tcp" });
  trial.reply(1, { id: 0 });
  assert.deepEqual(trial.asked, ["10.0.0.2 tcp"]);
});

Deno.test("DnsForwarder keeps answers as long as they say, with what is left of their time", () => {
  const trial = new Trial();
  trial.ask(1, WEB);
  trial.reply(1);
  trial.pass(100_500);
  trial.ask(2, { name: "WEB.example.com" }, { id: 9 });
  assert.deepEqual(trial.told[1], "2 9 WEB.example.com 192.0.2.1 200");
  trial.pass(199_499);
  trial.ask(3, WEB);
  assert.equal(trial.open.size, 0);
  trial.pass(1);
  trial.ask(4, WEB);
  assert.equal(trial.open.size, 1);
  assert.deepEqual(trial.forwarder.counters, { forwarded: 2, cached: 2, failed: 0, spoofed: 0, refused: 0 });
});

const answer = (ttl: number) => [{ name: "web.example.com", type: "A", ttl, data: "192.0.2.1" }];
const KEPT: readonly (readonly [what: string, seconds: number, reply: ReferenceMessage])[] = [
  ["an answer for its time", 300, {}],
  ["of several times the shortest", 7, { answers: [...answer(9), ...answer(7)] }],
  ["an answer for an hour at most", 3_600, { answers: answer(90_000) }],
  ["no answer without time", 0, { answers: answer(0) }],
  ["no answer with a time beyond 31 bits", 0, { answers: answer(2 ** 31) }],
  ["that a name is not there for the minimum of its zone", 60, { flags: 3, answers: [], authorities: [SOA] }],
  ["that a record is not there likewise", 60, { answers: [], authorities: [SOA] }],
  ["what is not there for five minutes at most", 300, {
    ...{ flags: 3, answers: [] },
    authorities: [{ ...SOA, data: { ...SOA.data, minimum: 3_000 } }],
  }],
  ["what is not there for no longer than its record", 20, {
    answers: [],
    authorities: [{ ...SOA, ttl: 20 }],
  }],
  ["nothing that is not there without a zone", 0, { flags: 3, answers: [] }],
  ["no failure", 0, { flags: 2, answers: answer(300) }],
  ["nothing that is cut off", 0, { flags: 0x200 }],
];
for (const [what, seconds, reply] of KEPT) {
  Deno.test(`DnsForwarder keeps ${what}`, () => {
    const trial = new Trial();
    trial.ask(1, WEB);
    trial.reply(1, reply);
    assert.equal(trial.told.length, 1);
    trial.pass(Math.max(0, seconds * 1_000 - 1));
    trial.ask(2, WEB);
    assert.equal(trial.open.size, seconds === 0 ? 1 : 0);
    trial.pass(seconds === 0 ? 0 : 1);
    trial.ask(3, WEB);
    assert.equal(trial.open.size, 1);
  });
}

Deno.test("DnsForwarder forgets what it kept when there are other servers", () => {
  const trial = new Trial();
  trial.ask(1, WEB);
  trial.reply(1);
  trial.forwarder.forget();
  trial.ask(2, WEB);
  assert.equal(trial.open.size, 1);
});

Deno.test("DnsForwarder bounds questions together, of one client, and those that wait for one", () => {
  const trial = new Trial();
  for (let i = 0; i < MAX_FORWARDED.ofClient; i++) trial.ask(i, { name: `a${i}.example.com` });
  trial.ask(9_001, { name: "b.example.com" });
  assert.deepEqual(trial.told.splice(0), ["9001 failed"]);
  for (let i = trial.open.size; i < MAX_FORWARDED.questions; i++) {
    trial.ask(i, { name: `a${i}.example.com` }, { source: 1_000 + i });
  }
  trial.ask(9_002, { name: "b.example.com" }, { source: 5 });
  assert.deepEqual(trial.told.splice(0), ["9002 failed"]);
  for (let i = 1; i < MAX_FORWARDED.waiting; i++) {
    trial.ask(2_000 + i, { name: "a0.example.com" }, { source: i + 1 });
  }
  trial.ask(9_003, { name: "a0.example.com" }, { source: 6 });
  assert.deepEqual(trial.told, ["9003 failed"]);
  assert.equal(trial.forwarder.counters.refused, 3);
  trial.pass(20_000);
  assert.equal(trial.open.size, 0);
  trial.ask(9_004, { name: "b.example.com" }); // and all of it is free again
  assert.equal(trial.open.size, 1);
});

Deno.test("DnsForwarder ends a circle: a question that comes back to us waits for itself", () => {
  const trial = new Trial();
  trial.ask(1, WEB);
  for (let i = 2; i < 5; i++) trial.ask(i, WEB, { source: 2, id: i }); // as a server sends it that asks us
  assert.equal(trial.open.size, 1);
  trial.pass(8_000);
  assert.deepEqual(trial.told.length, 4);
});

Deno.test("DnsForwarder takes whatever bytes come, and answers with its client's id", () => {
  const trial = new Trial();
  const whole = encodeReference({
    ...{ type: "response", questions: [{ name: "Web.example.com", type: "A" }], authorities: [SOA] },
    answers: [...answer(300), { name: "web.example.com", type: "CNAME", ttl: 5, data: "a.example.com" }],
  });
  let waiter = 0;
  fuzz((bytes) => {
    trial.ask(++waiter, { name: "Web.example.com" });
    const attempt = [...trial.open.keys()][0];
    if (attempt === undefined) return trial.forwarder.forget() ?? true; // it was kept
    bytes.set(trial.open.get(attempt)!.message.subarray(0, Math.min(2, bytes.length)));
    trial.bytes(attempt, bytes, false);
    if (trial.open.size > 0) trial.fail(attempt);
    if (trial.open.size > 0) trial.fail(attempt + 1);
    trial.now = trial.now + 31_000 as Millis;
    trial.forwarder.forget();
    return true;
  }, [whole]);
});

const stateOf = (trial: Trial, n: number) => trial.forwarder.stateOf(server(n), trial.now).state;

Deno.test("DnsForwarder knows which servers do not answer, from what clients ask", () => {
  const trial = new Trial();
  for (const name of ["a", "b", "c"]) {
    trial.ask(1, { name: `${name}.example.com` }, { servers: [server(1)] });
    trial.pass(7_000);
  }
  assert.equal(stateOf(trial, 1), "silent");
  assert.equal(trial.forwarder.stateOf(server(1), trial.now).silentSince, 0);
  trial.ask(2, { name: "d.example.com" }, { servers: [server(1)] });
  trial.reply([...trial.open.keys()][0]!, { flags: 2 }); // that it failed is an answer
  assert.equal(stateOf(trial, 1), "answers");
  trial.forwarder.forget();
  assert.equal(stateOf(trial, 1), "unknown");
});

Deno.test("DnsForwarder: where another server answers instead, the first one is known to be silent all the same", () => {
  const trial = new Trial();
  for (const name of ["a", "b", "c"]) {
    trial.ask(1, { name: `${name}.example.com` });
    trial.pass(1_000);
    trial.reply([...trial.open.keys()].at(-1)!);
    trial.pass(31_000);
  }
  assert.deepEqual([stateOf(trial, 1), stateOf(trial, 2)], ["silent", "answers"]);
});

Deno.test("DnsForwarder: over TCP no server is silent", () => {
  const trial = new Trial();
  for (const name of ["a", "b", "c"]) {
    trial.ask(1, { name: `${name}.example.com` }, { servers: [server(1)], transport: "tcp" });
    trial.fail([...trial.open.keys()][0]!);
    trial.pass(7_000);
  }
  assert.equal(stateOf(trial, 1), "unknown");
});

Deno.test("DnsForwarder asks a server on purpose three times, whatever it remembers, and it counts for nothing", () => {
  const trial = new Trial();
  trial.ask(1, WEB, { servers: [server(1)] });
  trial.reply(1);
  const before = { ...trial.forwarder.counters };
  trial.ask(2, WEB, { servers: [server(1)], isExam: true });
  trial.ask(3, WEB, { servers: [server(2)], isExam: true });
  assert.deepEqual(trial.asked, ["10.0.0.1 udp", "10.0.0.2 udp"]);
  trial.pass(3_000);
  assert.deepEqual(trial.asked.filter((one) => one === "10.0.0.2 udp").length, 3);
  trial.reply([...trial.open].findLast(([, { server: { ip } }]) => ip === "10.0.0.1")![0]);
  assert.equal(stateOf(trial, 1), "answers");
  assert.equal(stateOf(trial, 2), "unknown", "it has time yet");
  trial.pass(4_000);
  assert.equal(stateOf(trial, 2), "silent");
  assert.equal(trial.told.at(-1), "3 failed");
  assert.deepEqual(trial.forwarder.counters, before);
});
