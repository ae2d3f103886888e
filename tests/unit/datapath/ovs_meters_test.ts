import assert from "node:assert/strict";
import { BROADCAST, type Mac } from "../../../mod/core/addr.ts";
import type { Logger } from "../../../mod/core/ports.ts";
import { OvsMeters } from "../../../mod/datapath/ovs_meters.ts";
import type { FlowAction, FlowKey, PortNo } from "../../../mod/wire/netlink/ovs_keys.ts";
import type { Meter } from "../../../mod/wire/netlink/ovs_meter.ts";

const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };
const KEY: FlowKey = { inPort: 1 as PortNo, ethSrc: 2 as Mac, ethDst: BROADCAST };
const AWAY: FlowAction = { kind: "sleeve", port: 2 as PortNo, sleeve: { kind: "link", link: 1 } as never };

Deno.test("OvsMeters: one that the kernel refuses leaves the others, and is not asked for again", () => {
  const asked: number[] = [];
  const make = ({ id }: Meter) => {
    asked.push(id);
    if (id === 3) throw new Error("EBUSY");
    return true;
  };
  const meters = new OvsMeters({ make, log: SILENT });
  const of = (ethDst: Mac) => meters.of({ ...KEY, ethDst }, [AWAY]);
  const group = 0x0100_5e00_0001 as Mac;
  assert.deepEqual([of(BROADCAST), of(group), of(BROADCAST), of(group)], [undefined, 4, undefined, 4]);
  assert.deepEqual(asked, [3, 4]);
  meters.forget(7);
  meters.forget(1);
  assert.deepEqual([of(BROADCAST), of(group)], [undefined, 4]);
  assert.deepEqual(asked, [3, 4, 3, 4]);
});
