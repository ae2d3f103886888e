/** From what is wanted and what is there to what must be changed. Pure: planning again after the changes gives none. */
import type { AcceptRule, Chain, Rule, Table, TableFamily } from "../wire/filter/model.ts";
import { allHold, type Packet } from "./packet.ts";
import { isOwn, type MeshPort, packetTo, type WantedRule } from "./wanted.ts";
import { type Fate, fateOf, type OwnRule } from "./walk.ts";

/** Docker leaves this chain to others, and goes through it first. */
const DOCKER_USER = "DOCKER-USER";

/** Where a chain is. */
export interface ChainPlace {
  readonly backend: Table["backend"];
  readonly family: TableFamily;
  readonly table: string;
  readonly chain: string;
}

/** One change. */
export type FirewallChange =
  /** Before the rule with that handle; undefined: at the chain's end, before its policy. */
  | {
    readonly kind: "insert";
    readonly at: ChainPlace;
    readonly before: number | undefined;
    readonly rule: AcceptRule;
  }
  | { readonly kind: "delete"; readonly at: ChainPlace; readonly handle: number };

/** A rule of ours, there or about to be. */
export interface StandingRule {
  readonly at: ChainPlace;
  readonly comment: string;
  /** Whether it was there already. */
  readonly found: boolean;
}

/** A chain that drops what is wanted to pass. */
export interface Dropping {
  /** The chain that drops it, and by which rule; undefined: by its policy. */
  readonly at: ChainPlace;
  readonly rule: Rule | undefined;
  /** The number of that rule in its chain, from 1. */
  readonly number: number | undefined;
  /** Where a rule would let it pass. */
  readonly opening: ChainPlace;
  readonly families: readonly ("ip" | "ip6")[];
  /** Somebody wrote a rule about this very interface, so it stays. */
  readonly meant: boolean;
}

/** What is to be done, and what is so. */
export interface FirewallPlan {
  readonly changes: readonly FirewallChange[];
  readonly standing: readonly StandingRule[];
  /** What would be dropped without us, and what is dropped although we may change things: `meant`. */
  readonly dropping: readonly (Dropping & { readonly wanted: WantedRule })[];
}

/** Plans for traffic that is forwarded. Where `change` is false, rules of ours are taken out, and nothing else is done. */
export function planForward(
  tables: readonly Table[],
  { change, wanted }: { readonly wanted: readonly WantedRule[]; readonly change: boolean },
): FirewallPlan {
  const changes: FirewallChange[] = [];
  const standing: StandingRule[] = [];
  const dropping: (Dropping & { readonly wanted: WantedRule })[] = [];
  for (const table of tables) {
    const kept = new Set<string>();
    for (const chain of table.chains.values()) {
      if (chain.hook !== "forward") continue;
      for (const one of wanted) {
        const found = lookAt(table, { chain, wanted: one });
        if (found === undefined) continue;
        dropping.push({ ...found, wanted: one });
        if (found.meant || !change) continue;
        const { comment } = one.rule;
        const { before, place } = opening(table, { chain, found, wanted: one });
        const own = ownRules(table, comment).find((rule) => passesWith(table, { chain, rule, wanted: one }));
        standing.push({ at: own?.at ?? place, comment, found: own !== undefined });
        if (own === undefined) changes.push({ kind: "insert", at: place, before, rule: one.rule });
        else kept.add(`${own.at.chain} ${own.handle}`);
      }
    }
    for (const { at, handle } of ownRules(table)) {
      if (!kept.has(`${at.chain} ${handle}`)) changes.push({ kind: "delete", at, handle });
    }
  }
  return { changes, standing, dropping };
}

interface Found extends Dropping {
  /** The earliest rule of the hook's chain that leads to the loss; undefined: its policy. */
  readonly top: Rule | undefined;
}

/** What the chain drops as if we had no rule in it. */
function lookAt(
  table: Table,
  { chain, wanted }: { readonly chain: Chain; readonly wanted: WantedRule },
): Found | undefined {
  const fates = packetsIn(table, wanted).flatMap((packet) => {
    const fate = fateOf(packet, { chain, table, own: ignoreOwn });
    return fate.kind === "drops" ? [{ ...fate, packet }] : [];
  });
  if (fates.length === 0) return undefined;
  const place = (rule: Rule | undefined) => rule === undefined ? Infinity : chain.rules.indexOf(rule);
  // Where one family's loss is meant and the other's is not, ours would let both through.
  const first = fates.find(({ meant }) => meant) ??
    fates.reduce((one, other) => place(other.top) < place(one.top) ? other : one);
  return {
    ...droppingOf(table, first),
    top: first.top,
    opening: placeOf(table, (dockerChain(table, { chain, top: first.top, wanted }) ?? chain).name),
    families: fates.map(({ packet }) => packet.family),
    meant: first.meant,
  };
}

function droppingOf(
  table: Table,
  { chain, rule }: Extract<Fate, { kind: "drops" }>,
): Pick<Dropping, "at" | "rule" | "number"> {
  const number = rule === undefined ? undefined : (table.chains.get(chain)?.rules.indexOf(rule) ?? -1) + 1;
  return { at: placeOf(table, chain), rule, number };
}

const ignoreOwn = (comment: string): OwnRule | undefined => isOwn(comment) ? "ignored" : undefined;

