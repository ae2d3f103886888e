/** VXLAN interfaces whose tunnels are told with each frame (include/uapi/linux/if_link.h). */
import { type AttributeReader, NLM_F } from "./netlink.ts";
import { NetlinkWriter } from "./netlink_writer.ts";

const RTM_NEWLINK = 16;
const IFLA = { ifname: 3, mtu: 4, linkInfo: 18 } as const;
const INFO = { kind: 1, data: 2 } as const;
const VXLAN = { learning: 7, port: 15, checksum: 18, zeroChecksum6: 20, external: 25 } as const; // IFLA_VXLAN_*

/** Settings of such an interface, as far as they matter here. */
export interface VxlanSettings {
  /** UDP port that it listens on and sends to. */
  readonly port: number;
  /** Whether each frame says through which tunnel it goes, as a program puts it. */
  readonly external: boolean;
}

/** Makes an interface, down, whose frames say through which tunnels they go. EEXIST when the name is taken, or another
 * interface of that kind has the port. */
export function newVxlan(
  { mtu, name, port }: { readonly name: string; readonly port: number; readonly mtu: number },
): Uint8Array<ArrayBuffer> {
  const flags = NLM_F.request | NLM_F.ack | NLM_F.create | NLM_F.excl;
  const writer = new NetlinkWriter(160).begin(RTM_NEWLINK, flags);
  writer.u8(0).u8(0).u16(0).u32(0).u32(0).u32(0); // struct ifinfomsg
  writer.attrText(IFLA.ifname, name).attrU32(IFLA.mtu, mtu);
  const info = writer.open(IFLA.linkInfo);
  writer.attrBytes(INFO.kind, new TextEncoder().encode("vxlan"));
  const data = writer.open(INFO.data);
  writer.attrU8(VXLAN.external, 1).attrU8(VXLAN.learning, 0).attrBe16(VXLAN.port, port);
  writer.attrU8(VXLAN.checksum, 0).attrU8(VXLAN.zeroChecksum6, 1);
  return writer.close(data).close(info).end().finish();
}

/** What the kernel tells of one. */
export function readVxlan(info: AttributeReader): VxlanSettings {
  let port = 0;
  let external = false;
  const data = info.nested();
  while (data.next()) {
    if (data.type === VXLAN.port) port = data.be16();
    else if (data.type === VXLAN.external) external = data.u8() !== 0;
  }
  if (data.failure !== undefined) info.fail(data.failure);
  return { port, external };
}
