/** Routes over rtnetlink (include/uapi/linux/rtnetlink.h). */
import { type Cidr, type Ip, ipToBytes, isIpv4 } from "../../core/addr.ts";
import { bad, type Decoded, good } from "../../core/brand.ts";
import { AttributeReader, NLM_F } from "./netlink.ts";
import { NetlinkWriter } from "./netlink_writer.ts";
import { AF, ipOf, onlyMessage, zeroAddress } from "./rtnetlink_message.ts";

const RTM = { new: 24, del: 25, get: 26 } as const;
const RTA = { dst: 1, oif: 4, gateway: 5, priority: 6, multipath: 9, table: 15, via: 18 } as const;
const HEADER = 12; // struct rtmsg
const HOP_HEADER = 8; // struct rtnexthop
const PROTOCOL_BOOT = 3;
const SCOPE = { universe: 0, link: 253, nowhere: 255 } as const;

/** The routing table that routes are in unless told otherwise. */
export const MAIN_TABLE = 254;
/** Types of routes that matter here. */
export const ROUTE_TYPE = { unicast: 1, local: 2 } as const;

/** One route. */
export interface Route {
  /** Host bits are zero; prefix 0 is the default route. */
  readonly destination: Cidr;
  /** Indexes of the interfaces it leads to: one, several for multipath, none for `blackhole` and the like. */
  readonly interfaces: readonly number[];
  /** Whether it leads to a router rather than to neighbours. */
  readonly viaGateway: boolean;
  /** Number of the table that it is in; 254 is the main one. */
  readonly table: number;
  /** RTN_* number: 1 is a unicast route. */
  readonly type: number;
  /** The lower the better; 0 when not given. */
  readonly metric: number;
}

function request(type: number, flags: number, index: number, destination: Cidr): NetlinkWriter {
  const v4 = isIpv4(destination.ip);
  const writer = new NetlinkWriter(64).begin(type, NLM_F.request | NLM_F.ack | flags);
  const deleting = type === RTM.del;
  const scope = deleting ? SCOPE.nowhere : v4 ? SCOPE.link : SCOPE.universe;
  writer.u8(v4 ? AF.inet : AF.inet6).u8(destination.prefix).u8(0).u8(0);
  writer.u8(MAIN_TABLE).u8(deleting ? 0 : PROTOCOL_BOOT).u8(scope).u8(deleting ? 0 : ROUTE_TYPE.unicast).u32(
    0,
  );
  return writer.attrBytes(RTA.dst, ipToBytes(destination.ip)).attrU32(RTA.oif, index);
}

/** Adds a route to neighbours on an interface, which must be up; EEXIST when there is one. */
export function addLinkRoute(index: number, destination: Cidr): Uint8Array<ArrayBuffer> {
  return request(RTM.new, NLM_F.create | NLM_F.excl, index, destination).end().finish();
}

/** Removes such a route; ESRCH when there is none. */
export function removeLinkRoute(index: number, destination: Cidr): Uint8Array<ArrayBuffer> {
  return request(RTM.del, 0, index, destination).end().finish();
}

/** Asks for all routes of all tables, both families. */
export function dumpRoutes(): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(32).begin(RTM.get, NLM_F.request | NLM_F.dump);
  return writer.u32(0).u32(0).u32(0).end().finish();
}

/** Interfaces of a multipath route, and whether any hop is a router. */
function decodeHops(bytes: Uint8Array): Decoded<{ interfaces: number[]; viaGateway: boolean }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const interfaces: number[] = [];
  let viaGateway = false;
  for (let at = 0; at < bytes.length;) {
    if (bytes.length - at < HOP_HEADER) return bad(`next hop needs 8 bytes, has ${bytes.length - at}`);
    const length = view.getUint16(at, true);
    if (length < HOP_HEADER || length > bytes.length - at) return bad(`next hop length is ${length}`);
    interfaces.push(view.getInt32(at + 4, true));
    const reader = new AttributeReader(bytes, at + HOP_HEADER, at + length);
    while (reader.next()) viaGateway ||= reader.type === RTA.gateway || reader.type === RTA.via;
    if (reader.failure !== undefined) return bad(reader.failure);
    at += (length + 3) & ~3;
  }
  return good({ interfaces, viaGateway });
}

/** Decodes one whole message of the answer to dumpRoutes(). */
export function decodeRoute(bytes: Uint8Array): Decoded<Route> {
  const message = onlyMessage(bytes, RTM.new, HEADER);
  if (!message.ok) return message;
  const body = message.value;
  const [family, prefix, type] = [body[0]!, body[1]!, body[7]!];
  let table = body[4]!;
  let ip: Ip | undefined = zeroAddress(family);
  let interfaces: readonly number[] = [];
  let viaGateway = false;
  let metric = 0;
  const reader = new AttributeReader(body, HEADER);
  while (reader.next()) {
    if (reader.type === RTA.dst) ip = ipOf(family, reader.value());
    else if (reader.type === RTA.oif) interfaces = [reader.u32()];
    else if (reader.type === RTA.gateway || reader.type === RTA.via) viaGateway = true;
    else if (reader.type === RTA.priority) metric = reader.u32();
    else if (reader.type === RTA.table) table = reader.u32(); // the header holds only 8 bits of it
    else if (reader.type === RTA.multipath) {
      const hops = decodeHops(reader.value());
      if (hops.ok) ({ interfaces, viaGateway } = hops.value);
      else reader.fail(hops.reason);
    }
  }
  if (reader.failure !== undefined) return bad(reader.failure);
  if (ip === undefined) return bad(`no destination of family ${family}`);
  if (prefix > (isIpv4(ip) ? 32 : 128)) return bad(`prefix length is ${prefix}`);
  return good({ destination: { ip, prefix }, interfaces, viaGateway, table, type, metric });
}
