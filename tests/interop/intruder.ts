/** What hostile callers are made of: real sockets, and as much of the protocol as they need. */
import assert from "node:assert/strict";
import type { PeerName, PeerUid } from "../../mod/core/names.ts";
import type { Millis } from "../../mod/core/time.ts";
import { Intro, type MessageCodec } from "../../mod/mesh/connections/intro.ts";
import { freePort as freePortOn } from "../unit/free_port.ts";
import { NO_SEALER } from "../unit/mesh/attacked.ts";

export const HOST = "127.0.0.1";
/** How every connection begins. */
export const HELLO = Uint8Array.of(0x77, 0x65, 0x61, 0x76, 0x65, 1, 2);

/** A port that nobody uses. */
export function freePort(): number {
  return freePortOn(HOST);
}

/** Writes all of it. */
export async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

/** Reads until the other end closes; true when it did. */
export async function isClosed(conn: Deno.Conn): Promise<boolean> {
  const buffer = new Uint8Array(65_536);
  try {
    while (await conn.read(buffer) !== null);
  } catch { /* a reset is an end as well */ }
  return true;
}

/** Introduces itself by a name; what then comes is not read. */
export async function introduce(conn: Deno.Conn, name: PeerName): Promise<MessageCodec> {
  const self = { name, nickname: "m", uid: 5n as PeerUid, shortId: undefined, overlays: ["fastdp"] };
  const common = { self, connId: 9n, minVersion: 2 as const, maxVersion: 2 as const, password: undefined };
  const more = { sealer: NO_SEALER, privateKey: new Uint8Array(32), trustRemote: false, outbound: true };
  const intro = new Intro({ ...common, ...more }, 0 as Millis);
  for (const bytes of intro.start()) await writeAll(conn, bytes);
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const count = await conn.read(buffer);
    assert.notEqual(count, null, "refused");
    const result = intro.receive(buffer.slice(0, count!), 0 as Millis);
    for (const bytes of result.write) await writeAll(conn, bytes);
    if (result.kind === "done") return result.codec;
    assert.equal(result.kind, "more");
  }
}
