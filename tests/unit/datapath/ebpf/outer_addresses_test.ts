import assert from "node:assert/strict";
import type { Ip } from "../../../../mod/core/addr.ts";
import { ADDRESSES } from "../../../../mod/datapath/ebpf/layout.ts";
import { OuterAddresses } from "../../../../mod/datapath/ebpf/outer_addresses.ts";
import { emptyMaps } from "./fake_machine.ts";

const ip = (n: number) =>
  n < 0x10000 ? `2001:db8::${n.toString(16)}` as Ip : `2001:db8::1:${(n - 0x10000).toString(16)}` as Ip;

Deno.test("an address has the same number here, in both maps, and for the next process", () => {
  const maps = emptyMaps();
  const one = new OuterAddresses(maps, () => new Set());
  const numbers = [1, 2, 1, 3].map((n) => one.numberOf(ip(n)));
  assert.deepEqual(numbers, [1, 2, 1, 3]);
  const value = new Uint8Array(16);
  assert.ok(maps.addresses.get(Uint8Array.of(2, 0, 0, 0), value));
  assert.equal(value.toHex(), "20010db8" + "0".repeat(23) + "2");
  assert.equal(maps.numbers.elements.size, 3);
  const next = new OuterAddresses(maps, () => new Set());
  assert.deepEqual([next.addressOf(3), next.addressOf(4), next.addressOf(0)], [ip(3), undefined, undefined]);
  assert.deepEqual([next.numberOf(ip(2)), next.numberOf(ip(9))], [2, 4]);
});

/** Asks so often for an address that has a number that all others were asked for long ago. */
function meanwhile(one: OuterAddresses, n: number): void {
  for (let i = 0; i < 256; i++) one.numberOf(ip(n));
}

Deno.test("when all numbers are given, those that no flow has are taken back, and one of them is not the next", () => {
  const maps = emptyMaps();
  const used = new Set([1, 2, ADDRESSES - 1]);
  const one = new OuterAddresses(maps, () => used);
  for (let n = 1; n < ADDRESSES; n++) assert.equal(one.numberOf(ip(n)), n);
  meanwhile(one, 1);
  assert.equal(one.numberOf(ip(0xffff)), 3, "behind the last one comes the first that is free");
  assert.deepEqual([one.numberOf(ip(1)), one.numberOf(ip(2)), one.addressOf(ADDRESSES - 1)], [
    ...[1, 2, ip(ADDRESSES - 1)],
  ]);
  assert.equal(one.addressOf(4), undefined);
  assert.equal(maps.numbers.elements.size, 4);
  assert.equal(one.numberOf(ip(4)), 4);
});

Deno.test("a number that was asked for a moment ago is about to be in a flow: it is not taken back", () => {
  const one = new OuterAddresses(emptyMaps(), () => new Set());
  for (let n = 1; n < ADDRESSES; n++) one.numberOf(ip(n));
  meanwhile(one, 7);
  const [known, fresh] = [one.numberOf(ip(9)), one.numberOf(ip(0xffff))];
  for (let n = 0; n < 100; n++) one.numberOf(ip(0x10000 + n));
  assert.deepEqual([one.addressOf(known), one.addressOf(fresh)], [ip(9), ip(0xffff)]);
  assert.deepEqual([known, fresh], [9, 1]);
});

Deno.test("while all are in use others have none, and it is seldom looked", () => {
  let looked = 0;
  const all = new Set(Array.from({ length: ADDRESSES }, (_, i) => i));
  const one = new OuterAddresses(emptyMaps(), () => {
    looked++;
    return all;
  });
  for (let n = 1; n < ADDRESSES + 1_000; n++) one.numberOf(ip(n));
  assert.equal(one.numberOf(ip(ADDRESSES + 5)), 0);
  assert.ok(looked <= 5, `${looked}`);
  assert.equal(one.numberOf(ip(5)), 5);
});
