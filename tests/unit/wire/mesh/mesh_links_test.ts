import assert from "node:assert/strict";
import { bad, type Decoded, good } from "../../../../mod/core/brand.ts";
import { fromHex } from "../../../../mod/core/bytes.ts";
import { type PeerName, peerNameFromNumber, peerNameToBytes } from "../../../../mod/core/names.ts";
import type { LinkRecord } from "../../../../mod/core/topology_record.ts";
import { GobDecoder, GobEncoder } from "../../../../mod/wire/mesh/gob.ts";
import { LINK_SUMMARIES, LinkReader } from "../../../../mod/wire/mesh/mesh_links.ts";
import { fuzz } from "../../fuzz.ts";
import { check, fc } from "../../properties.ts";

type Summary = Parameters<LinkReader["slow"]>[0][number];

/** The values, without definitions before them, so that what is left is one message with a value each. */
function encode(...lists: readonly (readonly Summary[])[]): Uint8Array[] {
  const gob = new GobEncoder();
  gob.define(LINK_SUMMARIES);
  return lists.map((list) => gob.encode(list, LINK_SUMMARIES));
}

/** Offers a list to the quick way alone. */
function quickly(reader: LinkReader, list: readonly Summary[]): LinkRecord[] | undefined {
  const [message] = encode(list);
  const lengthBytes = message![0]! < 0x80 ? 1 : 257 - message![0]!;
  return reader.quick(message!.subarray(lengthBytes), 3); // after two bytes of type id, and the zero marker
}

/** Reads all lists of a stream by both ways, which must agree. */
function bothWays(bytes: Uint8Array): Decoded<readonly LinkRecord[]>[] {
  const reader = new LinkReader();
  const [quick, slow] = [new GobDecoder(bytes), new GobDecoder(bytes)];
  const results: Decoded<readonly LinkRecord[]>[] = [];
  do {
    const list = slow.next(LINK_SUMMARIES);
    const expected = list.ok ? reader.slow(list.value) : bad(list.reason);
    const result = quick.nextBy(reader);
    assert.deepEqual(result, expected);
    results.push(result);
  } while (results.at(-1)!.ok && !slow.atEnd());
  assert.equal(quick.atEnd(), slow.atEnd());
  return results;
}

function summary(name: string, address = "10.0.0.2:6783", outbound = true, established = true): Summary {
  return { NameByte: fromHex(name), RemoteTCPAddr: address, Outbound: outbound, Established: established };
}
function linkTo(number: number, address = "10.0.0.2:6783", outbound = true, established = true): LinkRecord {
  return { peer: peerNameFromNumber(number)!, address, outbound, established };
}

const PLAIN: readonly (readonly [what: string, list: readonly Summary[], links: readonly LinkRecord[]])[] = [
  ["no links", [], []],
  ["all zero", [summary("", "", false, false)], [linkTo(0, "", false, false)]],
  ["short name", [summary("0102")], [linkTo(0x102)]],
  ["name of 48 bits", [summary("fffefdfcfbfa")], [linkTo(0xfffe_fdfc_fbfa)]],
  ["inbound", [summary("01", "[fd00::1]:40000", false)], [linkTo(1, "[fd00::1]:40000", false)]],
  ["not established", [summary("01", "a", true, false)], [linkTo(1, "a", true, false)]],
  ["same address", [summary("01"), summary("02")], [linkTo(1), linkTo(2)]],
  [
    "many links",
    Array.from({ length: 300 }, (_, i) => summary(i.toString(16).padStart(4, "0"), `${i}`)),
    Array.from({ length: 300 }, (_, i) => linkTo(i, `${i}`)),
  ],
];
for (const [what, list, links] of PLAIN) {
  Deno.test(`LinkReader.quick() reads: ${what}`, () => {
    const reader = new LinkReader();
    assert.deepEqual(quickly(reader, list), links);
    assert.deepEqual(quickly(reader, list), links, "by what it remembers");
    assert.deepEqual(reader.slow(list), good(links));
  });
}

