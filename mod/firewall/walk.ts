/** What becomes of a packet in a chain, found by walking through its rules. Pure. */
import type { Chain, Rule, RuleVerdict, Table } from "../wire/filter/model.ts";
import { allHold, liesIn, namesInterface, type Packet } from "./packet.ts";

/** What becomes of it. */
export type Fate =
  /** Nothing certain drops it. */
  | { readonly kind: "passes" }
  | {
    readonly kind: "drops";
    /** The chain that drops it, and by which rule; undefined: by its policy. */
    readonly chain: string;
    readonly rule: Rule | undefined;
    /** The rule of the first chain that led there, or ended the chain before its policy; undefined: none did. */
    readonly top: Rule | undefined;
    /** Somebody wrote a rule about this very interface: it is meant. */
    readonly meant: boolean;
    /** A rule that depends on what is not known may have let it through before. */
    readonly perhapsNot: boolean;
  };

/** How a rule of one's own is taken: as one that accepts, or as if it were not there. */
export type OwnRule = "accepts" | "ignored";

/** Deeper jumps than the kernel allows. */
const MAX_DEPTH = 16;
/** Rules looked at for one packet. */
const MAX_STEPS = 20_000;

type End = { readonly kind: "accepted" } | {
  readonly kind: "fell";
  /** The rule that ended the chain; undefined: all were passed. */
  readonly by?: Rule;
} | {
  readonly kind: "dropped";
  readonly chain: string;
  readonly rule: Rule | undefined;
  readonly top: Rule | undefined;
  readonly meant: boolean;
};

/** Walks from a chain with a hook. `own` says how rules with a comment are taken that may be ours; undefined: as any. */
export function fateOf(
  packet: Packet,
  { chain, own, table }: {
    readonly chain: Chain;
    readonly table: Table;
    readonly own: (comment: string) => OwnRule | undefined;
  },
): Fate {
  const walk = new Walk(packet, table, own);
  const end = walk.through(chain, { depth: 0, meant: false });
  const { perhapsNot } = walk;
  if (end.kind === "dropped") return { ...end, kind: "drops", perhapsNot };
  if (end.kind === "accepted" || chain.policy === "accept") return { kind: "passes" };
  return { kind: "drops", chain: chain.name, rule: undefined, top: end.by, meant: false, perhapsNot };
}

class Walk {
  perhapsNot = false;
  #steps = 0;

  constructor(
    readonly packet: Packet,
    readonly table: Table,
    readonly own: (comment: string) => OwnRule | undefined,
  ) {}

  through(chain: Chain, way: { readonly depth: number; readonly meant: boolean }): End {
    for (const rule of chain.rules) {
      if (++this.#steps > MAX_STEPS) {
        this.perhapsNot = true;
        return { kind: "accepted" };
      }
      const own = rule.comment === undefined ? undefined : this.own(rule.comment);
      if (own === "ignored") continue;
      if (own === "accepts") return { kind: "accepted" };
      const answer = allHold(this.packet, rule.tests);
      if (answer === "no") continue;
      const certain = answer === "yes";
      const meant = way.meant || namesInterface(this.packet, rule.tests);
      const found = this.#decide(rule.verdict, { certain, chain, rule, way: { depth: way.depth, meant } });
      if (found === "returns") return { kind: "fell", by: rule };
      if (found !== undefined) return found;
    }
    return { kind: "fell" };
  }

  #decide(
    verdict: RuleVerdict,
    { certain, chain, rule, way }: {
      readonly certain: boolean;
      readonly chain: Chain;
      readonly rule: Rule;
      readonly way: { readonly depth: number; readonly meant: boolean };
    },
  ): End | "returns" | undefined {
    switch (verdict.kind) {
      case "continue":
        return undefined;
      case "accept":
        if (certain) return { kind: "accepted" };
        this.perhapsNot = true;
        return undefined;
      case "drop":
        if (!certain) return undefined;
        return { kind: "dropped", chain: chain.name, rule, top: rule, meant: way.meant };
      case "return":
        if (certain) return "returns";
        this.perhapsNot = true;
        return undefined;
      case "unknown":
        this.perhapsNot = true;
        return undefined;
      case "map":
        return this.#map(verdict, { certain, chain, rule, way });
      case "jump":
      case "goto": {
        const next = this.table.chains.get(verdict.chain);
        if (next === undefined || way.depth >= MAX_DEPTH) {
          this.perhapsNot = true;
          return undefined;
        }
        const end = this.through(next, { depth: way.depth + 1, meant: way.meant });
        if (!certain) {
          if (end.kind === "accepted") this.perhapsNot = true;
          return undefined;
        }
        if (end.kind === "dropped") return { ...end, top: rule };
        if (end.kind === "accepted") return end;
        return verdict.kind === "goto" ? "returns" : undefined;
      }
    }
  }

  #map(
    verdict: Extract<RuleVerdict, { kind: "map" }>,
    around: {
      readonly certain: boolean;
      readonly chain: Chain;
      readonly rule: Rule;
      readonly way: { readonly depth: number; readonly meant: boolean };
    },
  ): End | "returns" | undefined {
    for (const { span, verdict: one } of verdict.entries) {
      const answer = liesIn(this.packet, { ...verdict, spans: [span] });
      if (answer === "no") continue;
      if (answer === "yes") {
        const meant = around.way.meant ||
          namesInterface(this.packet, [{ ...verdict, spans: [span], negated: false }]);
        return this.#decide(one, { ...around, way: { ...around.way, meant } });
      }
      this.#decide(one, { ...around, certain: false });
    }
    return undefined;
  }
}
