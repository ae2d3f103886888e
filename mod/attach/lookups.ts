/** What the look-ups of a container need that an engine has put into the network itself. Pure. */

/** How it stands. */
export interface PresentLookups {
  /** Whether its interface is there and up. */
  readonly up: boolean;
  /** Whether the engine has done with it. Until then it adds routes itself, and fails where one is there already. */
  readonly settled: boolean;
  /** Whether some interface of its namespace leads to the name server. */
  readonly route: boolean;
  /** Whether its interface knows the name server's Ethernet address. */
  readonly neighbour: boolean;
  /** Whether multicast leaves by some interface, or need not. */
  readonly multicast: boolean;
  /** Whether questions for the engine's own name server come to ours instead. */
  readonly redirected: boolean;
}

/** What is to be done. */
export type LookupStep = "redirect" | "neighbour" | "route" | "multicast";

/** Steps to look-ups that work; none where they do. An interface that is not up yet knows nobody. The neighbour comes before
 * the route, as the first question must ask nobody for it. */
export function planLookups(present: PresentLookups): readonly LookupStep[] {
  const steps: LookupStep[] = present.redirected ? [] : ["redirect"];
  if (!present.up) return steps;
  if (!present.neighbour) steps.push("neighbour");
  if (!present.settled) return steps;
  if (!present.route) steps.push("route");
  if (!present.multicast) steps.push("multicast");
  return steps;
}
