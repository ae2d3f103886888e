/** Changes of nf_tables, several in one transaction: all of them happen, or none. */
import { NLM_F } from "../netlink/netlink.ts";
import { NetlinkWriter } from "../netlink/netlink_writer.ts";
import { type AcceptRule, type AddressBlock, prefixMask, type TableFamily } from "./model.ts";
import {
  ATTRIBUTES,
  BATCH,
  CHAIN,
  CMP,
  CODE,
  COMMENT,
  DATA,
  DESTINATION_NAT,
  EXPRESSION,
  FAMILIES,
  HOOK,
  HOOK_NUMBERS,
  LIST_ELEMENT,
  META,
  MSG,
  OWNED,
  PAYLOAD,
  RULE,
  SUBSYSTEM,
  TABLE,
  VERDICT,
} from "./nft_numbers.ts";
import type { NftPlace } from "./nft_read.ts";
import type { NatRule } from "./xtables.ts";

/** One change. */
export type NftChange =
  /** Puts a rule before another one, or at the chain's end. */
  | {
    readonly kind: "insert";
    readonly at: NftPlace;
    readonly before: number | undefined;
    readonly rule: AcceptRule;
  }
  | { readonly kind: "delete"; readonly at: NftPlace; readonly handle: number }
  /** Makes a table of our own that masquerades, in place of the one that may be there. */
  | {
    readonly kind: "masquerade";
    readonly family: TableFamily;
    readonly table: string;
    readonly rules: readonly NatRule[];
  }
  /** Makes a table of our own that has questions for a server come to another one, but for those that the other one asks,
   * in place of the one that may be there. */
  | {
    readonly kind: "redirect-names";
    readonly table: string;
    /** The IPv4 address that is asked. */
    readonly server: Uint8Array;
    /** Where they come to, and from where they do not. */
    readonly to: { readonly octets: Uint8Array; readonly port: number };
    /** Whether the table goes with the socket that makes it. */
    readonly owned: boolean;
  }
  /** Removes such a table. */
  | { readonly kind: "delete-table"; readonly family: TableFamily; readonly table: string };

const REGISTER = 1; // NFT_REG_1
const OTHER_REGISTER = 2; // NFT_REG_2
const SOURCE_NAT = 100; // NF_IP_PRI_NAT_SRC
const BEFORE_OTHERS = -101; // the engine has its rules at NF_IP_PRI_NAT_DST, -100
const NAMES_PORT = Uint8Array.of(0, 53);
/** UDP and TCP, which both have the port of the destination at the same place. */
const NAMES_PROTOCOLS = [17, 6];
const PORT_OFFSET = 2;
/** Where addresses are in the header, and how long they are. */
const ADDRESSES = {
  ip: { source: 12, destination: 16, length: 4 },
  ip6: { source: 8, destination: 24, length: 16 },
} as const;
/** The messages of a transaction. Each asks for an answer; sequence numbers begin at `sequence`, of the change first. */
export function encodeChanges(changes: readonly NftChange[], sequence: number): Uint8Array<ArrayBuffer> {
  const out = new Batch(sequence);
  out.border(BATCH.begin);
  for (const change of changes) out.change(change);
  out.border(BATCH.end);
  return out.finish();
}

class Batch {
  readonly #out = new NetlinkWriter(1024);
  #sequence: number;

  constructor(sequence: number) {
    this.#sequence = sequence;
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#out.finish();
  }

  /** Resource id of both is the subsystem, in network order. */
  border(type: number): void {
    this.#out.begin(type, NLM_F.request).u8(0).u8(0).u8(0).u8(SUBSYSTEM >> 8).end();
  }

