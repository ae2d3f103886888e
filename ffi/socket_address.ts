/** Socket addresses: struct sockaddr_in and sockaddr_in6 (netinet/in.h). */
import { type Endpoint, type Ip, ipFromBytes, ipToBytes, isIpv4 } from "../mod/core/addr.ts";
import { UDP } from "./packet_symbols.ts";

/** Octets of the structures: IPv4's counts 16, IPv6's 28, with room for whole words. */
export const SOCKET_ADDRESS = { ipv4: 16, ipv6: 28, room: 32 } as const;

// sockaddr_in: family u16 host order, port u16 big-endian, address 4. sockaddr_in6: family, port, flow 4, address 16, scope 4.
const AT = { port: 2, ipv4: 4, ipv6: 8 } as const;
const MAPPED = 10; // octets of zeros before the two of ones, in an IPv4 address mapped into IPv6

/** The structure for an endpoint, in a socket of IPv6 (`ipv6`, IPv4 addresses are mapped) or of IPv4. */
export function socketAddress(endpoint: Endpoint, ipv6: boolean): Uint8Array<ArrayBuffer> {
  if (!ipv6 && !isIpv4(endpoint.ip)) throw new TypeError(`Address is not IPv4: ${endpoint.ip}`);
  const size = ipv6 ? SOCKET_ADDRESS.ipv6 : SOCKET_ADDRESS.ipv4;
  const out = new Uint8Array(new ArrayBuffer(SOCKET_ADDRESS.room), 0, size);
  const view = new DataView(out.buffer);
  view.setUint16(0, ipv6 ? UDP.AF_INET6 : UDP.AF_INET, true);
  view.setUint16(AT.port, endpoint.port);
  const octets = ipToBytes(endpoint.ip);
  if (!ipv6) out.set(octets, AT.ipv4);
  else if (octets.length === 16) out.set(octets, AT.ipv6);
  else {
    out.fill(0xff, AT.ipv6 + MAPPED, AT.ipv6 + MAPPED + 2);
    out.set(octets, AT.ipv6 + MAPPED + 2);
  }
  return out;
}

/** The endpoint in the structure at `at`; undefined when it is of neither family. Mapped addresses come out as IPv4. */
export function endpointAt(bytes: Uint8Array<ArrayBuffer>, at: number): Endpoint | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  const family = view.getUint16(0, true);
  const [start, length] = family === UDP.AF_INET6 ? [AT.ipv6, 16] : [AT.ipv4, 4];
  if (family !== UDP.AF_INET6 && family !== UDP.AF_INET) return undefined;
  const ip: Ip | undefined = ipFromBytes(bytes.subarray(at + start, at + start + length));
  return ip === undefined ? undefined : { ip, port: view.getUint16(AT.port) };
}
