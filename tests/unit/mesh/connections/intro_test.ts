import assert from "node:assert/strict";
import { concatBytes, fromHex, toHex } from "../../../../mod/core/bytes.ts";
import { parsePeerName, type PeerUid, type ShortId } from "../../../../mod/core/names.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { Intro, type IntroConfig, type IntroResult } from "../../../../mod/mesh/connections/intro.ts";
import { nonce } from "../../../../mod/mesh/connections/sealed_stream.ts";
import { NO_SEALER } from "../../../../mod/sys/sealer.ts";
import { GobDecoder, GobEncoder } from "../../../../mod/wire/mesh/gob.ts";
import { FEATURES } from "../../../../mod/wire/mesh/mesh_features.ts";
import { fuzz } from "../../fuzz.ts";
import { check, fc } from "../../properties.ts";
import { loadVectors } from "../../vectors.ts";
import { introConfig, replayIntro, runIntros, sealer } from "./intro_pair.ts";

interface End {
  readonly min_version: 1 | 2;
  readonly max_version: 1 | 2;
  readonly password?: string;
  readonly private_key?: string;
  readonly session_key?: string;
  readonly sent_features: Record<string, string>;
  readonly received_features?: Record<string, string>;
  readonly messages_after_handshake: readonly string[];
  readonly stream_hex: string;
  readonly writes_hex: readonly string[];
  readonly version?: 1 | 2;
  readonly error?: "version-mismatch" | "remote-encrypted" | "decrypt-failed" | "closed-by-remote";
}
interface Transcript {
  readonly name: string;
  readonly dialer: End;
  readonly acceptor: End;
}
const { transcripts } = loadVectors<{ transcripts: Transcript[] }>("mesh-handshake");
const utf8 = (text: string) => new TextEncoder().encode(text);

function configOf(end: End, outbound: boolean): IntroConfig {
  const features = end.sent_features;
  return {
    self: {
      name: parsePeerName(features["Name"]!)!,
      nickname: features["NickName"]!,
      uid: BigInt(features["UID"]!) as PeerUid,
      shortId: Number(features["ShortID"]) as ShortId,
      overlays: features["Overlays"]!.split(" "),
    },
    connId: BigInt(features["ConnID"]!),
    minVersion: end.min_version,
    maxVersion: end.max_version,
    password: end.password === undefined ? undefined : utf8(end.password),
    outbound,
    sealer,
    privateKey: fromHex(end.private_key ?? ""),
    trustRemote: features["Trusted"] === "true",
  };
}

function done(result: IntroResult): IntroResult & { kind: "done" } {
  assert.equal(
    result.kind,
    "done",
    JSON.stringify(result, (_, value) => typeof value === "bigint" ? `${value}` : value),
  );
  return result as IntroResult & { kind: "done" };
}

function reasonOf(result: IntroResult): string {
  assert.equal(result.kind, "failed");
  return (result as IntroResult & { kind: "failed" }).reason;
}

/** The features map that an end wrote, opened if it is sealed. */
function sentFeatures(writes: readonly Uint8Array[], end: End, outbound: boolean): Record<string, string> {
  let bytes = writes.at(-1)!;
  if (end.version === 2) bytes = bytes.subarray(4);
  if (end.version === 2 && end.session_key !== undefined) {
    bytes = sealer.open(fromHex(end.session_key), nonce(outbound, 0n), bytes)!;
  }
  const map = new GobDecoder(bytes).next(FEATURES);
  assert.ok(map.ok);
  return Object.fromEntries([...map.value].filter(([key]) => key !== "PublicKey"));
}

const succeeding = transcripts.filter(({ dialer }) => dialer.error === undefined);
const sides = succeeding.flatMap(({ name, dialer, acceptor }) => [
  { name, side: "dialer", end: dialer, other: acceptor, outbound: true },
  { name, side: "acceptor", end: acceptor, other: dialer, outbound: false },
]);

