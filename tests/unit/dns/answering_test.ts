import assert from "node:assert/strict";
import { Answering } from "../../../mod/dns/thread/answering_shell.ts";
import { ClientTable } from "../../../mod/dns/answers/clients.ts";
import { MAX_UDP_ANSWER } from "../../../mod/dns/answers/name_server.ts";
import { ResponseLimit } from "../../../mod/dns/answers/response_limit.ts";
import { VirtualClock } from "../../sim/clock.ts";
import { decodeReference, encodeReference } from "../wire/dns/dns_packet.ts";
import { addressOf } from "./bench.ts";
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
