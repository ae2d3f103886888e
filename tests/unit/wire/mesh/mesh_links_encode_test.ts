import assert from "node:assert/strict";
import { peerNameFromNumber, peerNameToBytes } from "../../../../mod/core/names.ts";
import type { LinkRecord } from "../../../../mod/core/topology_record.ts";
import { GobEncoder } from "../../../../mod/wire/mesh/gob.ts";
import { LINK_SUMMARIES } from "../../../../mod/wire/mesh/mesh_links.ts";
import { encodeLinks } from "../../../../mod/wire/mesh/mesh_links_encode.ts";
import { check, fc } from "../../properties.ts";

const addresses = fc.oneof(
  fc.constantFrom("", "192.0.2.1:6783", "[2001:db8::1]:65535", "é", "x".repeat(127), "x".repeat(128)),
  fc.string({ maxLength: 40 }),
);
const links = fc.array(
  fc.record({
    peer: fc.integer({ min: 0, max: 2 ** 48 - 1 }).map((n) => peerNameFromNumber(n)!),
    address: addresses,
    outbound: fc.boolean(),
    established: fc.boolean(),
  }),
  { maxLength: 300, size: "max" },
);

function generally(list: readonly LinkRecord[], gob: GobEncoder): Uint8Array {
  return gob.encode(
    list.map((link) => ({
      NameByte: peerNameToBytes(link.peer),
      RemoteTCPAddr: link.address,
      Outbound: link.outbound,
      Established: link.established,
    })),
    LINK_SUMMARIES,
  );
}

Deno.test("encodeLinks() writes what the general encoder writes", () => {
  const gob = new GobEncoder();
  gob.define(LINK_SUMMARIES);
  check(fc.property(links, (list) => {
    assert.deepEqual(Uint8Array.from(encodeLinks(list, gob)), Uint8Array.from(generally(list, gob)));
  }));
  check(fc.property(links, (list) => {
    const plain = list.map((link) => ({ ...link, address: "192.0.2.1:6783" }));
    assert.deepEqual(Uint8Array.from(encodeLinks(plain, gob)), Uint8Array.from(generally(plain, gob)));
  }));
});
