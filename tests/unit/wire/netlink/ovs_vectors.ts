/** The captured exchanges with the datapath of Linux 6.1, message by message. */
import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import type { OvsFamilies } from "../../../../mod/wire/netlink/ovs.ts";
import { loadVectors } from "../../vectors.ts";

interface Exchange {
  readonly step: string;
  readonly dir: "TX" | "RX";
  readonly hex: string;
}

/** Family numbers of the boot on which the vectors were captured. */
export const FAMILIES: OvsFamilies = {
  datapath: 26,
  vport: 27,
  flow: 28,
  packet: 29,
  vportGroup: 4,
  datapathGroup: 3,
};
const VECTORS = loadVectors("dataplane-ovs");
/** Every exchange. */
export const EXCHANGES: readonly Exchange[] = VECTORS.exchanges;
/** The two captured misses: a heartbeat of 1390 bytes and an ARP broadcast. */
export const MISSES: readonly Uint8Array<ArrayBuffer>[] = VECTORS.upcalls_seen_by_remote.map((u: Exchange) =>
  fromHex(u.hex)
);

/** The messages of a step in one direction, each alone. */
export function messagesOf(step: string, dir: "TX" | "RX"): Uint8Array<ArrayBuffer>[] {
  const found = EXCHANGES.filter((e) => e.step === step && e.dir === dir).flatMap((e) =>
    split(fromHex(e.hex))
  );
  assert.notEqual(found.length, 0, step);
  return found;
}

function split(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = new DataView(bytes.buffer).getUint32(at, true);
    parts.push(bytes.slice(at, at + length));
    at += (length + 3) & ~3;
  }
  return parts;
}

/** Asserts that we would send what was seen, sequence and port id aside. */
export function assertSends(ours: Uint8Array, step: string, index = 0): void {
  const theirs = messagesOf(step, "TX")[index]!.fill(0, 8, 16);
  assert.equal(toHex(ours), toHex(theirs), step);
}
