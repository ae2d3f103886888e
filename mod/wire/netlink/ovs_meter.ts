/** Open vSwitch kernel datapath: meters, which bound a rate (include/uapi/linux/openvswitch.h; Linux 4.15). */
import { NLM_F } from "./netlink.ts";
import { NetlinkWriter } from "./netlink_writer.ts";
import { beginOvs } from "./ovs.ts";

/** Name of the family. */
export const METER_FAMILY = "ovs_meter";
const CMD = { set: 2 } as const;
const METER = { id: 1, bands: 4 } as const;
const BAND = { type: 1, rate: 2, burst: 3 } as const;
const BAND_DROP = 1;

/** A meter: frames beyond so many a second are dropped. */
export interface Meter {
  /** What flows name it by. */
  readonly id: number;
  readonly perSecond: number;
}

/** Asks for a meter, or for another rate of one that is there. */
export function encodeMeterSet(
  family: number,
  datapath: number,
  { id, perSecond }: Meter,
): Uint8Array<ArrayBuffer> {
  const head = { command: CMD.set, flags: NLM_F.request | NLM_F.echo, datapath };
  const writer = beginOvs(new NetlinkWriter(96), family, head).attrU32(METER.id, id);
  const bands = writer.open(METER.bands);
  const band = writer.open(0);
  writer.attrU32(BAND.type, BAND_DROP).attrU32(BAND.rate, perSecond).attrU32(BAND.burst, perSecond);
  return writer.close(band).close(bands).end().finish();
}
