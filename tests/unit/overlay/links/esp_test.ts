/** Keys and guards of the encrypted fast path: vectors, sessions, what outlives a link. */
import assert from "node:assert/strict";
import type { Ip } from "../../../../mod/core/addr.ts";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import { type PeerName, peerNameFromNumber } from "../../../../mod/core/names.ts";
import type { LinkId } from "../../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { decodeEspInit, encodeEspInit } from "../../../../mod/wire/mesh/esp_init.ts";
import { saKey, type XfrmEffect } from "../../../../mod/overlay/ports/esp_port.ts";
import {
  EspSession,
  FASTDP_RENEW_SA,
  LEAST_ROUND_MS,
  OLD_SA_MS,
  REKEY_MS,
} from "../../../../mod/overlay/links/esp_session.ts";
import {
  EARLIER_MS,
  EspTable,
  KEEP_MS,
  LEAST_KEEP_MS,
  RELEASE_MS,
  SUPERSEDED_MS,
} from "../../../../mod/overlay/links/esp_table.ts";
import type { ForwarderEvent } from "../../../../mod/overlay/links/forwarder.ts";
import { HOLD_MAX_MS } from "../../../../mod/overlay/paths/hold.ts";
import { espKey } from "../../../../mod/ipsec/xfrm_shell.ts";
import { loadHkdf } from "../../../../mod/sys/sealer.ts";
import { fuzz } from "../../fuzz.ts";
import { loadVectors } from "../../vectors.ts";

const vectors = loadVectors<{
  derivations: { info: string; key36: string; nonce: string }[];
  init_sa_remote: { body: string; nonce: string; spi: string };
  session_key: string;
}>("dataplane-ipsec");
const at = (ms: number) => ms as Millis;
const LOCAL = "192.0.2.1" as Ip;
const REMOTE = "192.0.2.2" as Ip;
const PEER = "02:00:00:00:00:02" as PeerName;
const path = { local: LOCAL, remote: REMOTE, port: 6784 };
const nonce = new Uint8Array(32).fill(7);

Deno.test("espKey() makes the keys of the vectors", async () => {
  const deriveKey = await loadHkdf();
  for (const { info, key36, nonce } of vectors.derivations) {
    const receiver = peerNameFromNumber(parseInt(info, 16))!;
    const key = espKey(deriveKey, { secret: fromHex(vectors.session_key), nonce: fromHex(nonce), receiver });
    assert.equal(toHex(key), key36);
  }
});

Deno.test("encodeEspInit() and decodeEspInit() agree with the vector, and refuse other lengths", () => {
  const { body, nonce, spi } = vectors.init_sa_remote;
  const init = { nonce: fromHex(nonce), spi: parseInt(spi, 16) };
  assert.equal(toHex(encodeEspInit(init)), body);
  assert.deepEqual(decodeEspInit(fromHex(body)), { ok: true, value: init });
  for (const length of [0, 63, 65]) assert.equal(decodeEspInit(new Uint8Array(length).fill(1)).ok, false);
  assert.equal(decodeEspInit(encodeEspInit({ nonce: init.nonce, spi: 255 })).ok, false);
  fuzz(decodeEspInit, [fromHex(body)]);
});

function session(link = 1, rekey = false): EspSession {
  return new EspSession({ link: link as LinkId, path, peer: PEER, sessionKey: new Uint8Array(32), rekey });
}

/** What a session wants, in short. */
function wants(events: readonly ForwarderEvent[]): string[] {
  return events.map((event) => {
    if (event.kind === "control") return `tell ${event.tag}`;
    if (event.kind !== "xfrm") return event.kind;
    const { effect } = event;
    return effect.do === "forget" ? `forget ${effect.sa.src} ${effect.sa.spi}` : effect.do;
  });
}

const init = (spi: number) => encodeEspInit({ nonce: new Uint8Array(32).fill(spi), spi });

function receiving(esp: EspSession, spi: number, round = 1, now = 0): string[] {
  const link = esp.options.link;
  return wants(esp.news({ kind: "xfrm-receiving", link, round, path, spi, nonce }, at(now)));
}

function sending(esp: EspSession, round = 1, now = 0): string[] {
  return wants(esp.news({ kind: "xfrm-sending", link: esp.options.link, round }, at(now)));
}

function ready(link = 1, { rekey = false, inbound = 1000, outbound = 2000 } = {}): EspSession {
  const esp = session(link, rekey);
  esp.confirm(at(0));
  receiving(esp, inbound);
  esp.init(init(outbound), at(0));
  sending(esp);
  assert.ok(esp.ready);
  return esp;
}

