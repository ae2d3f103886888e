/** A packet of which some things are known, and whether a rule's tests hold for it. */
import { compareOctets, type Field, type OctetSpan, type Test } from "../wire/filter/model.ts";

/** What is known of a packet before it is there. What is left out may be anything. */
export interface Packet {
  readonly family: "ip" | "ip6";
  /** Interface it comes in by. */
  readonly iif?: string;
  readonly oif?: string;
  /** Their indexes. */
  readonly iifIndex?: number;
  readonly oifIndex?: number;
  /** An interface that it does not come in by, with its index. */
  readonly notFrom?: { readonly name: string; readonly index: number };
  /** One that it does not leave by. */
  readonly notTo?: { readonly name: string; readonly index: number };
  /** Whether it is for this host. */
  readonly here?: boolean;
  /** Protocol above IP. */
  readonly protocol?: number;
  readonly port?: number;
}

/** Whether something holds. */
export type Answer = "yes" | "no" | "maybe";

const UNICAST = 1; // RTN_UNICAST
const LOCAL = 2; // RTN_LOCAL
const STATE_NEW = 8; // NF_CT_STATE_BIT(IP_CT_NEW)

/** An interface's name as rules compare it. */
export function nameOctets(name: string): Uint8Array {
  const octets = new Uint8Array(16);
  octets.set(new TextEncoder().encode(name).subarray(0, 15));
  return octets;
}

const u32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);

/** The value of a field; undefined: nobody knows. All packets are the first of their connection: later ones are as well
 * off, and translated ones do not matter here. */
function valueOf(packet: Packet, field: Field): Uint8Array | undefined {
  const when = <T>(value: T | undefined, encode: (value: T) => Uint8Array) =>
    value === undefined ? undefined : encode(value);
  switch (field) {
    case "iif":
      return when(packet.iif, nameOctets);
    case "oif":
      return when(packet.oif, nameOctets);
    case "iif-index":
      return when(packet.iifIndex, u32);
    case "oif-index":
      return when(packet.oifIndex, u32);
    case "family":
      return Uint8Array.of(packet.family === "ip" ? 2 : 10);
    case "ethertype":
      return packet.family === "ip" ? Uint8Array.of(0x08, 0x00) : Uint8Array.of(0x86, 0xdd);
    case "protocol":
      return when(packet.protocol, (value) => Uint8Array.of(value));
    case "dport":
      return when(packet.port, (value) => Uint8Array.of(value >> 8, value & 0xff));
    case "ct-state":
      return u32(STATE_NEW);
    case "ct-status":
      return u32(0);
    case "destination-kind":
      return packet.here === undefined ? undefined : u32(packet.here ? LOCAL : UNICAST);
    case "other":
      return undefined;
  }
}

/** A value that the field has not. */
function excludedOf({ notFrom, notTo }: Packet, field: Field): Uint8Array | undefined {
  switch (field) {
    case "iif":
      return notFrom && nameOctets(notFrom.name);
    case "iif-index":
      return notFrom && u32(notFrom.index);
    case "oif":
      return notTo && nameOctets(notTo.name);
    case "oif-index":
      return notTo && u32(notTo.index);
    default:
      return undefined;
  }
}

/** Whether a field of the packet, masked, lies in one of the spans. */
export function liesIn(
  packet: Packet,
  { field, mask, spans }: {
    readonly field: Field;
    readonly mask?: Uint8Array;
    readonly spans: readonly OctetSpan[];
  },
): Answer {
  const raw = valueOf(packet, field);
  const masked = (value: Uint8Array) =>
    mask === undefined ? value : value.map((octet, i) => octet & (mask[i] ?? 0));
  const isIn = (value: Uint8Array) =>
    spans.some(({ high, low }) => compareOctets(low, value) <= 0 && compareOctets(value, high) <= 0);
  if (raw !== undefined) return isIn(masked(raw)) ? "yes" : "no";
  const excluded = excludedOf(packet, field);
  const onlyThat = excluded !== undefined && spans.length > 0 &&
    spans.every(({ high, low }) =>
      compareOctets(low, high) === 0 && compareOctets(low, masked(excluded)) === 0
    );
  return onlyThat ? "no" : "maybe";
}

/** Whether a test holds. */
export function holds(packet: Packet, test: Test): Answer {
  if (test.field === "other") return test.negated && test.spans.length === 0 ? "no" : "maybe";
  const answer = liesIn(packet, test);
  if (!test.negated || answer === "maybe") return answer;
  return answer === "yes" ? "no" : "yes";
}

/** Whether all hold. */
export function allHold(packet: Packet, tests: readonly Test[]): Answer {
  const answers = tests.map((test) => holds(packet, test));
  if (answers.includes("no")) return "no";
  return answers.includes("maybe") ? "maybe" : "yes";
}

/** Whether tests are about the packet's own interface, rather than about all packets. */
export function namesInterface(packet: Packet, tests: readonly Test[]): boolean {
  return tests.some((test) =>
    /^[io]if/.test(test.field) && !test.negated && valueOf(packet, test.field) !== undefined &&
    holds(packet, test) === "yes"
  );
}
