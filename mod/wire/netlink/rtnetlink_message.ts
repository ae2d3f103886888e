/** What the rtnetlink codecs share: one whole message in, its body out; addresses in attributes. */
import { type Ip, ipFromBytes } from "../../core/addr.ts";
import { bad, type Decoded, good } from "../../core/brand.ts";
import { splitMessages } from "./netlink.ts";

/** Address families. */
export const AF = { inet: 2, inet6: 10 } as const;

/** The body of the single message in `bytes`, which must be of `type` and have at least `header` octets. */
export function onlyMessage(bytes: Uint8Array, type: number, header: number): Decoded<Uint8Array> {
  const split = splitMessages(bytes);
  if (!split.ok) return split;
  const [message, ...more] = split.value;
  if (message === undefined || more.length > 0) return bad(`expected one message, got ${split.value.length}`);
  if (message.type !== type) return bad(`message type is ${message.type}, expected ${type}`);
  if (message.body.length < header) return bad(`header needs ${header} bytes, has ${message.body.length}`);
  return good(message.body);
}

/** The all-zero address of a family, or undefined for a family other than IPv4 and IPv6. */
export function zeroAddress(family: number): Ip | undefined {
  if (family === AF.inet) return "0.0.0.0" as Ip;
  return family === AF.inet6 ? "::" as Ip : undefined;
}

/** The address in `bytes`, if its length is that of `family`. */
export function ipOf(family: number, bytes: Uint8Array): Ip | undefined {
  if (family === AF.inet6) return bytes.length === 16 ? ipFromBytes(bytes) : undefined;
  return family === AF.inet && bytes.length === 4 ? ipFromBytes(bytes) : undefined;
}
