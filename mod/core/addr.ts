/** Addresses. IPs are canonical text: 128 bits wide from the first day, usable as map keys and in JSON. */
import ipaddr from "ipaddr.js";
import type { Brand } from "./brand.ts";
import { ipv6Text, putIpv6 } from "./ipv6.ts";

/** An IPv4 or IPv6 address as canonical text (`10.2.1.1`, `fe80::1`). IPv4-mapped IPv6 becomes IPv4. */
export type Ip = Brand<string, "Ip">;
/** A 48-bit MAC address as an integer, first octet most significant. */
export type Mac = Brand<number, "Mac">;
/** A network: an address with its prefix length; host bits may be set (`10.2.1.1/24`). */
export interface Cidr {
  /** The address. */
  readonly ip: Ip;
  /** Leading bits that all addresses of the network share. */
  readonly prefix: number;
}
/** An address and a TCP or UDP port. */
export interface Endpoint {
  /** The address. */
  readonly ip: Ip;
  /** 1 to 65535; 0 where the system is to choose. */
  readonly port: number;
}

/** Parses an address in full textual form; no shorthand such as `10.1`, no zone. */
export function parseIp(text: string): Ip | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return text as Ip;
  if (!text.includes(":") || text.includes("%") || !ipaddr.IPv6.isValid(text)) return undefined;
  const parsed = ipaddr.IPv6.parse(text);
  return (parsed.isIPv4MappedAddress() ? parsed.toIPv4Address().toString() : parsed.toRFC5952String()) as Ip;
}

/** Whether an address is IPv4. */
export function isIpv4(ip: Ip): boolean {
  return !ip.includes(":");
}

/** The 4 or 16 octets of an address, network order. */
export function ipToBytes(ip: Ip): Uint8Array<ArrayBuffer> {
  const octets = new Uint8Array(isIpv4(ip) ? 4 : 16);
  if (octets.length === 16) putIpv6(ip, octets, 0);
  else new DataView(octets.buffer).setUint32(0, ipv4Number(ip));
  return octets;
}

/** An IPv4 address as a number. */
export function ipv4Number(ip: Ip): number {
  let value = 0;
  let octet = 0;
  for (let i = 0; i < ip.length; i++) {
    const code = ip.charCodeAt(i);
    if (code !== 46) octet = octet * 10 + code - 48;
    else {
      value = value * 256 + octet;
      octet = 0;
    }
  }
  return value * 256 + octet;
}

/** The address of 4 or 16 octets; undefined for another count. */
export function ipFromBytes(bytes: Uint8Array): Ip | undefined {
  if (bytes.length === 4) return bytes.join(".") as Ip;
  if (bytes.length !== 16) return undefined;
  if (isIpv4Mapped(bytes)) return bytes.subarray(12).join(".") as Ip; // most addresses of sockets of both families
  return ipv6Text(bytes, 0) as Ip;
}

function isIpv4Mapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

/** Parses `address/prefix`. */
export function parseCidr(text: string): Cidr | undefined {
  const [host, bits, ...more] = text.split("/");
  const ip = parseIp(host ?? "");
  if (ip === undefined || more.length > 0 || !/^[0-9]{1,3}$/.test(bits ?? "")) return undefined;
  const prefix = Number(bits);
  return prefix <= (isIpv4(ip) ? 32 : 128) ? { ip, prefix } : undefined;
}

/** `address/prefix`. */
export function formatCidr(cidr: Cidr): string {
  return `${cidr.ip}/${cidr.prefix}`;
}

/** Whether two networks share addresses. */
export function overlap(a: Cidr, b: Cidr): boolean {
  return a.prefix <= b.prefix ? cidrContains(a, b.ip) : cidrContains(b, a.ip);
}

/** Whether `ip` lies in the network of `cidr`; false across families. */
export function cidrContains(cidr: Cidr, ip: Ip): boolean {
  const a = ipToBytes(cidr.ip);
  const b = ipToBytes(ip);
  if (a.length !== b.length) return false;
  for (let i = 0, left = cidr.prefix; left > 0; i++, left -= 8) {
    const mask = left >= 8 ? 0xff : (0xff << (8 - left)) & 0xff;
    if ((a[i]! & mask) !== (b[i]! & mask)) return false;
  }
  return true;
}

/** Parses `ip:port` or `[v6]:port`. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text);
  const ip = match === null ? undefined : parseIp(match[1] ?? match[2] ?? "");
  const port = Number(match?.[3]);
  return ip !== undefined && port <= 65535 ? { ip, port } : undefined;
}

/** `ip:port`, or `[v6]:port`. */
export function formatEndpoint(endpoint: Endpoint): string {
  return isIpv4(endpoint.ip) ? `${endpoint.ip}:${endpoint.port}` : `[${endpoint.ip}]:${endpoint.port}`;
}

/** Parses six colon-separated hex octets. */
export function parseMac(text: string): Mac | undefined {
  return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text)
    ? parseInt(text.replaceAll(":", ""), 16) as Mac
    : undefined;
}

/** `xx:xx:xx:xx:xx:xx`. */
export function formatMac(mac: Mac): string {
  return mac.toString(16).padStart(12, "0").replace(/..(?!$)/g, "$&:");
}

/** The MAC at `offset` of a frame; the caller checks the bounds. */
export function macAt(bytes: Uint8Array, offset: number): Mac {
  const high = (bytes[offset]! << 8) | bytes[offset + 1]!;
  const low = ((bytes[offset + 2]! << 24) | (bytes[offset + 3]! << 16) | (bytes[offset + 4]! << 8) |
    bytes[offset + 5]!) >>> 0;
  return high * 0x1_0000_0000 + low as Mac;
}

/** Goes to everybody. */
export const BROADCAST = 0xffff_ffff_ffff as Mac;

/** The six octets of a MAC. */
export function macToBytes(mac: Mac): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(6);
  const view = new DataView(out.buffer);
  view.setUint16(0, Math.floor(mac / 0x1_0000_0000));
  view.setUint32(2, mac >>> 0);
  return out;
}

/** Whether a MAC is a group address (broadcast or multicast). */
export function isGroupMac(mac: Mac): boolean {
  return (Math.floor(mac / 0x100_0000_0000) & 1) === 1;
}

/** The network that an address lies in: its host bits are 0. */
export function networkOf(cidr: Cidr): Cidr {
  return { ip: edgeOf(cidr, 0), prefix: cidr.prefix };
}

/** The last address of a network: its host bits are 1. */
export function lastOf(cidr: Cidr): Ip {
  return edgeOf(cidr, 1);
}

function edgeOf(cidr: Cidr, hostBits: 0 | 1): Ip {
  const bytes = ipToBytes(cidr.ip);
  for (let i = 0; i < bytes.length; i++) {
    const kept = Math.min(8, Math.max(0, cidr.prefix - i * 8));
    const mask = (0xff << (8 - kept)) & 0xff;
    bytes[i] = hostBits === 0 ? bytes[i]! & mask : bytes[i]! | (~mask & 0xff);
  }
  return ipFromBytes(bytes)!;
}
