import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import type { IntroConfig } from "../../../../mod/mesh/connections/intro.ts";
import { nonce, SealedStream } from "../../../../mod/mesh/connections/sealed_stream.ts";
import { GobDecoder } from "../../../../mod/wire/mesh/gob.ts";
import {
  decodeGossipFrame,
  decodeTopology,
  encodeGossipFrame,
  TAG,
} from "../../../../mod/wire/mesh/mesh_message.ts";
import { decodeOverlayControl, encodeOverlayControl } from "../../../../mod/wire/mesh/overlay_control.ts";
import { loadVectors } from "../../vectors.ts";
import { type PeerJson, recordOf, sorted } from "../../wire/mesh/topology_json.ts";
import { introConfig, replayIntro, sealer } from "./intro_pair.ts";

interface CryptoVector {
  readonly session_key: string;
  readonly messages: readonly {
    readonly sender_is_dialer: boolean;
    readonly seq: string | number;
    readonly nonce: string;
    readonly plaintext?: string;
    readonly sealed?: string;
  }[];
}
const crypto = loadVectors<{ vectors: CryptoVector[] }>("mesh-crypto").vectors;

Deno.test("nonce() marks the direction and counts", () => {
  for (const { messages } of crypto) {
    for (const message of messages) {
      assert.equal(toHex(nonce(message.sender_is_dialer, BigInt(message.seq))), message.nonce);
    }
  }
});

Deno.test("SealedStream.seal() and open() count each direction by itself", () => {
  for (const { session_key, messages } of crypto) {
    const key = fromHex(session_key);
    const dialer = new SealedStream(sealer, { key, outbound: true });
    const acceptor = new SealedStream(sealer, { key, outbound: false });
    for (const { sender_is_dialer, plaintext, sealed } of messages) {
      if (plaintext === undefined) continue;
      const [from, to] = sender_is_dialer ? [dialer, acceptor] : [acceptor, dialer];
      assert.equal(toHex(from.seal(fromHex(plaintext))), sealed);
      assert.equal(toHex(to.open(fromHex(sealed!))!), plaintext);
    }
  }
});

Deno.test("SealedStream.open() refuses a message out of order, of the other direction, or changed", () => {
  const key = new Uint8Array(32).fill(3);
  const sender = new SealedStream(sealer, { key, outbound: true });
  const [first, second] = [sender.seal(Uint8Array.of(1)), sender.seal(Uint8Array.of(2))];
  const receiver = () => new SealedStream(sealer, { key, outbound: false });
  assert.equal(receiver().open(second), undefined);
  assert.equal(new SealedStream(sealer, { key, outbound: true }).open(first), undefined);
  assert.equal(receiver().open(first.with(16, first[16]! ^ 1)), undefined);
  assert.equal(receiver().open(new Uint8Array(15)), undefined);
  assert.deepEqual(receiver().open(first), Uint8Array.of(1));
});

type Side = "dialer" | "acceptor";
type Decoded =
  | { readonly features: Record<string, string> }
  | { readonly tag: 0 }
  | { readonly tag: 7; readonly forwarder: number; readonly inner_tag: number; readonly body: string }
  | {
    readonly tag: 4;
    readonly channel: string;
    readonly source: string;
    readonly payload_length?: number;
    readonly topology?: PeerJson[];
  };
interface Message {
  readonly sender: Side;
  readonly seq: number;
  readonly message_hex: string;
  readonly plaintext_hex?: string;
  readonly decoded: Decoded;
}
type Capture =
  & { readonly messages: Message[]; readonly password?: string }
  & { readonly [K in `${Side}_stream_hex`]: string }
  & { readonly [K in `${Side}_private_key`]?: string };

/** The other end of the captured sender, as a configuration. */
function receiverOf(capture: Capture, sender: Side): IntroConfig {
  const receiver = sender === "dialer" ? "acceptor" : "dialer";
  return introConfig({
    outbound: receiver === "dialer",
    password: new TextEncoder().encode(capture.password ?? ""),
    privateKey: fromHex(capture[`${receiver}_private_key`] ?? ""),
  });
}

function checkMessage(message: Uint8Array, decoded: Decoded): void {
  assert.ok("tag" in decoded);
  assert.equal(message[0], decoded.tag);
  switch (decoded.tag) {
    case TAG.heartbeat:
      return assert.equal(message.length, 1);
    case TAG.overlayControl: {
      const { forwarder: index, inner_tag: tag } = decoded;
      const value = { bare: false, index, tag, payload: fromHex(decoded.body) };
      assert.deepEqual(decodeOverlayControl(message), { ok: true, value });
      return assert.deepEqual(encodeOverlayControl(value), message);
    }
    case TAG.gossip: {
      const frame = decodeGossipFrame(message);
      assert.ok(frame.ok);
      const { tag, channel, source, payload } = frame.value;
      assert.deepEqual({ tag, channel, source }, {
        tag: "gossip",
        channel: decoded.channel,
        source: decoded.source,
      });
      assert.deepEqual(encodeGossipFrame(frame.value), message);
      if (decoded.topology === undefined) {
        assert.equal(payload.length, decoded.payload_length);
        const gob = new GobDecoder(payload);
        assert.equal(gob.next().ok, true);
        return assert.equal(gob.atEnd(), true);
      }
      const topology = decodeTopology(payload);
      assert.ok(topology.ok);
      return assert.deepEqual(sorted(topology.value), sorted(decoded.topology.map(recordOf)));
    }
  }
}

for (const name of ["mesh-session-plain", "mesh-session-encrypted"]) {
  const capture = loadVectors<Capture>(name);
  for (const sender of ["dialer", "acceptor"] as const) {
    const sent = capture.messages.filter((message) => message.sender === sender).sort((a, b) =>
      a.seq - b.seq
    );

    Deno.test(`MessageCodec reads all that the ${sender} of ${name} sent`, () => {
      const stream = fromHex(capture[`${sender}_stream_hex`]);
      const { result, used } = replayIntro(receiverOf(capture, sender), stream, [1]);
      assert.ok(result.kind === "done");
      const { features } = sent[0]!.decoded as { features: Record<string, string> };
      assert.equal(result.remote.name, features["Name"]);
      assert.equal(result.remote.shortId, Number(features["ShortID"]));
      assert.equal(result.rest.length, 0);

      const messages: Uint8Array[] = [];
      for (let at = used; at < stream.length; at += 100) {
        const fed = result.codec.feed(stream.slice(at, at + 100));
        assert.ok(fed.ok);
        messages.push(...fed.value);
      }
      assert.equal(messages.length, sent.length - 1);
      messages.forEach((message, i) => {
        const { plaintext_hex, message_hex, decoded } = sent[i + 1]!;
        assert.equal(toHex(message), plaintext_hex ?? message_hex);
        checkMessage(message, decoded);
      });
    });
  }
}
