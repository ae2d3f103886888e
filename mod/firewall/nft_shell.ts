/** Reads and changes nf_tables, which `nft` and iptables-nft write, over netlink: no program is needed. */
import { describeErrno } from "../core/errno.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import type { Chain, Hook, Rule, RuleVerdict, Table } from "../wire/filter/model.ts";
import {
  type ChainHead,
  dumpAllRules,
  dumpChains,
  dumpElements,
  dumpRules,
  readChains,
  readElements,
  readRules,
  setsOfRules,
} from "../wire/filter/nft_read.ts";
import type { SetElement } from "../wire/filter/nft_rule.ts";
import { encodeChanges, type NftChange } from "../wire/filter/nft_write.ts";
import { NLMSG, splitMessages } from "../wire/netlink/netlink.ts";
import { decodeVerdict } from "../wire/netlink/netlink_reply.ts";
import { isOwnNat, NAT_CHAIN, NAT_TABLE, type PresentNat } from "./nat.ts";
import type { FirewallChange } from "./plan.ts";
import { isOwn } from "./wanted.ts";

/** A netlink socket to netfilter. */
export interface FilterSocket extends NetlinkSocket {
  /** The next datagram, or undefined when there is none. */
  receive(): Uint8Array | undefined;
}

/** Chains that are read for one hook; what lies behind them counts as unknown. */
const MAX_CHAINS = 512;
/** Sequence numbers of transactions, apart from those of other requests. */
const SEQUENCE = 0x4000_0000;

/** What is there: the tables with chains of some hooks, as far as packets can come from those; and the table that is ours. */
export interface NftState {
  readonly tables: readonly Table[];
  readonly nat: PresentNat;
}

/** Reads. Throws what the kernel refuses, as one without nf_tables does. */
export function readNft(socket: FilterSocket, hooks: readonly Hook[]): NftState {
  const heads = readChains(socket.request(dumpChains()));
  const tables: Table[] = [];
  for (const [key, chains] of Map.groupBy(heads, ({ family, table }) => `${family} ${table}`)) {
    const entered = chains.filter(({ hook }) => hook !== undefined && hooks.includes(hook));
    if (entered.length === 0) continue;
    const [family, name] = [chains[0]!.family, key.slice(key.indexOf(" ") + 1)];
    tables.push({ backend: "nft", family, name, chains: readReachable(socket, { chains, entered }) });
  }
  const nat = (family: "ip" | "ip6") => {
    const place = { family, table: NAT_TABLE, name: NAT_CHAIN };
    const there = heads.some((head) => head.family === family && head.table === NAT_TABLE);
    if (!there) return undefined;
    return rulesOf(socket.request(dumpRules(place)), place, () => undefined).map((rule) =>
      rule.comment ?? ""
    );
  };
  return { tables, nat: { ip: nat("ip"), ip6: nat("ip6") } };
}

/** The chains that packets can come through from some. */
function readReachable(
  socket: FilterSocket,
  { chains, entered }: { readonly chains: readonly ChainHead[]; readonly entered: readonly ChainHead[] },
): ReadonlyMap<string, Chain> {
  const heads = new Map(chains.map((chain) => [chain.name, chain]));
  const sets = new Map<string, readonly SetElement[] | undefined>();
  const found = new Map<string, Chain>();
  const waiting = [...entered];
  for (let head = waiting.shift(); head !== undefined && found.size < MAX_CHAINS; head = waiting.shift()) {
    if (found.has(head.name)) continue;
    const rules = readChainRules(socket, { head, sets });
    const { hook, name, policy } = head;
    found.set(name, { name, policy, rules, ...hook === undefined ? {} : { hook } });
    for (const { verdict } of rules) {
      waiting.push(...chainsOf(verdict).flatMap((next) => heads.get(next) ?? []));
    }
  }
  return found;
}