for (const { name, side, end, other, outbound } of sides) {
  Deno.test(`Intro as the ${side} of the recorded introduction: ${name}`, () => {
    const { result, writes } = replayIntro(configOf(end, outbound), fromHex(other.stream_hex));
    const { version, remote, codec, encrypted, trustedBoth, sessionKey, rest } = done(result);

    assert.equal(version, end.version);
    assert.equal(encrypted, end.password !== undefined);
    assert.equal(trustedBoth, false, "the dialer trusts nobody");
    assert.equal(sessionKey && toHex(sessionKey), end.session_key);
    const received = end.received_features!;
    assert.equal(remote.name, received["Name"]);
    assert.equal(remote.nickname, received["NickName"]);
    assert.equal(remote.uid, BigInt(received["UID"]!));
    assert.equal(remote.connId, BigInt(received["ConnID"]!));
    assert.equal(remote.shortId, received["ShortID"] && Number(received["ShortID"]));
    assert.equal(remote.trusted, received["Trusted"] === "true");
    assert.deepEqual(remote.overlays, received["Overlays"]?.split(" "));

    // What we write: all but the features, whose order is free, to the byte.
    const beforeFeatures = version === 2 ? 2 : 1;
    assert.deepEqual(writes.slice(0, beforeFeatures).map(toHex), end.writes_hex.slice(0, beforeFeatures));
    assert.deepEqual(sentFeatures(writes, end, outbound), other.received_features);
    const ours = end.messages_after_handshake.map((message) => toHex(codec.encode(fromHex(message))));
    assert.deepEqual(ours, end.writes_hex.slice(-ours.length));

    const theirs = codec.feed(rest);
    assert.deepEqual(theirs.ok && theirs.value.map(toHex), other.messages_after_handshake);
  });

  Deno.test(`Intro does not depend on how the bytes are cut: ${side} of ${name}`, () => {
    const config = configOf(end, outbound);
    const stream = fromHex(other.stream_hex);
    const summary = (sizes: readonly number[]) => {
      const { result, sent, used } = replayIntro(config, stream, sizes);
      const { codec, rest, write: _, ...facts } = done(result);
      const messages = codec.feed(concatBytes(rest, stream.subarray(used)));
      return { facts, messages, sent: toHex(sent) };
    };
    const whole = summary([stream.length]);
    assert.deepEqual(summary([1]), whole);
    check(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (sizes) => {
        assert.deepEqual(summary(sizes), whole);
      }),
      { runs: 20 },
    );
  });
}

const REASONS = {
  "version-mismatch": /^the peer speaks protocol version 1 and this host 2: upgrade/,
  "remote-encrypted": /^the peer has a password and this host has none: set the same password on both$/,
  "decrypt-failed": /^the message did not decrypt: the passwords differ/,
  "closed-by-remote": /./,
};
for (const { name, dialer, acceptor } of transcripts.filter(({ dialer }) => dialer.error !== undefined)) {
  Deno.test(`Intro fails as recorded: ${name}`, () => {
    for (const [end, other, outbound] of [[dialer, acceptor, true], [acceptor, dialer, false]] as const) {
      const stream = fromHex(other.stream_hex);
      const { result, writes, intro } = replayIntro(configOf(end, outbound), stream);
      const { reason } = result.kind === "failed" ? result : intro.closed();
      assert.match(reason, REASONS[end.error!]);
      const fixed = end.writes_hex.slice(0, 2);
      assert.deepEqual(writes.slice(0, fixed.length).map(toHex), fixed);
      const bytewise = replayIntro(configOf(end, outbound), stream, [1]);
      assert.equal(
        toHex(bytewise.sent),
        toHex(concatBytes(...writes)),
        "and says so however the bytes are cut",
      );
      assert.equal(bytewise.result.kind === "failed" ? bytewise.result.reason : reason, reason);
    }
  });
}

Deno.test("Intro: two ends meet in every combination of version, password and trust", () => {
  const password = utf8("sesame");
  for (const secret of [undefined, password]) {
    for (const [dialerMax, acceptorMax] of [[2, 2], [1, 2], [2, 1], [1, 1]] as const) {
      for (
        const [dialerTrusts, acceptorTrusts] of [[false, false], [true, false], [false, true], [true, true]]
      ) {
        const dialer = introConfig({
          outbound: true,
          maxVersion: dialerMax,
          password: secret,
          trustRemote: dialerTrusts!,
        });
        const acceptor = introConfig({
          outbound: false,
          maxVersion: acceptorMax,
          password: secret,
          trustRemote: acceptorTrusts!,
        });
        const ends = runIntros(dialer, acceptor);
        const [a, b] = [done(ends.dialer.result), done(ends.acceptor.result)];
        const version = Math.min(dialerMax, acceptorMax);
        assert.deepEqual([a.version, b.version], [version, version]);
        assert.deepEqual([a.remote.name, b.remote.name], [acceptor.self.name, dialer.self.name]);
        assert.deepEqual(a.remote.overlays, version === 2 ? ["fastdp", "sleeve"] : undefined);
        assert.equal(a.encrypted && b.encrypted, secret !== undefined);
        // Version 1 has no word for trust.
        assert.equal(a.trustedBoth, version === 2 && dialerTrusts && acceptorTrusts);
        assert.equal(a.trustedBoth, b.trustedBoth);
        assert.deepEqual(a.sessionKey, b.sessionKey);
        assert.equal(a.sessionKey !== undefined, a.encrypted && !a.trustedBoth);
        for (const [from, to] of [[a, b], [b, a]] as const) {
          for (const text of ["one", "", "three"]) {
            assert.deepEqual(to.codec.feed(from.codec.encode(utf8(text))), { ok: true, value: [utf8(text)] });
          }
        }
      }
    }
  }
});