Deno.test("EspSession makes its own association, tells the peer, and makes the peer's", () => {
  for (const peerFirst of [false, true]) {
    const esp = session();
    assert.deepEqual(wants(esp.confirm(at(0))), ["receive"]);
    assert.deepEqual(esp.confirm(at(0)), [], "once");
    if (!peerFirst) assert.deepEqual(receiving(esp, 1000), ["tell 1"]);
    assert.equal(esp.ready, false);
    assert.deepEqual(wants(esp.init(init(2000), at(5))), ["send"]);
    assert.deepEqual(esp.init(init(2001), at(6)), [], "one at a time");
    assert.deepEqual(sending(esp), []);
    if (peerFirst) assert.deepEqual(receiving(esp, 1000), ["tell 1"]);
    assert.equal(esp.ready, true);
    assert.equal(esp.why(), undefined);
    assert.deepEqual(esp.sas().map(({ src, spi }) => `${src} ${spi}`), [`${REMOTE} 1000`, `${LOCAL} 2000`]);
    assert.deepEqual(esp.init(init(2001), at(60_000)), [], "an old peer does not change its keys");
  }
});

Deno.test("EspSession says why it came to nothing, and does nothing more", () => {
  const esp = session();
  esp.confirm(at(0));
  esp.news({ kind: "xfrm-failed", of: "receive", link: 1 as LinkId, round: 1, reason: "no ESP here" }, at(0));
  assert.equal(esp.why(), "no ESP here");
  assert.deepEqual(esp.init(init(2000), at(1)), []);
  const other = session();
  other.confirm(at(0));
  assert.deepEqual(other.init(new Uint8Array(63), at(1)), []);
  assert.match(other.why()!, /64/);
});

Deno.test("EspSession replaces its key before the old one goes, where both ends can", () => {
  const esp = ready(1, { rekey: true });
  assert.equal(esp.nextWake(), REKEY_MS);
  assert.deepEqual(wants(esp.wake(at(REKEY_MS))), ["receive"]);
  assert.deepEqual(receiving(esp, 1001, 2, REKEY_MS), ["tell 1"]);
  assert.equal(esp.ready, true);
  assert.deepEqual(wants(esp.wake(at(REKEY_MS + OLD_SA_MS))), [`forget ${REMOTE} 1000`]);
  assert.deepEqual(wants(esp.init(init(2001), at(REKEY_MS))), ["send"]);
  assert.equal(esp.outbound, 2000);
  assert.deepEqual(sending(esp, 2), [`forget ${LOCAL} 2000`]);
  assert.equal(esp.outbound, 2001);
  assert.deepEqual(esp.init(init(2002), at(REKEY_MS + 10)), [], "not so often");
});

/** A table and what it wants, in short. */
class Table {
  effects: XfrmEffect[] = [];
  readonly table = new EspTable(() => [6784], {
    effects: { push: (effect) => void this.effects.push(effect) },
  });

  taken(): string[] {
    const taken = this.effects.map((effect) => {
      if (effect.do === "forget") return `forget ${effect.sa.spi}`;
      if (effect.do === "carry") return `carry ${effect.spi ?? "nothing"}`;
      if (effect.do === "keep") return `keep ${effect.wanted.map(({ spi }) => spi ?? "nothing")}`;
      return effect.do === "forget-earlier"
        ? effect.do
        : `${effect.do} ${"path" in effect && effect.path.port}`;
    });
    this.effects = [];
    return taken;
  }
  /** Time passes, step by step; what was wanted when. */
  until(end: number): string[] {
    const seen: string[] = [];
    for (let next = this.table.nextWake(); next <= end; next = this.table.nextWake()) {
      this.table.wake(at(next));
      const taken = this.taken().filter((what) => !what.startsWith("keep"));
      seen.push(...taken.map((what) => `${next}: ${what}`));
    }
    return seen;
  }
}

Deno.test("EspTable guards a path until the last sealed link has ended, and flows had time to go", () => {
  const host = new Table();
  const esp = ready();
  host.table.hold(esp);
  assert.deepEqual(host.taken(), ["guard 6784"]);
  assert.equal(host.table.guardOf(path), undefined);
  host.table.guarded({ kind: "xfrm-guarded", path, reason: undefined }, at(0));
  assert.equal(host.table.guardOf(path), "");
  host.table.portAppeared(6784);
  assert.deepEqual(host.taken(), []);
  host.table.portAppeared(7000);
  assert.deepEqual(host.taken(), ["guard 7000"], "no way around");
  host.table.carries(esp, at(0));
  host.table.release(esp, false, at(1_000));
  assert.deepEqual(host.taken(), ["carry nothing", "forget 1000", "forget 2000"]);
  assert.deepEqual(host.until(1e9), [
    `${1_000 + RELEASE_MS}: unguard 6784`,
    `${1_000 + RELEASE_MS}: unguard 7000`,
  ]);
  assert.equal(host.table.nextWake(), Infinity);
});

