import assert from "node:assert/strict";
import type { Millis } from "../../../mod/core/time.ts";
import { IGNORE_MS, PORT_SHARE, TableShares, TAP_SHARE } from "../../../mod/datapath/table_shares.ts";

const at = (ms: number) => ms as Millis;
const TAP = 4;

Deno.test("TableShares ignores a port with too many addresses for a while, longer each time", () => {
  const shares = new TableShares();
  const many = new Map([[1, PORT_SHARE + 1], [2, PORT_SHARE]]);
  assert.deepEqual(shares.judge(many, TAP, at(0)), { ignore: [1], flush: [] });
  assert.equal(shares.nextWake(), IGNORE_MS);
  assert.deepEqual(shares.due(at(IGNORE_MS - 1)), []);
  assert.deepEqual(shares.due(at(IGNORE_MS)), [1]);
  assert.equal(shares.nextWake(), Infinity);
  shares.judge(many, TAP, at(IGNORE_MS));
  assert.equal(shares.nextWake(), 3 * IGNORE_MS);
});

Deno.test("TableShares has the TAP's addresses forgotten, but goes on learning them", () => {
  const shares = new TableShares();
  assert.deepEqual(shares.judge(new Map([[TAP, TAP_SHARE]]), TAP, at(0)), { ignore: [], flush: [] });
  assert.deepEqual(shares.judge(new Map([[TAP, TAP_SHARE + 1]]), TAP, at(0)), { ignore: [], flush: [TAP] });
  assert.equal(shares.nextWake(), Infinity);
});
