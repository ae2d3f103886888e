/** Odd packets of containers and hostile datagrams of several peers: nothing throws, and nobody's traffic shows up where
 * it does not belong, not even what an earlier packet left in a buffer. */
import assert from "node:assert/strict";
import { toHex } from "../../../mod/core/bytes.ts";
import type { ConnUid } from "../../../mod/core/names.ts";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { ODD_SHAPES, oddPacket, repeated, secretPacket, tells } from "../overlay/odd_packets.ts";
import { TAP_PACKET } from "../../../mod/overlay/ports/tap_port.ts";
import { loadSealer } from "../../../mod/sys/sealer.ts";
import { peerNumber } from "../../../mod/wire/mesh/sleeve.ts";
import { vniOf } from "../../../mod/wire/packet/vxlan.ts";
import { mutate } from "../fuzz.ts";
import { seededRandom, withSeed } from "../properties.ts";
import { addressOf, type Datagram, type End, enginePair, LINK, NAMES, shortOf } from "./engine_pair.ts";
import * as packets from "./super_packets.ts";

const random = seededRandom();
const sealer = await loadSealer();
Deno.test("SleeveEngine sends nothing of what lies behind a packet, before it, or was there earlier", () => {
  withSeed(() => {
    const buffer = new Uint8Array(TAP_PACKET + 2_000);
    let sent = 0;
    for (const [mtu, partial] of [[68, false], [900, true], [1_400, false], [65_535, true]] as const) {
      const [a] = enginePair({ partial, mtu });
      a.path.maxPayload = Math.min(a.path.maxPayload, 65_507);
      const key = { link: LINK, id: vniOf(shortOf(0), shortOf(1)) };
      const other = { link: LINK, id: vniOf(shortOf(2), shortOf(1)) };
      const untouched = repeated(buffer.length);
      for (let round = 0; round < 700; round++) {
        a.path.fragmentsArrive = round % 2 === 0;
        // Somebody else's packet first: in every buffer that the engine has.
        const secret = secretPacket(ODD_SHAPES[round % ODD_SHAPES.length]!);
        buffer.set(secret, 4);
        a.engine.send(other, buffer, { from: 4, to: 4 + secret.length, broadcast: false });
        a.flush();
        a.socket.sent.length = a.taken.length = 0;

        buffer.set(untouched);
        const packet = oddPacket(random);
        const [from, to] = [4, 4 + packet.length];
        buffer.set(packet, from);
        a.engine.send(key, buffer, { from, to, broadcast: round % 3 === 0 });
        a.flush();
        sent += a.socket.sent.length;
        const what = () =>
          `mtu ${mtu}, round ${round}: ${toHex(packet.subarray(0, 200))}, ${packet.length} octets`;
        for (const { bytes } of a.socket.sent) assert.ok(!tells(bytes), what());
        for (const answer of a.taken) assert.ok(!tells(answer.packet), what());
        buffer.set(untouched.subarray(from, to), from);
        assert.deepEqual(buffer, untouched, what());
      }
    }
    assert.ok(sent > 3_000, `${sent} sent`);
  });
});

/** A victim with a clear link to NAMES[1] and a sealed one to NAMES[2]. */
function victim(): { a: End; clear: End; sealed: End; second: LinkId } {
  const [a, clear] = enginePair({ partial: true, sealer });
  const second = LINK + 1 as LinkId;
  const protection = { kind: "sealed", sessionKey: new Uint8Array(32).fill(7) } as const;
  const sealedPair = { sealer, protection, partial: true, names: [NAMES[0]!, NAMES[2]!, NAMES[1]!] };
  const [, sealed] = enginePair(sealedPair);
  const carrier = {
    ...{
      link: second,
      peer: NAMES[2]!,
      outbound: true,
      protection,
      local: addressOf(0).ip,
      remote: addressOf(2),
      mtu: 1_400,
    },
    ...{ extensions: { partial: true, gcm: false }, maxPayload: 1_434 },
    ...{
      use: { largest: 0, asleep: false },
      unsettled: false,
      carried: () => false,
      heard() {},
      channel: () => "df" as const,
    },
  };
  a.engine.perform({ kind: "sleeve-open", carrier }, 0 as Millis);
  return { a, clear, sealed, second };
}

