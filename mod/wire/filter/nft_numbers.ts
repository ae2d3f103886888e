/** Numbers of nf_tables (include/uapi/linux/netfilter/nf_tables.h, nfnetlink.h). */
import type { TableFamily } from "./model.ts";

/** NFNL_SUBSYS_NFTABLES as the high octet of a message's type. */
export const SUBSYSTEM = 10 << 8;
/** Octets of struct nfgenmsg. */
export const GEN_HEADER = 4;
/** The multicast group that hears of every change (NFNLGRP_NFTABLES). */
export const FILTER_NOTICES = 7;

/** Messages. */
export const MSG = {
  newTable: 0,
  getTable: 1,
  deleteTable: 2,
  newChain: 3,
  getChain: 4,
  deleteChain: 5,
  newRule: 6,
  getRule: 7,
  deleteRule: 8,
  newElements: 12,
  getElements: 13,
} as const;
/** NFNL_MSG_BATCH_*: between these two, messages are one transaction. */
export const BATCH = { begin: 16, end: 17 } as const;

/** Attributes of a table. */
export const TABLE = { name: 1, flags: 2 } as const;
/** NFT_TABLE_F_OWNER: the table goes with the socket that made it. Since Linux 5.12. */
export const OWNED = 2;
/** Attributes of a chain. */
export const CHAIN = { table: 1, name: 3, hook: 4, policy: 5, type: 7 } as const;
/** Attributes of a chain's hook. */
export const HOOK = { number: 1, priority: 2 } as const;
/** Attributes of a rule. */
export const RULE = { table: 1, chain: 2, handle: 3, expressions: 4, position: 6, userData: 7 } as const;
/** NFTA_LIST_ELEM. */
export const LIST_ELEMENT = 1;
/** Attributes of an expression. */
export const EXPRESSION = { name: 1, data: 2 } as const;
/** Attributes of data: a value, or a verdict. */
export const DATA = { value: 1, verdict: 2 } as const;
/** Attributes of a verdict. */
export const VERDICT = { code: 1, chain: 2 } as const;
/** Attributes of a list of elements of a set. */
export const ELEMENTS = { table: 1, set: 2, list: 3 } as const;
/** Attributes of an element. */
export const ELEMENT = { key: 1, data: 2, flags: 3, keyEnd: 10 } as const;
/** Attributes of expressions, by their names. */
export const ATTRIBUTES = {
  meta: { register: 1, key: 2, source: 3 },
  payload: { register: 1, base: 2, offset: 3, length: 4 },
  ct: { register: 1, key: 2, direction: 3 },
  bitwise: { source: 1, register: 2, mask: 4, xor: 5, operation: 6 },
  cmp: { source: 1, operation: 2, data: 3 },
  range: { source: 1, operation: 2, from: 3, to: 4 },
  lookup: { set: 1, source: 2, register: 3, flags: 5 },
  immediate: { register: 1, data: 2 },
  fib: { register: 1, result: 2, flags: 3 },
  xt: { name: 1, revision: 2, info: 3 },
  nat: { kind: 1, family: 2, addressFrom: 3, addressTo: 4, portFrom: 5 },
} as const;
/** NFT_NAT_DNAT. */
export const DESTINATION_NAT = 1;
/** NFT_META_*. */
export const META = {
  ethertype: 1,
  iifIndex: 4,
  oifIndex: 5,
  iif: 6,
  oif: 7,
  family: 15,
  protocol: 16,
} as const;
/** NFT_FIB_RESULT_ADDRTYPE, and NFTA_FIB_F_DADDR alone. */
export const FIB = { kind: 3, destination: 2 } as const;
/** NFT_PAYLOAD_*_HEADER. */
export const PAYLOAD = { network: 1, transport: 2 } as const;
/** NFT_CMP_*. */
export const CMP = { eq: 0, neq: 1, lt: 2, lte: 3, gt: 4, gte: 5 } as const;
/** NF_* and NFT_*: verdicts. */
export const CODE = { drop: 0, accept: 1, continue: -1, break: -2, jump: -3, goto: -4, return: -5 } as const;
/** NF_INET_*: hooks. */
export const HOOK_NUMBERS = { input: 1, forward: 2, output: 3, postrouting: 4 } as const;
/** NFPROTO_*. */
export const FAMILIES: Readonly<Record<TableFamily, number>> = { inet: 1, ip: 2, ip6: 10 };
/** The first octet of a rule's user data: what follows is a comment (libnftnl's udata.h). */
export const COMMENT = 0;

/** The family with a number; undefined: one that sees no IP packets, or another hook's. */
export function familyOf(number: number | undefined): TableFamily | undefined {
  return (Object.keys(FAMILIES) as TableFamily[]).find((name) => FAMILIES[name] === number);
}
