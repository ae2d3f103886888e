/** The reference codec of DNS messages: the only importer of dns-packet. */
import { Buffer } from "node:buffer";
import packet from "dns-packet";
import { fc } from "../../properties.ts";

/** A message as dns-packet has it, as far as tests look. */
export interface ReferenceMessage {
  readonly id?: number;
  readonly type?: "query" | "response";
  readonly flags?: number;
  readonly opcode?: string;
  readonly rcode?: string;
  readonly questions?: readonly { readonly name: string; readonly type: string; readonly class?: string }[];
  readonly answers?: readonly ReferenceRecord[];
  readonly authorities?: readonly ReferenceRecord[];
  readonly additionals?: readonly ReferenceRecord[];
}
/** A record as dns-packet has it. */
export interface ReferenceRecord {
  readonly name: string;
  readonly type: string;
  readonly ttl?: number;
  readonly class?: string;
  readonly udpPayloadSize?: number;
  readonly ednsVersion?: number;
  readonly extendedRcode?: number;
  readonly data?: unknown;
}

/** Encodes a message, with compressed names. */
export function encodeReference(message: ReferenceMessage): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(packet.encode(message) as Uint8Array);
}

/** Decodes a message; throws where it is none. */
export function decodeReference(bytes: Uint8Array): Required<ReferenceMessage> {
  return packet.decode(Buffer.from(bytes)) as Required<ReferenceMessage>;
}

/** Names that have no special characters, without the dot at the end. */
export const plainNames = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}(\.[A-Za-z0-9_-]{1,20}){0,4}$/);