Deno.test("SleeveEngine gives each link what its peer sent, once where it is sealed, whoever forges, cuts and replays", () => {
  withSeed(() => {
    const { a, clear, sealed, second } = victim();
    const genuine = new Map<string, number>();
    const framesOf = (packet: Uint8Array) => packets.cutPlainly(packet).map(toHex);
    let heartbeats = 0;
    /** New datagrams of the sealed peer, as it sends them. */
    const seal = (shape = ODD_SHAPES[random.below(ODD_SHAPES.length)]!): Datagram[] => {
      const packet = secretPacket(shape);
      for (const frame of framesOf(packet)) genuine.set(frame, (genuine.get(frame) ?? 0) + 1);
      sealed.send(packet);
      if (random.below(10) === 0) {
        const frame = { kind: "heartbeat", connUid: 7n as ConnUid } as const;
        sealed.engine.perform({ kind: "special", link: LINK, df: true, frame }, 0 as Millis);
        heartbeats++;
      }
      sealed.flush();
      return sealed.socket.sent.splice(0).map((one) => ({ ...one, source: addressOf(2) }));
    };
    const say = (shape = ODD_SHAPES[random.below(ODD_SHAPES.length)]!): Datagram[] => {
      clear.send(packets.superPacket(shape));
      clear.flush();
      return clear.socket.sent.splice(0);
    };
    const name = new Uint8Array(new BigUint64Array([BigInt(peerNumber(NAMES[2]!))]).buffer).slice(0, 6)
      .reverse();
    let old: Datagram[] = seal();
    a.socket.inbox.push(...old);
    a.drain();
    let [fromSealed, fromClear, specials] = [0, 0, 0];
    const account = () => {
      for (const { key, packet } of a.taken.splice(0)) {
        if (key.link === LINK) {
          fromClear++;
          assert.ok(!tells(packet), "the sealed peer's traffic came over the clear link");
          continue;
        }
        assert.equal(key.link, second);
        for (const frame of framesOf(packet)) {
          const left = genuine.get(frame) ?? 0;
          assert.ok(left > 0, "what the sealed peer did not send, or not so often");
          genuine.set(frame, left - 1);
          fromSealed++;
        }
      }
      for (const news of a.news.splice(0)) {
        if (news.kind === "special" && news.link === second) specials++;
      }
      assert.ok(specials <= heartbeats);
    };
    account();
    for (let round = 0; round < 1_200; round++) {
      const fresh = random.below(2) === 0 ? seal() : say();
      const attack: Datagram[] = [];
      for (const one of fresh) {
        const bytes = one.bytes.slice();
        switch (random.below(9)) {
          case 0: // as it is
            attack.push(one);
            break;
          case 1: // by another address
            attack.push({ ...one, source: addressOf(random.below(4)) });
            break;
          case 2: // in the sealed peer's name
            bytes.set(name);
            attack.push({ ...one, bytes });
            break;
          case 3:
            attack.push({ ...one, bytes: mutate(bytes, random) });
            break;
          case 4:
            attack.push({ ...one, bytes: bytes.slice(0, random.below(bytes.length)) });
            break;
          case 5: // as if it were the largest of all
            attack.push({ ...one, bytes: new Uint8Array(65_507) });
            attack.at(-1)!.bytes.set(bytes);
            break;
          case 6: // again, and what was there long ago
            attack.push(one, one, ...old);
            break;
          case 7:
            attack.push({ ...one, bytes: random.bytes(random.below(200)) });
            break;
          default: // the head of one, the rest of another
            bytes.set((old[0]?.bytes ?? bytes).subarray(0, Math.min(20, bytes.length)));
            attack.push({ ...one, bytes });
        }
      }
      if (fresh[0]?.source.ip === addressOf(2).ip) old = fresh;
      a.socket.inbox.push(...attack);
      a.drain();
      account();
    }
    assert.ok(fromSealed > 300 && fromClear > 300, `${fromSealed} and ${fromClear}`);
    // And honest peers are served as before.
    const before = [fromSealed, fromClear];
    a.socket.inbox.push(...seal(ODD_SHAPES[3]), ...say(ODD_SHAPES[3]));
    a.drain();
    account();
    assert.deepEqual([fromSealed - before[0]!, fromClear - before[1]!], [1, 1]);
  });
});
