/** What tests that stand in for the kernel share. */
import assert from "node:assert/strict";
import { AttributeReader } from "../../mod/wire/netlink/netlink.ts";

/** All attributes from `from` on, by type; of equal types the last one stays. */
export function attributesOf(bytes: Uint8Array, from = 0): ReadonlyMap<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  const reader = new AttributeReader(bytes, from);
  while (reader.next()) found.set(reader.type, reader.value());
  assert.equal(reader.failure, undefined);
  return found;
}
