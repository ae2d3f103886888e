/** The router core against hostile peers: what they do costs them their connection, and nobody else anything. */
import assert from "node:assert/strict";
import { concatBytes } from "../../../mod/core/bytes.ts";
import type { PeerName, PeerUid, ShortId } from "../../../mod/core/names.ts";
import type { PeerRecord } from "../../../mod/core/topology_record.ts";
import { BUSY } from "../../../mod/mesh/connections/connection.ts";
import { PER_SOURCE } from "../../../mod/mesh/connections/doorman.ts";
import { MAX_FRAME } from "../../../mod/mesh/connections/message_codec.ts";
import { MAX_PEERS, MAX_STATE_BYTES } from "../../../mod/mesh/topology/topology.ts";
import { DIGEST_CHANNEL } from "../../../mod/mesh/gossip/topology_digest.ts";
import { GobEncoder, type GobType } from "../../../mod/wire/mesh/gob.ts";
import type { GossipFrame } from "../../../mod/wire/mesh/mesh_message.ts";
import { seededRandom, withSeed } from "../properties.ts";
import { Attacked, type Caller, fake, FRIEND, MALLORY, US } from "./attacked.ts";
import { encodeTopology } from "../wire/mesh/encode_topology.ts";

const HELLO = Uint8Array.of(0x77, 0x65, 0x61, 0x76, 0x65, 1, 2);
const U64 = (1n << 64n) - 1n;
const gossip = (payload: Uint8Array, channel = "topology"): GossipFrame => ({
  tag: "gossip",
  channel,
  source: MALLORY,
  payload,
});

function recordOf(name: PeerName, changes: Partial<PeerRecord> = {}): PeerRecord {
  const basis = { nickname: "", uid: 5n as PeerUid, version: 5n, shortId: undefined, links: [] };
  return { name, ...basis, ...changes };
}
const linkTo = (peer: PeerName, address = "192.0.2.77:6783") => ({
  peer,
  address,
  outbound: true,
  established: true,
});
function mallory(router: Attacked, changes: Parameters<Caller["introduce"]>[1] = {}, reads = true): Caller {
  const caller = router.call({ reads }).introduce(MALLORY, changes);
  assert.ok(caller.codec !== undefined && !caller.closed);
  return caller;
}

Deno.test("RouterCore closes a connection that says nonsense, at whatever stage, and no other", () => {
  withSeed(() => {
    const random = seededRandom();
    new Attacked().survive((router) => {
      const starts: readonly Uint8Array[] = [
        new Uint8Array(0),
        HELLO,
        concatBytes(HELLO, Uint8Array.of(0)), // not encrypted
        concatBytes(HELLO.subarray(0, 5), Uint8Array.of(1, 1)), // the older protocol
      ];
      for (let i = 0; i < 2_000; i++) {
        const caller = router.call();
        caller.send(concatBytes(starts[i % starts.length]!, random.bytes(300)));
        if (i % 50 === 0) router.advance(1_000);
      }
      router.advance(61_000);
      assert.equal(router.callers.size, 1, "only the friend is left");
    });
  });
});

Deno.test("RouterCore gives slow callers ten seconds for a header and a minute for the rest", () => {
  new Attacked().survive((router) => {
    const [slow, slower] = [router.call(), router.call()];
    slower.send(HELLO);
    for (let second = 1; second <= 61; second++) {
      router.advance(1_000);
      if (second % 3 === 0) slow.send(Uint8Array.of(HELLO[second / 3 - 1] ?? 0));
      slower.send(second === 1 ? Uint8Array.of(0, 0, 0, 1, 0) : Uint8Array.of(1)); // features, byte by byte
      assert.equal(slow.closed, second >= 10, `at ${second} s`);
      assert.equal(slower.closed, second >= 60, `at ${second} s`);
    }
  });
});

Deno.test("RouterCore keeps few connections that are not introduced, and no more of any than allowed", () => {
  new Attacked().survive((router) => {
    for (let i = 0; i < 5_000; i++) {
      router.call();
      assert.ok(router.callers.size <= PER_SOURCE + 1);
    }
    for (let i = 0; i < 200; i++) router.call().introduce(fake(i));
    assert.ok(router.callers.size <= PER_SOURCE + 20);
    assert.ok(router.core.topology.size <= 21);
  });
});

