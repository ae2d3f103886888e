/** Names and records as people write and read them. */
import {
  cidrContains,
  type Ip,
  ipFromBytes,
  ipToBytes,
  ipv4Number,
  isIpv4,
  parseCidr,
  parseIp,
} from "../../core/addr.ts";
import { bad, type Decoded, good } from "../../core/brand.ts";
import { encodeName, MAX_LABEL, MAX_NAME_OCTETS } from "../../wire/dns/dns_text.ts";
import { RECORD_TYPE } from "../../wire/dns/dns_types.ts";
import type { DnsOrder } from "../service_types.ts";
import type { EntryData } from "./directory_types.ts";
import { isBelow, qualified } from "./domain.ts";

/** Orders in which the addresses of a name can be answered, as records number them. */
export const DNS_ORDERS: readonly DnsOrder[] = ["balanced", "random", "nearest"];
/** Addresses that lead nobody anywhere. */
const USELESS: readonly (readonly [range: string, why: string])[] = [
  ["0.0.0.0/32", "nobody has this address"],
  ["::/128", "nobody has this address"],
  ["224.0.0.0/4", "it is a multicast address"],
  ["ff00::/8", "it is a multicast address"],
  ["255.255.255.255/32", "it is the broadcast address"],
  ["fe80::/10", "it is a link-local address, which means another host on each link"],
];
/** Letters, digits, hyphens inside; underscores as names of services have them. */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/i;

/** The whole name that a person means, below the domain; else what is wrong with it. */
export function nameBelow(text: string, domain: string): Decoded<string> {
  const read = readName(text, domain);
  if (!read.ok) return read;
  const name = read.value;
  const shown = domain.slice(0, -1);
  if (!isBelow(name, domain)) return bad(`it ends in a dot and is not below ${shown}`);
  return name.length > domain.length ? read : bad(`it is the domain ${shown} itself`);
}

/** Whether a whole name is one of those that hosts have by their nicknames. */
export function isOfHosts(hostname: string, domain: string): boolean {
  const group = `host.${domain}`;
  return hostname.length > group.length && isBelow(hostname, group);
}

/** The whole name that a person means, of whatever domain; else what is wrong with it. */
function readName(text: string, domain: string): Decoded<string> {
  if (text === "" || text === ".") return bad("it is empty");
  if (parseIp(text) !== undefined) return bad("it is an address");
  const name = qualified(text, domain);
  for (const label of name.slice(0, -1).split(".")) {
    if (label === "") return bad("two dots stand side by side, or one in front");
    if (label.length > MAX_LABEL) return bad(`a part has ${label.length} characters, more than ${MAX_LABEL}`);
    if (!LABEL.test(label)) {
      return bad(
        `${JSON.stringify(label)} is not made of letters, digits and underscores, with hyphens inside`,
      );
    }
  }
  return name.length < MAX_NAME_OCTETS
    ? good(name)
    : bad(`with its domain it has ${name.length - 1} characters, more than ${MAX_NAME_OCTETS - 2}`);
}

/** A name without the domain that it is below. */
export function shortName(hostname: string, domain: string): string {
  const ours = isBelow(hostname, domain) && hostname.length > domain.length;
  return ours ? hostname.slice(0, -domain.length - 1) : hostname;
}

/** The record of an address. */
export function recordOfAddress(ip: Ip): EntryData {
  if (!isIpv4(ip)) return { type: RECORD_TYPE.AAAA, addr: 0, rdata: ipToBytes(ip).toHex() };
  return { type: RECORD_TYPE.A, addr: ipv4Number(ip), rdata: "" };
}

/** The record that says in which order the addresses of a name are answered. */
export function recordOfOrder(order: DnsOrder): EntryData {
  return { type: RECORD_TYPE.ORDER, addr: 0, rdata: Uint8Array.of(DNS_ORDERS.indexOf(order) + 1).toHex() };
}

/** A record as people write it: an address, `cname:NAME`, `srv:PRIORITY:WEIGHT:PORT:NAME` or `order:ORDER`; else what
 * is wrong. */
export function readRecord(text: string, domain: string): Decoded<EntryData> {
  const ip = parseIp(text);
  if (ip !== undefined) {
    const useless = USELESS.find(([range]) => cidrContains(parseCidr(range)!, ip));
    return useless === undefined ? good(recordOfAddress(ip)) : bad(useless[1]);
  }
  const [kind, ...words] = text.split(":");
  if (kind === "order" && words.length === 1) {
    const order = DNS_ORDERS.find((each) => each === words[0]);
    return order === undefined ? bad(`orders are ${DNS_ORDERS.join(", ")}`) : good(recordOfOrder(order));
  }
  const name = readName(words.at(-1) ?? "", domain);
  if (kind === "cname" && words.length === 1) {
    if (!name.ok) return bad(`the name in it cannot be used: ${name.reason}`);
    return good({ type: RECORD_TYPE.CNAME, addr: 0, rdata: encodeName(name.value).toHex() });
  }
  if (kind === "srv" && words.length === 4) {
    const numbers = words.slice(0, 3).map((word) => /^[0-9]{1,5}$/.test(word) ? Number(word) : NaN);
    if (!numbers.every((number) => number <= 0xffff)) return bad("its numbers are 0 to 65535");
    if (!name.ok) return bad(`the name in it cannot be used: ${name.reason}`);
    const head = Uint8Array.from(numbers.flatMap((number) => [number >> 8, number & 0xff]));
    return good({ type: RECORD_TYPE.SRV, addr: 0, rdata: head.toHex() + encodeName(name.value).toHex() });
  }
  return bad(/\/[0-9]+$/.test(text) ? "a record has no prefix length" : "it is no record");
}

/** What a record says, as `readRecord` reads it. */
export function writeRecord({ addr, rdata, type }: EntryData): string {
  if (type === RECORD_TYPE.A) return [24, 16, 8, 0].map((shift) => addr >>> shift & 0xff).join(".");
  const bytes = Uint8Array.fromHex(rdata);
  if (type === RECORD_TYPE.AAAA) return ipFromBytes(bytes) ?? rdata;
  if (type === RECORD_TYPE.CNAME) return `cname:${nameOf(bytes, 0)}`;
  if (type === RECORD_TYPE.ORDER) return `order:${DNS_ORDERS[bytes[0]! - 1] ?? bytes[0]}`;
  const view = new DataView(bytes.buffer);
  return `srv:${[0, 2, 4].map((at) => view.getUint16(at)).join(":")}:${nameOf(bytes, 6)}`;
}

/** The whole name that an alias stands for. */
export function aliasTarget({ rdata }: EntryData): string {
  return nameOf(Uint8Array.fromHex(rdata), 0);
}

/** The names of record types. */
export function typeName(type: number): string {
  return Object.entries(RECORD_TYPE).find(([, number]) => number === type)?.[0] ?? String(type);
}

/** The text of a whole name in the data of a record, which has been looked at when it came. */
function nameOf(bytes: Uint8Array, at: number): string {
  let text = "";
  for (let next = at; next < bytes.length && bytes[next]! > 0; next += 1 + bytes[next]!) {
    text += `${String.fromCharCode(...bytes.subarray(next + 1, next + 1 + bytes[next]!))}.`;
  }
  return text;
}