const PAIRS: readonly (readonly [
  what: string,
  dialer: Partial<IntroConfig>,
  acceptor: Partial<IntroConfig>,
  reasons: readonly [dialer: RegExp, acceptor: RegExp],
])[] = [
  ["only the dialer has a password", { password: utf8("x") }, {}, [/peer has none/, /this host has none/]],
  ["only the acceptor has a password", {}, { password: utf8("x") }, [/this host has none/, /peer has none/]],
  ["only one has a password, version 1", { maxVersion: 1, password: utf8("x") }, {}, [
    /peer has none/,
    /this host has none/,
  ]],
  ["the passwords differ", { password: utf8("x") }, { password: utf8("y") }, [
    /passwords differ/,
    /passwords differ/,
  ]],
  ["the versions differ", { maxVersion: 1 }, { minVersion: 2 }, [
    /the peer speaks protocol version 2 and this host 1/,
    /the peer speaks protocol version 1 and this host 2/,
  ]],
  [
    "no overlay is common",
    {
      self: { ...introConfig({ outbound: true }).self, overlays: ["awsvpc"] },
    },
    {},
    [
      /this host has "awsvpc" and the peer "fastdp sleeve"/,
      /this host has "fastdp sleeve" and the peer "awsvpc"/,
    ],
  ],
];
for (const [what, dialer, acceptor, reasons] of PAIRS) {
  Deno.test(`Intro tells both ends why: ${what}`, () => {
    const ends = runIntros(
      introConfig({ outbound: true, ...dialer }),
      introConfig({ outbound: false, ...acceptor }),
    );
    assert.match(reasonOf(ends.dialer.result), reasons[0]);
    assert.match(reasonOf(ends.acceptor.result), reasons[1]);
  });
}

Deno.test("Intro with different passwords in version 1 notices at the first message", () => {
  const ends = runIntros(
    introConfig({ outbound: true, maxVersion: 1, password: utf8("x") }),
    introConfig({ outbound: false, password: utf8("y") }),
  );
  const [a, b] = [done(ends.dialer.result), done(ends.acceptor.result)];
  const refused = b.codec.feed(a.codec.encode(Uint8Array.of(0)));
  assert.match(refused.ok ? "" : refused.reason, /passwords differ/);
});

Deno.test("Intro with an empty password is one without, and needs no ciphers", () => {
  const ends = runIntros(
    introConfig({ outbound: true, password: new Uint8Array(0), sealer: NO_SEALER }),
    introConfig({ outbound: false, sealer: NO_SEALER }),
  );
  assert.equal(done(ends.dialer.result).encrypted, false);
  assert.equal(done(ends.acceptor.result).encrypted, false);
});

Deno.test("Intro without overlays of its own announces none and accepts any", () => {
  const dialer = introConfig({ outbound: true });
  const bare = { ...dialer, self: { ...dialer.self, overlays: undefined } };
  const ends = runIntros(bare, introConfig({ outbound: false }));
  assert.equal(done(ends.acceptor.result).remote.overlays, undefined);
  assert.equal(done(ends.dialer.result).kind, "done");
});

const HEADER = "77656176650102";
const REFUSED:
  readonly (readonly [what: string, hex: string, password: string | undefined, reason: RegExp])[] = [
    ["another protocol", toHex(utf8("SSH-2.0-x")), undefined, /not a mesh peer, it says "SSH-2.0"/],
    ["rubbish", "16030100a50100", undefined, /not a mesh peer, it says 16030100a50100: check the address/],
    ["a version from the future", "77656176650304", undefined, /version 3 to 4 and this host 1 to 2/],
    ["a flag that is neither 0 nor 1", `${HEADER}02`, undefined, /unknown kind 2/],
    ["a key of small order", `${HEADER}01${"00".repeat(32)}`, "x", /key is not usable/],
    [
      "features of another type",
      `${HEADER}0000000004030600`.concat("01"),
      undefined,
      /is a uint, expected a map/,
    ],
    [
      "empty features",
      `${HEADER}0000000000`,
      undefined,
      /introduction is not valid: features are unreadable/,
    ],
    ["features without end", `${HEADER}0000010001`, undefined, /message of 65537 bytes, at most 65536/],
  ];
for (const [what, hex, password, reason] of REFUSED) {
  Deno.test(`Intro refuses ${what}`, () => {
    const config = introConfig({
      outbound: true,
      password: password === undefined ? undefined : utf8(password),
    });
    const whole = replayIntro(config, fromHex(hex));
    assert.match(reasonOf(whole.result), reason);
    const bytewise = replayIntro(config, fromHex(hex), [1]);
    assert.equal(reasonOf(bytewise.result), reasonOf(whole.result));
    assert.deepEqual(bytewise.sent, whole.sent);
  });
}

