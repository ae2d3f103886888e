import assert from "node:assert/strict";
import { Answering, type Elsewhere } from "../../../mod/dns/thread/answering_shell.ts";
import { ClientTable } from "../../../mod/dns/answers/clients.ts";
import { MAX_UDP_ANSWER } from "../../../mod/dns/answers/name_server.ts";
import { ResponseLimit } from "../../../mod/dns/answers/response_limit.ts";
import { VirtualClock } from "../../sim/clock.ts";
import { decodeReference, encodeReference } from "../wire/dns/dns_packet.ts";
import { addressOf, entry } from "./bench.ts";
import { query, ServerBench } from "./server_bench.ts";

const CLIENT = addressOf("172.17.0.2");
const STRANGER = addressOf("198.51.100.7");

Deno.test("Answering: an answer of another server is cut off for strangers over UDP, and for nobody else", () => {
  const bytes = query({ name: "www.example.com", type: "TXT", edns: 4_096 });
  const { questions } = decodeReference(bytes);
  const data = `"${"x".repeat(250)}"`;
  const answers = Array.from({ length: 12 }, () => ({ name: "www.example.com", type: "TXT", ttl: 1, data }));
  const reply = encodeReference({ type: "response", id: 4711, questions, answers });
  const clients = new ClientTable();
  clients.set("container", { addresses: [], sources: [CLIENT] });
  const answering = new Answering({
    ...{ clients, clock: new VirtualClock(), limit: new ResponseLimit(1), server: new ServerBench().server },
    asking: { ask: ({ waiter }) => waiter.answer(reply) },
  });
  const out = new Uint8Array(MAX_UDP_ANSWER);
  const asked = (source: number, transport: "udp" | "tcp") => {
    const verdict = transport === "udp"
      ? answering.udp(bytes, source, true, out)
      : answering.tcp(bytes, source, out);
    assert.ok(verdict.kind === "forward");
    const sent: Uint8Array[] = [];
    answering.forward(verdict.query, { bytes, source, transport, send: (one) => void sent.push(one) });
    return sent[0]!;
  };
  assert.ok(reply.length > 3_000 && reply.length <= MAX_UDP_ANSWER);
  assert.deepEqual(asked(CLIENT, "udp"), reply);
  assert.deepEqual(asked(STRANGER, "tcp"), reply);
  const cut = asked(STRANGER, "udp");
  assert.equal(cut.length, bytes.length - 11); // the question, without what it says of sizes
  assert.equal(cut[2]! & 2, 2, "marked");
  const read = decodeReference(cut);
  assert.deepEqual([read.id, read.answers, read.questions[0]!.name], [4711, [], "www.example.com"]);
});

Deno.test("Answering inside a container: the mesh's names, then the engine's; where its own come first, the other way round", () => {
  const bench = new ServerBench();
  bench.hear(entry({ hostname: "web.weave.local." }));
  const answering = new Answering({
    ...{ clients: new ClientTable(), clock: new VirtualClock(), limit: new ResponseLimit(1) },
    ...{ server: bench.server, asking: { ask: () => assert.fail("the host's servers") } },
  });
  const engine = new Map([["web", "172.18.0.9"], ["local", "172.18.0.3"]]);
  const asked: string[] = [];
  const elsewhere = (engineFirst: boolean): Elsewhere => ({
    ...{ engineFirst, source: addressOf("127.1.2.3") },
    ask({ message, waiter }) {
      const { questions } = decodeReference(message.slice());
      const { name } = questions[0]!;
      asked.push(name);
      const data = engine.get(name);
      if (name === "silent") return waiter.fail();
      const answers = data === undefined || questions[0]!.type !== "A"
        ? []
        : [{ name, type: "A", ttl: 600, data }];
      const flags = data === undefined ? 0x8180 | 3 : 0x8180;
      waiter.answer(encodeReference({ type: "response", id: 4711, questions, answers, flags }));
    },
  });
  const out = new Uint8Array(MAX_UDP_ANSWER);
  const answerTo = (name: string, engineFirst: boolean, type = "A") => {
    asked.length = 0;
    const bytes = query({ name, type });
    const sent: Uint8Array[] = [];
    const pending = {
      ...{ bytes, source: addressOf("127.1.2.3"), transport: "udp" as const },
      ...{ elsewhere: elsewhere(engineFirst), send: (one: Uint8Array) => void sent.push(one.slice()) },
    };
    const verdict = answering.udp(bytes, pending.source, true, out);
    if (verdict.kind === "forward") answering.forward(verdict.query, pending);
    else if (verdict.kind === "reply") {
      answering.answer(out.subarray(0, verdict.length), verdict.rcode, pending);
    }
    const { answers, rcode } = decodeReference(sent[0]!);
    return [answers.map(({ data }) => data).join() || rcode, [...asked]];
  };
  const mesh = "10.32.0.1";
  assert.deepEqual(answerTo("web", false), [mesh, []], "nobody else is asked");
  assert.deepEqual(answerTo("web", true), ["172.18.0.9", ["web"]]);
  assert.deepEqual(answerTo("web.weave.local", true), [mesh, []], "that one is the mesh's");
  assert.deepEqual(answerTo("local", false), ["172.18.0.3", ["local"]]);
  assert.deepEqual(answerTo("local", false, "AAAA"), ["NOERROR", ["local"]], "there is such a name");
  assert.deepEqual(answerTo("web", true, "AAAA"), ["NOERROR", ["web"]]);
  assert.deepEqual(answerTo("nobody", false, "AAAA"), ["NXDOMAIN", ["nobody"]]);
  assert.deepEqual(answerTo("nobody", false), ["NXDOMAIN", ["nobody"]]);
  assert.deepEqual(answerTo("silent", false), ["NXDOMAIN", ["silent"]]);
  assert.deepEqual(answerTo("gone.weave.local", false), ["NXDOMAIN", []]);
  assert.deepEqual(answerTo("www.example.com", false), ["NXDOMAIN", ["www.example.com"]]);
  engine.delete("web");
  assert.deepEqual(answerTo("web", true), [mesh, ["web"]], "it has none of that name");
});
