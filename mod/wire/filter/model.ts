/** A packet filter as far as one can tell what it does to a packet; the same words for nf_tables and for x_tables. */

/** What a rule may ask about a packet. `other`: something of which nothing is known beforehand. */
export type Field =
  /** Name of the interface it came in by: 16 octets, padded with 0. */
  | "iif"
  /** Of the one it goes out by. */
  | "oif"
  /** Index of the interface it came in by: u32, host order. */
  | "iif-index"
  | "oif-index"
  /** NFPROTO_IPV4 or NFPROTO_IPV6: one octet. */
  | "family"
  /** Ethernet's protocol: 16 bits. */
  | "ethertype"
  /** Protocol above IP: one octet. */
  | "protocol"
  /** Destination port: 16 bits, network order. */
  | "dport"
  /** Bits of NF_CT_STATE_BIT(): u32, host order. */
  | "ct-state"
  /** Bits of IPS_*: u32, host order. */
  | "ct-status"
  /** Kind of the destination, RTN_*: u32, host order. */
  | "destination-kind"
  | "other";

/** Values from `low` to `high`, both included, compared octet by octet from the left. */
export interface OctetSpan {
  readonly low: Uint8Array;
  readonly high: Uint8Array;
}

/** One thing that a rule asks: whether a field, its bits masked, lies in one of these spans. */
export interface Test {
  readonly field: Field;
  readonly mask?: Uint8Array;
  readonly spans: readonly OctetSpan[];
  /** It must not. */
  readonly negated: boolean;
}

/** What a rule does where all its tests hold. `unknown`: anything. */
export type RuleVerdict =
  | { readonly kind: "accept" | "drop" | "continue" | "return" | "unknown" }
  | { readonly kind: "jump" | "goto"; readonly chain: string }
  /** By a map: that of the first span in which the field lies; no such span ends the rule. */
  | {
    readonly kind: "map";
    readonly field: Field;
    readonly mask?: Uint8Array;
    readonly entries: readonly { readonly span: OctetSpan; readonly verdict: RuleVerdict }[];
  };

/** One rule. */
export interface Rule {
  /** Names it: nf_tables' handle, or its offset in a table of x_tables. */
  readonly handle: number;
  readonly tests: readonly Test[];
  readonly verdict: RuleVerdict;
  /** What somebody wrote beside it. */
  readonly comment?: string;
}

/** Hooks whose chains are looked at. */
export type Hook = "input" | "forward" | "output";

/** One chain. */
export interface Chain {
  readonly name: string;
  /** Where the kernel enters it; undefined: only by jumps. */
  readonly hook?: Hook;
  /** What becomes of what no rule decides about; of chains with a hook. */
  readonly policy: "accept" | "drop";
  readonly rules: readonly Rule[];
}

/** Families of tables that see IPv4, IPv6, or both. */
export type TableFamily = "inet" | "ip" | "ip6";

/** One table, or the part of it that packets of interest can reach. */
export interface Table {
  /** `legacy`: x_tables, which iptables-legacy writes. */
  readonly backend: "nft" | "legacy";
  readonly family: TableFamily;
  readonly name: string;
  readonly chains: ReadonlyMap<string, Chain>;
}

/** A rule of our own that lets packets through; what is left out does not matter. */
export interface AcceptRule {
  /** The comment by which it is found again. */
  readonly comment: string;
  readonly iif?: string;
  readonly oif?: string;
  /** AddressBlock of the source address, in octets, with the length of its prefix. */
  readonly source?: AddressBlock;
  readonly destination?: AddressBlock;
}

/** An address in octets with the length of a prefix. */
export interface AddressBlock {
  readonly octets: Uint8Array;
  readonly prefix: number;
}

/** A value alone. */
export function single(value: Uint8Array): OctetSpan {
  return { low: value, high: value };
}

/** Compares from the left, as many octets as both have. */
export function compareOctets(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}

/** The value just above (`by` 1) or below (-1); undefined where there is none. */
export function neighbour(value: Uint8Array, by: 1 | -1): Uint8Array | undefined {
  const next = value.slice();
  for (let i = next.length - 1; i >= 0; i--) {
    const sum = next[i]! + by;
    next[i] = sum & 0xff;
    if (sum >= 0 && sum <= 0xff) return next;
  }
  return undefined;
}

/** The octets of a mask for a prefix. */
export function prefixMask(prefix: number, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => 0xff & ~(0xff >> Math.min(8, Math.max(0, prefix - i * 8))));
}
