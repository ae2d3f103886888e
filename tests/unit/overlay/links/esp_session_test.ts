import assert from "node:assert/strict";
import type { LinkId } from "../../../../mod/core/overlay_port.ts";
import { saKey } from "../../../../mod/overlay/ports/esp_port.ts";
import {
  FASTDP_RENEW_SA,
  LEAST_ROUND_MS,
  OLD_SA_MS,
  REKEY_MS,
} from "../../../../mod/overlay/links/esp_session.ts";
import type { ForwarderEvent } from "../../../../mod/overlay/links/forwarder.ts";
import { encodeEspInit } from "../../../../mod/wire/mesh/esp_init.ts";
import { at, init, LOCAL, ready, receiving, REMOTE, sending, session, wants } from "./esp_kit.ts";

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