Deno.test("RouterCore lets a peer join while a stranger opens connections without end and says one byte", () => {
  new Attacked().survive((router) => {
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 300; i++) router.call({ ip: "192.0.2.66" }).send(Uint8Array.of(0x77));
      const newcomer = router.call({ ip: `203.0.113.${second}` });
      for (let i = 0; i < 300; i++) router.call({ ip: "192.0.2.66" }).send(Uint8Array.of(0x77));
      newcomer.introduce(fake(second));
      assert.ok(newcomer.codec !== undefined && !newcomer.closed, `in second ${second}`);
      newcomer.messages(Uint8Array.of(0));
      router.post({ kind: "closed", socket: newcomer.socket, reason: "it left" });
      router.advance(1_000);
    }
    assert.ok(router.core.snapshot(router.now).turnedAway > 10_000);
  });
});

Deno.test("RouterCore does not fill its log with refusals, whatever strangers say, from however many addresses", () => {
  new Attacked().survive((router) => {
    const random = seededRandom();
    const before = router.logged.length;
    for (let i = 0; i < 20_000; i++) {
      const ip = i % 2 === 0 ? "192.0.2.66" : `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
      router.call({ ip }).send(random.bytes(40)); // the reason quotes what they say
      if (i % 20 === 0) router.advance(100);
    }
    const lines = router.logged.length - before;
    assert.ok(lines > 0 && lines <= 60, `${lines} lines in 100 s`);
  });
});

Deno.test("RouterCore closes a connection for a length that is too large, before it has the bytes", () => {
  new Attacked().survive((router) => {
    const early = router.call();
    early.send(concatBytes(HELLO, Uint8Array.of(0, 0, 1, 0, 1)));
    assert.ok(early.closed, "64 KiB are too much for an introduction");
    for (const [version, length] of [[2, [0, 160, 0, 1]], [1, [0xfc, 0, 160, 1, 0]]] as const) {
      const late = mallory(router, { version });
      late.send(Uint8Array.from(length));
      assert.ok(late.closed, `version ${version}`);
    }
  });
});

Deno.test("RouterCore closes a connection that defines types without end", () => {
  new Attacked().survive((router) => {
    const gob = new GobEncoder();
    const definition = () => {
      const fields = Array.from({ length: 20 }, (_, i) => [`F${i}`, "int"] as const);
      return gob.define({ kind: "struct", fields } satisfies GobType);
    };
    const early = router.call();
    early.send(concatBytes(HELLO.subarray(0, 5), Uint8Array.of(1, 1)));
    const late = mallory(router, { version: 1 });
    for (let i = 0; i < 100; i++) for (const caller of [early, late]) caller.send(definition());
    assert.deepEqual([early.closed, late.closed], [true, true]);
  });
});

Deno.test("RouterCore closes a connection for gossip that cannot be read, by its own channels alone", () => {
  const random = seededRandom();
  new Attacked().survive((router) => {
    const bad: readonly Uint8Array[] = [
      Uint8Array.of(4),
      Uint8Array.of(5, 3, 6, 0),
      concatBytes(Uint8Array.of(6), random.bytes(50)),
    ];
    for (const message of bad) {
      const caller = mallory(router);
      caller.messages(message, Uint8Array.of(0));
      assert.ok(caller.closed);
    }
    const frames: readonly GossipFrame[] = [
      gossip(random.bytes(100)),
      { ...gossip(random.bytes(100)), tag: "broadcast" },
      { ...gossip(new Uint8Array(0)), tag: "unicast", destination: US },
      gossip(random.bytes(100), DIGEST_CHANNEL),
    ];
    for (const frame of frames) {
      const caller = mallory(router);
      caller.gossip(frame);
      assert.ok(caller.closed, JSON.stringify(frame.tag));
    }
    const caller = mallory(router);
    caller.gossip(gossip(random.bytes(100), "unheard of"));
    caller.messages(new Uint8Array(0), Uint8Array.of(99), random.bytes(3).fill(8));
    assert.ok(!caller.closed, "what is only unknown is passed over");
  });
});

Deno.test("RouterCore knows a bounded number of peers and links, whatever it is told", () => {
  new Attacked().survive((router) => {
    const caller = mallory(router);
    for (let round = 0; round < 2; round++) {
      const first = round * 10_000;
      const records = Array.from({ length: 10_000 }, (_, i) =>
        recordOf(fake(first + i), {
          version: BigInt(round),
          nickname: "x".repeat(i % 100 === 0 ? 20_000 : 1),
          links: [linkTo(MALLORY), linkTo(fake(first + i + 1)), linkTo(fake(first + i + 7), "y".repeat(90))],
        }));
      const own = recordOf(MALLORY, {
        version: BigInt(round + 2),
        links: records.map(({ name }) => linkTo(name)),
      });
      caller.gossip(gossip(encodeTopology([own, ...records])));
      router.advance(1_500);
    }
    const { topology } = router.core;
    assert.ok(topology.size <= MAX_PEERS + 3, `${topology.size} peers`);
    assert.ok(topology.stateSize <= MAX_STATE_BYTES);
    for (const { nickname, links } of topology.all()) {
      assert.ok(nickname.length <= 255);
      assert.ok(links.every(({ address }) => address.length <= 80));
    }
    assert.ok(!caller.closed);
    router.post({ kind: "closed", socket: caller.socket, reason: "the peer closed the connection" });
    router.advance(5_000);
    assert.equal(topology.size, 2, "all of it goes with who said it");
  });
});

Deno.test("RouterCore spends little on a list of ten million links that are a byte each", () => {
  new Attacked().survive((router) => {
    const [summary, bytes] = [encodeTopology([recordOf(fake(1))]), MAX_FRAME - 1_000];
    // The empty list at the end becomes a long one: length, type, marker, count, zeros.
    const head = summary.subarray(0, summary.length - 5);
    const body = concatBytes(
      summary.subarray(-4, -1),
      Uint8Array.of(0xfc),
      u32(bytes),
      new Uint8Array(bytes),
    );
    const caller = mallory(router);
    const payload = concatBytes(head, Uint8Array.of(0xfc), u32(body.length), body);
    caller.gossip(gossip(payload));
    assert.ok(caller.closed, "too many values");
  });
});

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

Deno.test("RouterCore passes on a bounded part of channels, sources and messages that nobody knows", () => {
  const random = seededRandom();
  const router = new Attacked();
  router.survive(() => {
    const deaf = router.call({ reads: false, ip: "192.0.2.5" }).introduce(fake(500));
    const caller = mallory(router);
    for (let i = 0; i < 10_000; i++) {
      const frame = gossip(random.bytes(20), `channel ${i}`);
      caller.gossip(i % 2 === 0 ? frame : { ...frame, tag: "broadcast", source: fake(i) });
      if (i % 1_000 === 0) router.advance(300);
    }
    const large = gossip(new Uint8Array(8_000_000), "large");
    for (let i = 0; i < 12; i++) {
      large.payload[0] = i;
      caller.gossip({ ...large, tag: i % 2 === 0 ? "gossip" : "broadcast" });
      caller.gossip({ ...large, tag: "unicast", destination: fake(500) });
      router.advance(300);
    }
    assert.ok(!caller.closed && !deaf.closed);
    assert.ok(deaf.unread <= BUSY + MAX_FRAME, `${deaf.unread} bytes for who does not read`);
    assert.ok(router.core.snapshot(router.now).gossip.surrogatesDropped > 500);
  });
});

Deno.test("RouterCore bounds what waits for a peer that never reads, and goes on with the others", () => {
  const router = new Attacked();
  router.survive(() => {
    const deaf = router.call({ reads: false, ip: "192.0.2.5" }).introduce(fake(500));
    const caller = mallory(router);
    for (let round = 0; round < 100; round++) {
      const records = Array.from(
        { length: 200 },
        (_, i) => recordOf(fake(i), { version: BigInt(round), links: [linkTo(MALLORY)] }),
      );
      const own = recordOf(MALLORY, {
        version: BigInt(round + 2),
        links: records.map(({ name }) => linkTo(name)),
      });
      caller.gossip(gossip(encodeTopology([own, ...records])));
      router.advance(200);
    }
    assert.ok(deaf.unread <= BUSY + 128 * 1024, `${deaf.unread} bytes`);
    router.advance(61_000);
    assert.ok(deaf.closed, "it was not heard of for a minute");
  });
});

Deno.test("RouterCore keeps its own record and its neighbours', whatever is said about them", () => {
  new Attacked().survive((router) => {
    const caller = mallory(router);
    const { topology } = router.core;
    for (const version of [1n, 1_000n, U64 - 1n, U64]) {
      for (const uid of [77n, 5n, U64]) {
        const spoofed = recordOf(US, {
          uid: uid as PeerUid,
          version,
          nickname: "not us",
          shortId: 9 as ShortId,
        });
        caller.gossip(gossip(encodeTopology([spoofed])));
        assert.deepEqual([topology.own.uid, topology.own.nickname, topology.own.shortId], [77n, "us", 1]);
      }
    }
    const written = caller.received;
    router.advance(10_000);
    assert.ok(caller.received - written < 4_096, "no storm follows");
    assert.equal(topology.own.links.length, 2);
  });
});

Deno.test("RouterCore changes its short id once for each time that it is taken, and stays when none is free", () => {
  new Attacked().survive((router) => {
    const caller = mallory(router);
    for (let round = 0; round < 2; round++) {
      const claims = Array.from(
        { length: 8_000 },
        (_, i) => recordOf(fake(i), { version: BigInt(round), shortId: (i * 7 + round) % 4096 as ShortId }),
      );
      const links = claims.map(({ name }) => linkTo(name));
      caller.gossip(
        gossip(encodeTopology([recordOf(MALLORY, { version: BigInt(round + 2), links }), ...claims])),
      );
    }
    router.advance(5_000);
    assert.ok(router.shortIds <= 2, `${router.shortIds} changes`);
  });
});

Deno.test("RouterCore refuses who comes with its own name or a neighbour's", () => {
  const router = new Attacked();
  router.survive(() => {
    for (let i = 0; i < 50; i++) {
      for (const [name, uid] of [[US, 1n], [US, 77n], [FRIEND, 9n]] as const) {
        const thief = router.call().introduce(name, { uid });
        assert.ok(thief.closed, `${name} ${uid}`);
      }
      router.advance(200);
    }
    assert.ok(router.logged.length < 10, `the log is not filled: ${router.logged.length} lines`);
  });
});

Deno.test("RouterCore hands on overlay control of its link alone, and only what is whole", () => {
  const router = new Attacked();
  router.survive(() => {
    const caller = mallory(router);
    router.overlay.length = 0;
    caller.messages(
      Uint8Array.of(7),
      Uint8Array.of(7, 0),
      Uint8Array.of(1),
      Uint8Array.of(2, 0),
      Uint8Array.of(3),
    );
    assert.equal(router.overlay.length, 0);
    caller.messages(Uint8Array.of(7, 255, 255), Uint8Array.of(7, 0, 0, 1, 2, 3));
    const links = new Set(router.overlay.map((request) => request.kind === "control" ? request.link : -1));
    assert.equal(links.size, 1);
    assert.ok(!caller.closed);
  });
});

Deno.test("RouterCore tells nobody what must be kept secret", () => {
  const password = new TextEncoder().encode("correct horse battery staple");
  const secrets = ["correct horse", "sessionKey", "privateKey"];
  const config = { password, sealer: fakeSealer() };
  const router = new Attacked(config);
  router.call().send(concatBytes(HELLO, Uint8Array.of(1), new Uint8Array(32).fill(7), new Uint8Array(100)));
  router.call().send(concatBytes(HELLO, Uint8Array.of(0)));
  const shown = JSON.stringify([router.core.snapshot(router.now), router.core.routes(), router.logged]);
  for (const secret of secrets) assert.ok(!shown.includes(secret), secret);
});

function fakeSealer() {
  const key = () => new Uint8Array(32).fill(3);
  return {
    publicKey: key,
    sessionKey: key,
    seal: (_k: unknown, _n: unknown, p: Uint8Array) => p.slice(),
    open: () => undefined,
  };
}