Deno.test("Intro refuses a bad feature and names it", () => {
  const features = new Map([
    ["PeerNameFlavour", "mac"],
    ["Name", "00:00:00:00:00:0b"],
    ["NickName", ""],
    ["UID", "1"],
    ["ConnID", "one"],
  ]);
  const bytes = new GobEncoder().encode(features, FEATURES);
  const stream = concatBytes(fromHex("7765617665010100").subarray(0, 7), bytes);
  const reason = reasonOf(replayIntro(introConfig({ outbound: true }), stream).result);
  assert.equal(
    reason,
    `the peer's introduction is not valid: feature ConnID is "one", expected an unsigned 64-bit number`,
  );
});

Deno.test("Intro.expire() allows 10 s for the header and 60 s for the rest", () => {
  const at = (ms: number) => ms as Millis;
  const intro = new Intro(introConfig({ outbound: true }), at(500));
  assert.equal(intro.nextWake(), 10_500);
  assert.equal(intro.expire(at(10_499)), undefined);
  assert.equal(intro.receive(fromHex(HEADER), at(10_400)).kind, "more");
  assert.equal(intro.nextWake(), 70_400);
  assert.equal(intro.expire(at(70_399)), undefined);
  assert.match(intro.expire(at(70_400))!.reason, /did not complete its introduction within 60 s/);
  assert.equal(intro.nextWake(), Infinity);
  assert.equal(intro.receive(Uint8Array.of(0), at(70_401)).kind, "failed", "and stays failed");

  const silent = new Intro(introConfig({ outbound: true }), at(0));
  assert.match(silent.expire(at(10_000))!.reason, /said nothing for 10 s/);
  const slow = new Intro(introConfig({ outbound: true }), at(0));
  slow.receive(fromHex("7765"), at(1));
  assert.match(reasonOf(slow.receive(fromHex("61"), at(10_000))), /sent 2 bytes of its greeting/);
});

Deno.test("Intro.receive() after the end is refused, Intro.closed() is not", () => {
  const { intro, result } = replayIntro(
    configOf(succeeding[0]!.dialer, true),
    fromHex(succeeding[0]!.acceptor.stream_hex),
  );
  done(result);
  assert.equal(intro.nextWake(), Infinity);
  assert.throws(() => intro.receive(Uint8Array.of(0), 1_001 as Millis), TypeError);
  assert.equal(intro.closed().reason, "the peer closed the connection");
});

Deno.test("Intro.closed() says what a close at each stage probably means", () => {
  const closed = (stream: string, password?: string) => {
    const secret = password === undefined ? undefined : utf8(password);
    const config = introConfig({ outbound: true, password: secret });
    return replayIntro(config, fromHex(stream)).intro.closed().reason;
  };
  assert.match(closed(""), /without a greeting/);
  assert.match(closed(HEADER), /the peer probably has a password and this host has none/);
  assert.match(closed(HEADER, "x"), /this host has a password and the peer probably has none/);
  assert.match(closed(`${HEADER}00`), /see its log/);
  assert.match(closed(`${HEADER}01${"09".repeat(32)}`, "x"), /passwords probably differ/);
});

Deno.test("Intro.receive() returns on any input", () => {
  const streams = sides.flatMap(({ other }) => fromHex(other.stream_hex));
  const plain = introConfig({ outbound: true });
  const samples = streams.filter((stream) => stream[7] !== 1);
  fuzz((bytes) => replayIntro(plain, bytes).result, samples, { mutations: 100, truncations: 50 });
  const sealed = introConfig({ outbound: true, password: utf8("wfvAwt7sj") });
  fuzz((bytes) => replayIntro(sealed, bytes).result, streams, { mutations: 5, truncations: 5, randoms: 50 });
});

Deno.test("Intro that replaces a connection waits for what the remote says, and makes a number below", () => {
  const [acceptorId, bound] = [0xfedc_ba98_7654_3210n, 1_000n];
  for (const password of [undefined, utf8("secret")]) {
    for (const known of [bound, undefined]) {
      const asked: string[] = [];
      const outbid = (name: string) => (asked.push(name), known);
      const dialerConfig = introConfig({ outbound: true, outbid, password, connId: 123_456_789n });
      const ends = runIntros(dialerConfig, introConfig({ outbound: false, connId: acceptorId, password }));
      const told = done(ends.acceptor.result).remote.connId;
      done(ends.dialer.result);
      assert.deepEqual(asked, ["00:00:00:00:00:0b"]);
      const uid = told ^ acceptorId;
      if (known === undefined) assert.equal(told, 123_456_789n, "any number will do");
      else assert.ok(uid >= 0n && uid < bound, `${uid}`);
    }
  }
});
