/** Keys of one link, for tests: sessions, and what they want in short. */
import assert from "node:assert/strict";
import type { Ip } from "../../../../mod/core/addr.ts";
import type { PeerName } from "../../../../mod/core/names.ts";
import type { LinkId } from "../../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { EspSession } from "../../../../mod/overlay/links/esp_session.ts";
import type { ForwarderEvent } from "../../../../mod/overlay/links/forwarder.ts";
import { encodeEspInit } from "../../../../mod/wire/mesh/esp_init.ts";

export const at = (ms: number): Millis => ms as Millis;
export const LOCAL = "192.0.2.1" as Ip;
export const REMOTE = "192.0.2.2" as Ip;
/** The path that all sessions are about. */
export const path = { local: LOCAL, remote: REMOTE, port: 6784 };
const PEER = "02:00:00:00:00:02" as PeerName;
const nonce = new Uint8Array(32).fill(7);

/** A session that has not begun. */
export function session(link = 1, rekey = false): EspSession {
  return new EspSession({ link: link as LinkId, path, peer: PEER, sessionKey: new Uint8Array(32), rekey });
}

/** What a session wants, in short. */
export function wants(events: readonly ForwarderEvent[]): string[] {
  return events.map((event) => {
    if (event.kind === "control") return `tell ${event.tag}`;
    if (event.kind !== "xfrm") return event.kind;
    const { effect } = event;
    return effect.do === "forget" ? `forget ${effect.sa.src} ${effect.sa.spi}` : effect.do;
  });
}

/** What the peer says of its association. */
export const init = (spi: number): Uint8Array<ArrayBuffer> =>
  encodeEspInit({ nonce: new Uint8Array(32).fill(spi), spi });

/** The kernel has made the association towards us. */
export function receiving(esp: EspSession, spi: number, round = 1, now = 0): string[] {
  const link = esp.options.link;
  return wants(esp.news({ kind: "xfrm-receiving", link, round, path, spi, nonce }, at(now)));
}

/** The kernel has made the association to the peer. */
export function sending(esp: EspSession, round = 1, now = 0): string[] {
  return wants(esp.news({ kind: "xfrm-sending", link: esp.options.link, round }, at(now)));
}

/** A session with both. */
export function ready(link = 1, { rekey = false, inbound = 1000, outbound = 2000 } = {}): EspSession {
  const esp = session(link, rekey);
  esp.confirm(at(0));
  receiving(esp, inbound);
  esp.init(init(outbound), at(0));
  sending(esp);
  assert.ok(esp.ready);
  return esp;
}