function opening(
  table: Table,
  { chain, found: { top }, wanted }: {
    readonly chain: Chain;
    readonly found: Found;
    readonly wanted: WantedRule;
  },
): { readonly place: ChainPlace; readonly before: number | undefined } {
  const docker = dockerChain(table, { chain, top, wanted });
  if (docker === undefined) return { place: placeOf(table, chain.name), before: top?.handle };
  const packets = packetsIn(table, wanted);
  const losses = packets.map((packet) => {
    const fate = fateOf(packet, { chain: docker, table, own: ignoreOwn });
    return fate.kind === "drops" ? fate.top : undefined;
  });
  const ends = docker.rules.find((rule) =>
    losses.includes(rule) ||
    (rule.verdict.kind === "return" || rule.verdict.kind === "goto") &&
      packets.every((packet) => allHold(packet, rule.tests) === "yes")
  );
  return { place: placeOf(table, docker.name), before: ends?.handle };
}

/** The packets that a table sees. */
function packetsIn({ family: seen }: Table, wanted: WantedRule): readonly Packet[] {
  return wanted.packets.filter(({ family }) => seen === "inet" || seen === family);
}

/** Docker's chain for others, if the hook's chain surely leads through it before the loss. */
function dockerChain(
  table: Table,
  { chain, top, wanted }: {
    readonly chain: Chain;
    readonly top: Rule | undefined;
    readonly wanted: WantedRule;
  },
): Chain | undefined {
  const end = top === undefined ? chain.rules.length : chain.rules.indexOf(top) + 1;
  const leads = chain.rules.slice(0, end).some(({ tests, verdict }) =>
    verdict.kind === "jump" && verdict.chain === DOCKER_USER &&
    wanted.packets.every((packet) => allHold(packet, tests) === "yes")
  );
  return leads ? table.chains.get(DOCKER_USER) : undefined;
}

interface PlacedOwn {
  readonly at: ChainPlace;
  readonly handle: number;
  readonly rule: Rule;
}

/** Our rules in a table, those with one comment or all. */
function ownRules(table: Table, comment?: string): readonly PlacedOwn[] {
  return [...table.chains.values()].flatMap((chain) =>
    chain.rules.filter((rule) => comment === undefined ? isOwn(rule.comment) : rule.comment === comment)
      .map((rule) => ({ at: placeOf(table, chain.name), handle: rule.handle, rule }))
  );
}

/** Whether one rule of ours alone lets everything pass that is wanted. */
function passesWith(
  table: Table,
  { chain, rule: { handle, at }, wanted }: {
    readonly chain: Chain;
    readonly rule: PlacedOwn;
    readonly wanted: WantedRule;
  },
): boolean {
  const others = table.chains.get(at.chain)!;
  const alone = others.rules.filter((rule) => rule.handle === handle || !isOwn(rule.comment));
  const chains = new Map(table.chains).set(at.chain, { ...others, rules: alone });
  const only = { ...table, chains };
  const own = (comment: string): OwnRule | undefined =>
    comment === wanted.rule.comment ? "accepts" : isOwn(comment) ? "ignored" : undefined;
  return packetsIn(table, wanted).every((packet) =>
    fateOf(packet, { chain: chains.get(chain.name)!, table: only, own }).kind === "passes"
  );
}

function placeOf({ backend, family, name }: Table, chain: string): ChainPlace {
  return { backend, family, table: name, chain };
}

/** What hosts of the mesh send to each other, and a chain drops. */
export interface PortLoss extends Dropping {
  /** Whether others send it to this host, or this host to others. */
  readonly way: "in" | "out";
  readonly ports: readonly MeshPort[];
  /** The program that looks after the table. */
  readonly manager: "firewalld" | "ufw" | undefined;
}

/** Chains that surely drop what other hosts send to ports of the mesh, or what this host sends to theirs. Rules that depend
 * on what nobody knows beforehand, such as the other host's address, count as letting it through. */
export function judgePorts(
  tables: readonly Table[],
  { families, ports }: { readonly families: readonly ("ip" | "ip6")[]; readonly ports: readonly MeshPort[] },
): readonly PortLoss[] {
  return (["in", "out"] as const).flatMap((way) =>
    tables.flatMap((table) =>
      [...table.chains.values()].filter(({ hook }) => hook === `${way}put`).flatMap((chain) => {
        const lost = ports.flatMap((port) => {
          const seen = families.filter((family) => table.family === "inet" || table.family === family);
          return seen.flatMap((family) => {
            const packet = packetTo(port, { family, way });
            const fate = fateOf(packet, { chain, table, own: () => undefined });
            return fate.kind === "drops" && !fate.perhapsNot ? [{ port, family, fate }] : [];
          });
        });
        if (lost.length === 0) return [];
        return [{
          ...droppingOf(table, lost[0]!.fate),
          way,
          opening: placeOf(table, chain.name),
          families: [...new Set(lost.map(({ family }) => family))],
          meant: false,
          ports: [...new Set(lost.map(({ port }) => port))],
          manager: managerOf(table),
        }];
      })
    )
  );
}

function managerOf({ chains, name }: Table): PortLoss["manager"] {
  if (name === "firewalld") return "firewalld";
  return [...chains.keys()].some((name) => /^ufw6?-/.test(name)) ? "ufw" : undefined;
}