Deno.test("EspTable keeps what a broken link used until another one carries", () => {
  const host = new Table();
  const first = ready(1);
  host.table.hold(first);
  host.table.guarded({ kind: "xfrm-guarded", path, reason: undefined }, at(0));
  host.table.carries(first, at(0));
  host.table.release(first, true, at(1_000));
  assert.deepEqual(host.taken(), ["guard 6784"], "it goes on");
  const second = ready(2, { inbound: 1001, outbound: 2001 });
  host.table.hold(second);
  assert.deepEqual(host.taken(), [], "guarded still");
  host.table.carries(second, at(5_000));
  assert.deepEqual(host.until(HOLD_MAX_MS * 2), [
    `${5_000 + SUPERSEDED_MS}: forget 1000`,
    `${5_000 + SUPERSEDED_MS}: forget 2000`,
  ]);
});

Deno.test("EspTable lets the other of two links carry when one ends, and forgets a broken path in the end", () => {
  const host = new Table();
  const [first, second] = [ready(1), ready(2, { inbound: 1001, outbound: 2001 })];
  for (const esp of [first, second]) {
    host.table.hold(esp);
    host.table.carries(esp, at(0));
  }
  host.taken();
  host.table.release(second, true, at(10));
  assert.deepEqual(host.taken(), ["carry 2000"]);
  host.table.release(first, true, at(20));
  const end = 20 + HOLD_MAX_MS + RELEASE_MS;
  const soon = 10 + SUPERSEDED_MS;
  assert.deepEqual(host.until(end), [
    ...[`${soon}: forget 1001`, `${soon}: forget 2001`],
    ...[`${end}: unguard 6784`, `${end}: forget 1000`, `${end}: forget 2000`],
  ]);
});

Deno.test("EspTable goes on with an ended link's association while another link gets its own", () => {
  const host = new Table();
  const [first, second] = [ready(1), session(2)];
  host.table.hold(first);
  host.table.carries(first, at(0));
  host.table.hold(second);
  host.taken();
  host.table.release(first, false, at(10));
  assert.deepEqual(host.taken(), []);
  second.confirm(at(0));
  receiving(second, 1001);
  second.init(init(2001), at(20));
  sending(second);
  host.table.carries(second, at(20));
  const end = 20 + SUPERSEDED_MS;
  assert.deepEqual(host.until(end), [`${end}: forget 1000`, `${end}: forget 2000`]);
});

Deno.test("EspTable removes what an earlier run left, in the end or where a link is in clear", () => {
  const host = new Table();
  host.table.start(at(0));
  host.table.clear(path);
  assert.deepEqual(host.taken(), ["unguard 6784"]);
  host.table.hold(ready());
  host.table.clear(path);
  assert.deepEqual(host.taken(), ["guard 6784"], "not while another link must be sealed");
  assert.deepEqual(host.until(EARLIER_MS), [`${EARLIER_MS}: forget-earlier`]);
});

Deno.test("EspTable sets guarded policies again and again, until the path is let go", () => {
  const host = new Table();
  const esp = ready();
  host.table.hold(esp);
  assert.equal(host.table.nextWake(), Infinity);
  host.table.guarded({ kind: "xfrm-guarded", path, reason: undefined }, at(0));
  host.taken();
  host.table.wake(at(KEEP_MS));
  assert.deepEqual(host.taken(), ["keep nothing"]);
  host.table.carries(esp, at(KEEP_MS + 1));
  host.table.wake(at(2 * KEEP_MS));
  assert.deepEqual(host.taken(), ["keep 2000"]);
  host.table.release(esp, false, at(2 * KEEP_MS + 1));
  host.until(4 * KEEP_MS);
  assert.equal(host.table.nextWake(), Infinity);
});

Deno.test("EspSession takes no key twice, however it is told", () => {
  const esp = ready(1, { rekey: true });
  assert.deepEqual(esp.init(init(2000), at(5_000)), [], "the same");
  const twin = encodeEspInit({ nonce: new Uint8Array(32).fill(2000), spi: 2001 });
  assert.deepEqual(esp.init(twin, at(5_000)), [], "the same nonce is the same key");
  assert.deepEqual(esp.present(new Set([INBOUND]), at(6_000)).length, 1);
  assert.deepEqual(esp.init(init(2000), at(7_000)), [], "also when it has gone meanwhile");
  assert.deepEqual(wants(esp.init(init(2002), at(8_000))), ["send"]);
});