function readChainRules(
  socket: FilterSocket,
  { head, sets }: {
    readonly head: ChainHead;
    /** What is known of the table's sets so far. */
    readonly sets: Map<string, readonly SetElement[] | undefined>;
  },
): readonly Rule[] {
  const { family, table } = head;
  const replies = socket.request(dumpRules(head));
  for (const set of setsOfRules(replies)) {
    if (sets.has(set)) continue;
    sets.set(set, readElements(socket.request(dumpElements({ family, table, name: set }))));
  }
  return rulesOf(replies, head, (set) => sets.get(set));
}

/** The rules of one chain. Old kernels answer with those of all chains. */
function rulesOf(
  replies: Parameters<typeof readRules>[0],
  { name, table }: { readonly table: string; readonly name: string },
  elements: Parameters<typeof readRules>[1],
): readonly Rule[] {
  return readRules(replies, elements).filter((one) => one.table === table && one.chain === name)
    .map(({ rule }) => rule);
}

function chainsOf(verdict: RuleVerdict): readonly string[] {
  switch (verdict.kind) {
    case "jump":
    case "goto":
      return [verdict.chain];
    case "map":
      return verdict.entries.flatMap((entry) => chainsOf(entry.verdict));
    default:
      return [];
  }
}

/** Changes of a plan in nf_tables' own words, those of each table by themselves: another program may own a table, and that
 * must not keep the others from being changed. */
export function nftTransactions(
  changes: readonly FirewallChange[],
): readonly { readonly table: string; readonly changes: readonly NftChange[] }[] {
  const nft = changes.filter(({ at }) => at.backend === "nft");
  return [...Map.groupBy(nft, ({ at }) => `${at.family} ${at.table}`)].map(([table, some]) => ({
    table,
    changes: nftChanges(some),
  }));
}

function nftChanges(changes: readonly FirewallChange[]): readonly NftChange[] {
  return changes.map((change) => {
    const at = { family: change.at.family, table: change.at.table, name: change.at.chain };
    if (change.kind === "delete") return { kind: "delete", at, handle: change.handle };
    return { kind: "insert", at, before: change.before, rule: change.rule };
  });
}

/** Makes all changes, or throws why none was made. */
export function applyNft(socket: FilterSocket, changes: readonly NftChange[]): void {
  if (changes.length === 0) return;
  socket.send(encodeChanges(changes, SEQUENCE));
  // The kernel has answered when send() returns.
  let failure: string | undefined;
  for (let datagram = socket.receive(); datagram !== undefined; datagram = socket.receive()) {
    const split = splitMessages(datagram);
    for (const message of split.ok ? split.value : []) {
      if (message.type !== NLMSG.error) continue;
      const verdict = decodeVerdict(message);
      if (!verdict.ok) failure ??= verdict.reason;
      else if (verdict.value.errno !== 0) {
        failure ??= verdict.value.text ?? describeErrno(verdict.value.errno);
      }
    }
  }
  if (failure !== undefined) throw new TypeError(failure);
}

/** What removes every rule of ours, wherever it is, and our table: the changes of each table, and how many rules go. */
export function ownNft(
  socket: FilterSocket,
): readonly { readonly changes: readonly NftChange[]; readonly rules: number }[] {
  const all = readRules(socket.request(dumpAllRules()), () => undefined);
  const own = all.filter(({ rule }) => isOwn(rule.comment));
  const ownNat = all.filter(({ rule, table }) => table === NAT_TABLE && isOwnNat(rule.comment));
  const rules = [...Map.groupBy(own, ({ family, table }) => `${family} ${table}`).values()].map((some) => ({
    changes: some.map(({ chain, family, rule, table }) => ({
      ...{ kind: "delete" as const, handle: rule.handle },
      at: { family, table, name: chain },
    })),
    rules: some.length,
  }));
  const tables = [...Map.groupBy(ownNat, ({ family }) => family)].map(([family, some]) => ({
    changes: [{ kind: "delete-table" as const, family, table: NAT_TABLE }],
    rules: some.length,
  }));
  return [...rules, ...tables];
}