const ODD: readonly (readonly [what: string, list: readonly Summary[]])[] = [
  ["name of seven bytes", [summary("00000000000001")]],
  ["address beyond ASCII", [summary("01", "käse:1")]],
  ["long address", [summary("01", "x".repeat(128))]],
  ["two links to one peer", [summary("01"), summary("02"), summary("0001", "other")]],
  ["names with equal low bits", [summary("000000000001"), summary("400000000001")]],
];
for (const [what, list] of ODD) {
  Deno.test(`LinkReader.quick() declines: ${what}`, () => {
    assert.equal(quickly(new LinkReader(), list), undefined);
    const [result] = bothWays(new GobEncoder().encode(list, LINK_SUMMARIES));
    assert.equal(result!.ok, true);
  });
}

Deno.test("LinkReader.quick() declines bytes too many, too few, and counts beyond what follows", () => {
  const whole = fromHex("01" + "010101" + "0201" + "0101" + "00");
  assert.equal(new LinkReader().quick(whole, 0)?.length, 1);
  for (let end = 0; end < whole.length; end++) {
    assert.equal(new LinkReader().quick(whole.subarray(0, end), 0), undefined, `${end} bytes`);
  }
  for (
    const hex of ["0100aa", "0200", "ff", "ff05" + "00", "f8" + "00".repeat(8), "010501", "01030101010000"]
  ) {
    assert.equal(new LinkReader().quick(fromHex(hex), 0), undefined, hex);
  }
});

Deno.test("LinkReader does not mix up the addresses that it remembers", () => {
  const reader = new LinkReader();
  quickly(reader, [summary("01", "10.0.0.1:6783"), summary("02", "10.0.0.2:6783")]);
  assert.deepEqual(quickly(reader, [summary("02", "10.0.0.2:6784"), summary("01", "10.0.0.1:6783", false)]), [
    linkTo(2, "10.0.0.2:6784"),
    linkTo(1, "10.0.0.1:6783", false),
  ]);
});

const name = fc.oneof(
  fc.integer({ min: 0, max: 5 }).map((n) => peerNameToBytes(peerNameFromNumber(n)!)),
  fc.uint8Array({ maxLength: 8 }),
);
const address = fc.oneof(
  fc.constantFrom("10.0.0.1:6783", "10.0.0.2:6783", "10.0.0.2:6784"),
  fc.string({ maxLength: 200 }),
  fc.string({ unit: "grapheme" }),
);
const lists = fc.array(
  fc.array(
    fc.record({ NameByte: name, RemoteTCPAddr: address, Outbound: fc.boolean(), Established: fc.boolean() }, {
      noNullPrototype: true,
    }),
    { maxLength: 8 },
  ),
  { minLength: 1, maxLength: 4 },
);

Deno.test("LinkReader comes to the same both ways, for whatever peers can write", () => {
  check(
    fc.property(lists, (some) => {
      const gob = new GobEncoder();
      const results = bothWays(
        Uint8Array.from(some.flatMap((list) => [...gob.encode(list, LINK_SUMMARIES)])),
      );
      const wide = some.findIndex((list) =>
        list.some(({ NameByte }) => NameByte.slice(0, -6).some((b) => b !== 0))
      );
      assert.equal(results.length, wide < 0 ? some.length : wide + 1);
    }),
    { runs: 500 },
  );
});

Deno.test("LinkReader comes to the same both ways for peers that define links otherwise", () => {
  const other = {
    kind: "slice",
    elem: {
      kind: "struct",
      fields: [["Extra", "int"], ["Established", "bool"], ["NameByte", "bytes"], ["RemoteTCPAddr", "string"]],
    },
  } as const;
  const values = ["01", "02"].map((name) => ({ ...summary(name), Extra: -5n }));
  const [result] = bothWays(new GobEncoder().encode(values, other));
  const links: { peer: PeerName }[] = [1, 2].map((n) => linkTo(n, "10.0.0.2:6783", false));
  assert.deepEqual(result, { ok: true, value: links });
});

Deno.test("LinkReader comes to the same both ways on any input", () => {
  const samples = [...PLAIN, ...ODD].map(([, list]) => list).filter((list) => list.length < 10).map(
    (list) => {
      const gob = new GobEncoder();
      return Uint8Array.from([list, list].flatMap((each) => [...gob.encode(each, LINK_SUMMARIES)]));
    },
  );
  fuzz(bothWays, samples, { mutations: 500 });
});