Deno.test("EspSession follows a peer that changes keys quickly once a second, and takes the last one", () => {
  const esp = ready(1, { rekey: true });
  assert.deepEqual(esp.init(init(2001), at(100)), []);
  assert.deepEqual(esp.init(init(2002), at(200)), []);
  assert.equal(esp.nextWake(), LEAST_ROUND_MS);
  const [event, ...more] = esp.wake(at(LEAST_ROUND_MS));
  assert.ok(event?.kind === "xfrm" && event.effect.do === "send" && event.effect.spi === 2002);
  assert.equal(more.length, 0);
  assert.deepEqual(esp.init(init(2003), at(LEAST_ROUND_MS + 1)), [], "one at a time");
  assert.deepEqual(sending(esp, 2), [`forget ${LOCAL} 2000`]);
  assert.deepEqual(wants(esp.wake(at(2 * LEAST_ROUND_MS))), ["send"]);
});

const INBOUND = saKey({ src: REMOTE, dst: LOCAL, spi: 1000 });
const OUTBOUND = saKey({ src: LOCAL, dst: REMOTE, spi: 2000 });

Deno.test("EspSession makes anew what another program removed", () => {
  const esp = ready(1, { rekey: true });
  assert.deepEqual(esp.present(new Set([INBOUND, OUTBOUND]), at(5_000)), []);
  assert.deepEqual(wants(esp.present(new Set([OUTBOUND]), at(5_000)) as ForwarderEvent[]), ["receive"]);
  assert.equal(esp.ready, false);
  assert.deepEqual(esp.present(new Set([OUTBOUND]), at(5_020)), [], "it is on its way");
  assert.deepEqual(receiving(esp, 1001, 2, 5_030), ["tell 1"]);
  assert.equal(esp.ready, true);
  const left = new Set([saKey({ src: REMOTE, dst: LOCAL, spi: 1001 })]);
  assert.deepEqual(wants(esp.present(left, at(6_000)) as ForwarderEvent[]), [`tell ${FASTDP_RENEW_SA}`]);
  assert.equal(esp.ready, false);
  assert.deepEqual(wants(esp.init(init(2001), at(6_010))), ["send"]);
  sending(esp, 2, 6_010);
  assert.equal(esp.ready, true);
});

Deno.test("EspSession asks the connection to end where keys are lost and the peer cannot replace them", () => {
  const esp = ready();
  assert.match(esp.present(new Set([INBOUND]), at(5_000)) as string, /another program/);
  assert.deepEqual(esp.renew(at(5_000)), []);
});

Deno.test("EspSession replaces its key when the peer asks, but not more than once a second", () => {
  const esp = ready(1, { rekey: true });
  assert.deepEqual(esp.renew(at(100)), []);
  assert.deepEqual(wants(esp.wake(at(LEAST_ROUND_MS))), ["receive"]);
  assert.deepEqual(esp.renew(at(LEAST_ROUND_MS + 5_000)), [], "it is being made");
  assert.deepEqual(receiving(esp, 1001, 2, 7_000), ["tell 1"]);
  assert.deepEqual(wants(esp.renew(at(8_000))), ["receive"]);
  esp.news({ kind: "xfrm-failed", of: "receive", link: 1 as LinkId, round: 3, reason: "no room" }, at(8_000));
  assert.equal(esp.ready, true, "the old one is still good");
});

Deno.test("EspTable looks at what is guarded as soon as it is disturbed, but not all the time", () => {
  const host = new Table();
  host.table.disturbed(at(0));
  assert.equal(host.table.nextWake(), Infinity, "nothing is guarded");
  host.table.hold(ready());
  host.table.guarded({ kind: "xfrm-guarded", path, reason: undefined }, at(0));
  host.taken();
  host.table.disturbed(at(1_000));
  host.table.wake(at(1_000));
  assert.deepEqual(host.taken(), ["keep nothing"]);
  for (let i = 0; i < 10; i++) {
    host.table.disturbed(at(1_001 + i));
    host.table.wake(at(1_001 + i));
  }
  assert.deepEqual(host.taken(), []);
  assert.equal(host.table.nextWake(), 1_000 + LEAST_KEEP_MS);
  host.table.wake(at(1_000 + LEAST_KEEP_MS));
  assert.deepEqual(host.taken(), ["keep nothing"]);
  assert.equal(host.table.nextWake(), 1_000 + LEAST_KEEP_MS + KEEP_MS);
});
