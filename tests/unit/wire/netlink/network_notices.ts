/** Notices as the kernel sends them when a host's network changes. */
import { type Ip, ipToBytes, isIpv4 } from "../../../../mod/core/addr.ts";
import { NetlinkWriter } from "../../../../mod/wire/netlink/netlink_writer.ts";

/** An address has come or gone. */
export function addressNotice(
  ip: Ip,
  { present = true, scope = 0, flags = 0 }: {
    readonly present?: boolean;
    readonly scope?: number;
    readonly flags?: number;
  } = {},
): Uint8Array {
  const writer = new NetlinkWriter(64).begin(present ? 20 : 21, 0);
  writer.u8(isIpv4(ip) ? 2 : 10).u8(24).u8(flags).u8(scope).u32(7);
  if (isIpv4(ip)) writer.attrBytes(2, ipToBytes(ip));
  return writer.attrBytes(1, ipToBytes(ip)).end().finish();
}

/** An interface has changed. */
export function interfaceNotice(
  index: number,
  { flags, present = true, family = 0 }: {
    readonly flags: number;
    readonly present?: boolean;
    readonly family?: number;
  },
): Uint8Array {
  const writer = new NetlinkWriter(64).begin(present ? 16 : 17, 0);
  return writer.u8(family).u8(0).u16(1).u32(index).u32(flags).u32(0).end().finish();
}

/** A route has come or gone. */
export function routeNotice(
  { table, type, present = true }: {
    readonly table: number;
    readonly type: number;
    readonly present?: boolean;
  },
): Uint8Array {
  const writer = new NetlinkWriter(64).begin(present ? 24 : 25, 0);
  return writer.u8(2).u8(24).u8(0).u8(0).u8(table).u8(2).u8(0).u8(type).u32(0).end().finish();
}