  #begin(message: number, family: TableFamily, flags = 0): NetlinkWriter {
    const type = SUBSYSTEM | message;
    return this.#out.begin(type, NLM_F.request | NLM_F.ack | flags, this.#sequence++).u8(FAMILIES[family]).u8(
      0,
    )
      .u16(0);
  }

  change(change: NftChange): void {
    switch (change.kind) {
      case "insert": {
        const { at, before, rule } = change;
        const append = before === undefined ? NLM_F.append : 0;
        const open = this.#openRule(at, { append, before, comment: rule.comment });
        this.#acceptExpressions(rule, at.family);
        return this.#closeRule(open);
      }
      case "delete": {
        const { at: { family, name, table }, handle } = change;
        this.#begin(MSG.deleteRule, family).attrText(RULE.table, table).attrText(RULE.chain, name)
          .attrBe64(RULE.handle, Math.floor(handle / 0x1_0000_0000), handle >>> 0).end();
        return;
      }
      case "masquerade":
        return this.#masquerade(change);
      case "redirect-names":
        return this.#redirectNames(change);
      case "delete-table":
        this.#begin(MSG.deleteTable, change.family).attrText(TABLE.name, change.table).end();
    }
  }

  #openRule(
    { family, name, table }: NftPlace,
    { append, before, comment }: {
      readonly append: number;
      readonly before: number | undefined;
      readonly comment: string;
    },
  ): number {
    const out = this.#begin(MSG.newRule, family, NLM_F.create | append);
    out.attrText(RULE.table, table).attrText(RULE.chain, name);
    if (before !== undefined) {
      out.attrBe64(RULE.position, Math.floor(before / 0x1_0000_0000), before >>> 0);
    }
    const text = new TextEncoder().encode(comment + "\0");
    out.attrBytes(RULE.userData, Uint8Array.of(COMMENT, text.length, ...text));
    return out.openNested(RULE.expressions);
  }

  #closeRule(open: number): void {
    this.#out.close(open).end();
  }

  #expression(name: string, write: (out: NetlinkWriter) => void): void {
    const element = this.#out.openNested(LIST_ELEMENT);
    this.#out.attrText(EXPRESSION.name, name);
    const data = this.#out.openNested(EXPRESSION.data);
    write(this.#out);
    this.#out.close(data).close(element);
  }

  #compare(value: Uint8Array, operation: number = CMP.eq): void {
    this.#expression("cmp", (out) => {
      out.attrBe32(ATTRIBUTES.cmp.source, REGISTER).attrBe32(ATTRIBUTES.cmp.operation, operation);
      const data = out.openNested(ATTRIBUTES.cmp.data);
      out.attrBytes(DATA.value, value).close(data);
    });
  }

  #interface(key: number, name: string): void {
    this.#expression("meta", (out) => {
      out.attrBe32(ATTRIBUTES.meta.key, key).attrBe32(ATTRIBUTES.meta.register, REGISTER);
    });
    const padded = new Uint8Array(16);
    padded.set(new TextEncoder().encode(name).subarray(0, 15));
    this.#compare(padded);
  }

  #address(which: "source" | "destination", { octets, prefix }: AddressBlock, inside = true): void {
    const { length, ...offsets } = ADDRESSES[octets.length === 4 ? "ip" : "ip6"];
    const { payload, bitwise } = ATTRIBUTES;
    this.#expression("payload", (out) => {
      out.attrBe32(payload.register, REGISTER).attrBe32(payload.base, PAYLOAD.network)
        .attrBe32(payload.offset, offsets[which]).attrBe32(payload.length, length);
    });
    const mask = prefixMask(prefix, length);
    this.#expression("bitwise", (out) => {
      out.attrBe32(bitwise.source, REGISTER).attrBe32(bitwise.register, REGISTER).attrBe32(3, length);
      const data = out.openNested(bitwise.mask);
      out.attrBytes(DATA.value, mask).close(data);
      const xor = out.openNested(bitwise.xor);
      out.attrBytes(DATA.value, new Uint8Array(length)).close(xor);
    });
    this.#compare(octets.map((octet, i) => octet & mask[i]!), inside ? CMP.eq : CMP.neq);
  }

  /** In tables of family inet, addresses are read of packets of their own family only. In others this must not be asked:
   * nft 1.0.6 fails an assertion when it lists such a rule. */
  #family(network: AddressBlock | undefined): void {
    if (network === undefined) return;
    this.#expression("meta", (out) => {
      out.attrBe32(ATTRIBUTES.meta.key, META.family).attrBe32(ATTRIBUTES.meta.register, REGISTER);
    });
    this.#compare(Uint8Array.of(network.octets.length === 4 ? FAMILIES.ip : FAMILIES.ip6));
  }

  #acceptExpressions({ destination, iif, oif, source }: AcceptRule, family: TableFamily): void {
    if (iif !== undefined) this.#interface(META.iif, iif);
    if (oif !== undefined) this.#interface(META.oif, oif);
    if (family === "inet") this.#family(source ?? destination);
    if (source !== undefined) this.#address("source", source);
    if (destination !== undefined) this.#address("destination", destination);
    this.#expression("counter", () => {});
    this.#verdict(CODE.accept);
  }

  #verdict(code: number): void {
    this.#expression("immediate", (out) => {
      out.attrBe32(ATTRIBUTES.immediate.register, 0);
      const data = out.openNested(ATTRIBUTES.immediate.data);
      const verdict = out.openNested(DATA.verdict);
      out.attrBe32(VERDICT.code, code).close(verdict).close(data);
    });
  }

  /** An empty table in place of the one that may be there. It is made first, so that removing it works where there is
   * none. */
  #newTable(family: TableFamily, table: string, flags = 0): void {
    this.#begin(MSG.newTable, family, NLM_F.create).attrText(TABLE.name, table).end();
    this.#begin(MSG.deleteTable, family).attrText(TABLE.name, table).end();
    const out = this.#begin(MSG.newTable, family, NLM_F.create).attrText(TABLE.name, table);
    if (flags !== 0) out.attrBe32(TABLE.flags, flags);
    out.end();
  }

  #natChain({ family, name, table }: NftPlace, hook: number, priority: number): void {
    const out = this.#begin(MSG.newChain, family, NLM_F.create);
    out.attrText(CHAIN.table, table).attrText(CHAIN.name, name);
    const open = out.openNested(CHAIN.hook);
    out.attrBe32(HOOK.number, hook).attrBe32(HOOK.priority, priority >>> 0).close(open);
    out.attrText(CHAIN.type, "nat").end();
  }

  #masquerade({ family, rules, table }: Extract<NftChange, { kind: "masquerade" }>): void {
    const place = { family, table, name: "postrouting" };
    this.#newTable(family, table);
    this.#natChain(place, HOOK_NUMBERS.postrouting, SOURCE_NAT);
    for (const { comment, destination, outside, source } of rules) {
      const open = this.#openRule(place, { append: NLM_F.append, before: undefined, comment });
      this.#address("source", source, outside !== "source");
      this.#address("destination", destination, outside !== "destination");
      if (outside === undefined) this.#verdict(CODE.return);
      else this.#expression("masq", () => {});
      this.#closeRule(open);
    }
  }

  #redirectNames({ owned, server, table, to }: Extract<NftChange, { kind: "redirect-names" }>): void {
    const output = { family: "ip" as const, table, name: "output" };
    const rule = { append: NLM_F.append, before: undefined, comment: "meshnet: names" };
    this.#newTable("ip", table, owned ? OWNED : 0);
    this.#natChain(output, HOOK_NUMBERS.output, BEFORE_OTHERS);
    for (const protocol of NAMES_PROTOCOLS) {
      const open = this.#openRule(output, rule);
      this.#address("source", { octets: to.octets, prefix: 32 }, false);
      this.#address("destination", { octets: server, prefix: 32 });
      this.#toPort(protocol, NAMES_PORT);
      this.#destinationNat(to);
      this.#closeRule(open);
    }
  }

  #toPort(protocol: number, port: Uint8Array): void {
    const { meta, payload } = ATTRIBUTES;
    this.#expression("meta", (out) => {
      out.attrBe32(meta.key, META.protocol).attrBe32(meta.register, REGISTER);
    });
    this.#compare(Uint8Array.of(protocol));
    this.#expression("payload", (out) => {
      out.attrBe32(payload.register, REGISTER).attrBe32(payload.base, PAYLOAD.transport)
        .attrBe32(payload.offset, PORT_OFFSET).attrBe32(payload.length, port.length);
    });
    this.#compare(port);
  }

  #destinationNat({ octets, port }: { readonly octets: Uint8Array; readonly port: number }): void {
    const { immediate, nat } = ATTRIBUTES;
    const values = [[REGISTER, octets], [OTHER_REGISTER, Uint8Array.of(port >>> 8, port)]] as const;
    for (const [register, value] of values) {
      this.#expression("immediate", (out) => {
        out.attrBe32(immediate.register, register);
        const data = out.openNested(immediate.data);
        out.attrBytes(DATA.value, value).close(data);
      });
    }
    this.#expression("nat", (out) => {
      out.attrBe32(nat.kind, DESTINATION_NAT).attrBe32(nat.family, FAMILIES.ip)
        .attrBe32(nat.addressFrom, REGISTER).attrBe32(nat.portFrom, OTHER_REGISTER);
    });
  }
}
