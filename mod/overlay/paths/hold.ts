/**
 * How long the way to a peer is kept after its link broke. A router that restarts leaves its kernel forwarding, so the
 * tunnel to it goes on working while its connection is gone; dropping the way at once would break what is not broken.
 *
 *     link broke ----------> firm (3 s) ------------------> loose (until 300 s) --------> gone
 *       |                      |                              |
 *       | orderly              | its link is back             | its link is back, or another way exists
 *       v                      v                              v
 *      gone                   gone                           gone
 */

/** For this long the old way is used even if another exists. */
export const HOLD_FIRM_MS = 3_000;
/** For this long it is used if no other exists. */
export const HOLD_MAX_MS = 300_000;
/** For this long what flows found at start say is believed without confirmation. */
export const ADOPT_GRACE_MS = 60_000;

/** What is known of a peer whose link broke, or that vanished from the mesh. */
export interface HoldFacts {
  /** Time since the link broke. */
  readonly ageMs: number;
  /** Longest time to hold: HOLD_MAX_MS, or ADOPT_GRACE_MS for conclusions from flows found at start. */
  readonly maxMs: number;
  /** Whether we had a link of our own to the peer; otherwise it was reached through others. */
  readonly direct: boolean;
  /** The next hop towards it that the mesh knows now. */
  readonly route: "direct" | "other" | "none";
}

/** `firm`: the old way before any other; `loose`: the old way if there is no other; `gone`: forget it. */
export type Hold = "firm" | "loose" | "gone";

/** The rule. */
export function holdOf(facts: HoldFacts): Hold {
  if (facts.ageMs >= facts.maxMs || facts.route === "direct") return "gone";
  if (!facts.direct) return facts.route === "none" ? "loose" : "gone";
  if (facts.ageMs < HOLD_FIRM_MS) return "firm";
  return facts.route === "none" ? "loose" : "gone";
}

/** How long after the break the rule may say something else although the mesh stays as it is. */
export function nextHoldChange(facts: HoldFacts): number {
  return facts.direct && facts.ageMs < HOLD_FIRM_MS ? HOLD_FIRM_MS : facts.maxMs;
}
