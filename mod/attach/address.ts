/** Which addresses may be attached. */
import {
  type Cidr,
  cidrContains,
  formatCidr,
  isIpv4,
  lastOf,
  networkOf,
  parseCidr,
  parseIp,
} from "../core/addr.ts";
import { MeshnetError } from "../core/errors.ts";
import { NAME_SERVER_IP } from "../core/name_leg.ts";

const EXAMPLE = "Give an address with its prefix length, for example 10.2.1.1/24";

/** Ranges that no interface of a container can have in the mesh. */
const UNUSABLE: readonly (readonly [range: string, why: string])[] = [
  ["0.0.0.0/8", 'it is in 0.0.0.0/8, which means "this network"'],
  ["127.0.0.0/8", "it is a loopback address"],
  [`${NAME_SERVER_IP}/32`, "containers of every host ask the name server of their host at it"],
  ["224.0.0.0/4", "it is a multicast address"],
  ["240.0.0.0/4", "it is in 240.0.0.0/4, which is reserved"],
  ["::/127", "it is the unspecified or the loopback address"],
  ["fe80::/10", "it is a link-local address, which the kernel gives by itself"],
  ["ff00::/8", "it is a multicast address"],
];

function refuse(text: string, why: string, hint = EXAMPLE): MeshnetError {
  return new MeshnetError("usage/bad-address", `Cannot use address ${text}: ${why}`, { hint });
}

/** What one word of an attach request asks for. */
export type AddressWish =
  | { readonly kind: "address"; readonly cidr: Cidr }
  /** Any address of a subnet; undefined: of the default one. */
  | { readonly kind: "any"; readonly subnet: Cidr | undefined };

/** Parses one word as `attach` and `detach` take it: an address, `net:default`, or `net:` and a subnet. */
export function parseAddressWish(text: string): AddressWish {
  if (!text.startsWith("net:")) return { kind: "address", cidr: parseAttachAddress(text) };
  const name = text.slice("net:".length);
  if (name === "default") return { kind: "any", subnet: undefined };
  const subnet = parseCidr(name);
  if (subnet !== undefined) return { kind: "any", subnet };
  throw refuse(text, "it names no subnet", "Give net:default, or net: and a subnet such as net:10.32.1.0/24");
}

/** Parses one address: `10.2.1.1/24` or `ip:10.2.1.1/24`. Throws "usage/bad-address" for what makes no sense. */
export function parseAttachAddress(text: string): Cidr {
  const bare = text.startsWith("ip:") ? text.slice("ip:".length) : text;
  const cidr = parseCidr(bare);
  if (cidr === undefined) {
    const lacksPrefix = parseIp(bare) !== undefined;
    throw refuse(
      text,
      lacksPrefix ? "it has no prefix length" : "it is not an IP address and a prefix length",
    );
  }
  if (cidr.prefix === 0) throw refuse(text, "a prefix length of 0 would cover every address");
  const unusable = UNUSABLE.find(([range]) => cidrContains(parseCidr(range)!, cidr.ip));
  if (unusable !== undefined) throw refuse(text, unusable[1]);
  const bits = isIpv4(cidr.ip) ? 32 : 128;
  // Networks of one or two addresses have neither a network nor a broadcast address (RFC 3021, RFC 6164).
  if (cidr.prefix < bits - 1) {
    const network = networkOf(cidr).ip;
    if (cidr.ip === network) {
      throw refuse(text, `it is the address of the network itself`, "Choose an address inside the network");
    }
    if (bits === 32 && cidr.ip === lastOf(cidr)) {
      throw refuse(
        text,
        "it is the broadcast address of its network",
        "Choose another address of the network",
      );
    }
  }
  return cidr;
}

/** Parses the addresses of one attach request: at least one, repeats dropped, each address with one prefix. */
export function parseAttachAddresses(texts: readonly string[]): readonly Cidr[] {
  if (texts.length === 0) {
    throw new MeshnetError("attach/no-address", "Cannot attach without an address", { hint: EXAMPLE });
  }
  return mergeAddresses([], texts.map(parseAttachAddress));
}

/** `present` and then what is new in `wanted`. Throws when one address would have two prefix lengths. */
export function mergeAddresses(present: readonly Cidr[], wanted: readonly Cidr[]): readonly Cidr[] {
  const merged = [...present];
  for (const cidr of wanted) {
    const known = merged.find((other) => other.ip === cidr.ip);
    if (known === undefined) merged.push(cidr);
    else if (known.prefix !== cidr.prefix) {
      const attached = present.includes(known);
      throw new MeshnetError(
        attached ? "attach/bad-address" : "usage/bad-address",
        `Cannot use address ${formatCidr(cidr)}: the same address is ${attached ? "attached" : "given"} as ` +
          formatCidr(known),
        { hint: "Use one prefix length; to change it, detach the address first" },
      );
    }
  }
  return merged;
}
