/** Names of the interfaces that attaching makes. */
import { type Mac, macAt } from "../core/addr.ts";

/** Host ends begin with this; the rest is a hash of what hangs on them. */
export const HOST_PREFIX = "vmn";
/** Host ends of endpoints that an engine keeps begin with this. */
const ENDPOINT_PREFIX = "vmd";
/** The interface in a container. */
export const CONTAINER_INTERFACE = "ethmesh";
/** The interface in a container where an existing Weave network expects it. */
export const CONTAINER_INTERFACE_WEAVE = "ethwe";

/** First octet of MAC addresses that are made of names. */
const LOCAL_OCTET = 0x6e;
const HASH_DIGITS = 10;
const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;

/** FNV-1a, 64 bits: not for secrets, only to make short names of long ones. */
function fnv1a(text: string): bigint {
  let hash = FNV_OFFSET;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME);
  }
  return hash;
}

/** A short name of `text`, the same every time: ten hexadecimal digits. */
export function shortHash(text: string): string {
  return (fnv1a(text) >> 24n).toString(16).padStart(HASH_DIGITS, "0");
}

/** Name of the host end of attachment `id`. */
export function hostInterface(id: string): string {
  return HOST_PREFIX + id;
}

/** What the container's interface is called while it is being set up: it gets its name when it is complete. */
export function temporaryName(hostName: string): string {
  return `vmt${hostName.slice(HOST_PREFIX.length)}`;
}

/** Names of the interfaces of an engine's endpoint: the host's end, and the one that the engine moves. */
export function endpointInterfaces(endpoint: string): { readonly outer: string; readonly guest: string } {
  const hash = shortHash(endpoint);
  return { outer: ENDPOINT_PREFIX + hash, guest: `vmt${hash}` };
}

/** A MAC address for what has this name, the same every time: locally administered, not a group. */
export function macOf(text: string): Mac {
  const octets = [
    LOCAL_OCTET,
    ...Array.from(shortHash(text).matchAll(/../g), ([pair]) => parseInt(pair, 16)),
  ];
  return macAt(Uint8Array.from(octets), 0);
}

/** Whether a host interface is the host's end of an attachment, by its name. */
export function isAttachmentInterface(name: string): boolean {
  return new RegExp(`^${HOST_PREFIX}[0-9a-f]{${HASH_DIGITS}}$`).test(name);
}

/** Whether a host interface is the host's end of an engine's endpoint, by its name. */
export function isEndpointInterface(name: string): boolean {
  return new RegExp(`^${ENDPOINT_PREFIX}[0-9a-f]{${HASH_DIGITS}}$`).test(name);
}

/** Whether a host interface carries a name that only meshnet gives. */
export function isHostInterface(name: string): boolean {
  return isAttachmentInterface(name) || isEndpointInterface(name);
}

/** The host's end of an engine's endpoint. */
export function outerInterface(endpoint: string): string {
  return endpointInterfaces(endpoint).outer;
}
