/** Chains and rules of nf_tables, as far as they decide what is forwarded (include/uapi/linux/netfilter/nf_tables.h). */
import { AttributeReader, NLM_F, splitMessages } from "./netlink.ts";
import { NetlinkWriter } from "./netlink_writer.ts";

const SUBSYSTEM = 10 << 8; // NFNL_SUBSYS_NFTABLES
const MSG = { newChain: 3, getChain: 4, newRule: 6, getRule: 7 } as const;
const CHAIN = { table: 1, name: 3, hook: 4, policy: 5 } as const;
const RULE = { table: 1, chain: 2 } as const;
const HOOK_NUMBER = 1;
const FORWARD = 2; // NF_INET_FORWARD
const ACCEPT = 1; // NF_ACCEPT
const HEADER = 4; // struct nfgenmsg

/** Families of tables that see IPv4, IPv6, or both. */
export const TABLE_FAMILIES = { inet: 1, ip: 2, ip6: 10 } as const;
/** One of them. */
export type TableFamily = keyof typeof TABLE_FAMILIES;

/** A chain that sees what is forwarded. */
export interface ForwardChain {
  readonly family: TableFamily;
  readonly table: string;
  readonly name: string;
  /** What no rule decides about is dropped. */
  readonly drops: boolean;
}

/** Asks for all chains. */
export function dumpChains(): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(32).begin(SUBSYSTEM | MSG.getChain, NLM_F.request | NLM_F.dump);
  return writer.u8(0).u8(0).u16(0).end().finish();
}

/** Asks for the rules of a chain. */
export function dumpRules({ family, name, table }: ForwardChain): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(96).begin(SUBSYSTEM | MSG.getRule, NLM_F.request | NLM_F.dump);
  writer.u8(TABLE_FAMILIES[family]).u8(0).u16(0);
  return writer.attrText(RULE.table, table).attrText(RULE.chain, name).end().finish();
}

/** The chains that see what is forwarded, of the answer to dumpChains(); what cannot be read is left out. */
export function forwardChains(replies: readonly Uint8Array[]): readonly ForwardChain[] {
  const chains: ForwardChain[] = [];
  for (const { family, body } of messagesOf(replies, MSG.newChain)) {
    let [table, name, hook, policy] = ["", "", -1, ACCEPT];
    const reader = new AttributeReader(body, HEADER);
    while (reader.next()) {
      if (reader.type === CHAIN.table) table = reader.text();
      else if (reader.type === CHAIN.name) name = reader.text();
      else if (reader.type === CHAIN.policy) policy = reader.be32();
      else if (reader.type === CHAIN.hook) {
        const inner = reader.nested();
        while (inner.next()) if (inner.type === HOOK_NUMBER) hook = inner.be32();
      }
    }
    if (hook === FORWARD && reader.failure === undefined) {
      chains.push({ family, table, name, drops: policy !== ACCEPT });
    }
  }
  return chains;
}

/** Whether one of the rules of a chain, the answer to dumpRules(), names an interface. */
export function rulesName(
  replies: readonly Uint8Array[],
  { name, table }: ForwardChain,
  text: string,
): boolean {
  const wanted = new TextEncoder().encode(text + "\0");
  return messagesOf(replies, MSG.newRule).some(({ body }) => {
    const reader = new AttributeReader(body, HEADER);
    const at = ["", ""];
    while (reader.next()) {
      if (reader.type === RULE.table || reader.type === RULE.chain) at[reader.type - 1] = reader.text();
    }
    return at[0] === table && at[1] === name && contains(body, wanted);
  });
}

function messagesOf(
  replies: readonly Uint8Array[],
  message: number,
): readonly { readonly family: TableFamily; readonly body: Uint8Array }[] {
  return replies.flatMap((reply) => {
    const split = splitMessages(reply);
    return (split.ok ? split.value : []).flatMap(({ type, body }) => {
      const families = Object.keys(TABLE_FAMILIES) as TableFamily[];
      const family = families.find((one) => TABLE_FAMILIES[one] === body[0]);
      const fits = type === (SUBSYSTEM | message) && body.length >= HEADER && family !== undefined;
      return fits ? [{ family, body }] : [];
    });
  });
}

function contains(bytes: Uint8Array, wanted: Uint8Array): boolean {
  for (let at = 0; at + wanted.length <= bytes.length; at++) {
    if (wanted.every((octet, i) => bytes[at + i] === octet)) return true;
  }
  return false;
}
