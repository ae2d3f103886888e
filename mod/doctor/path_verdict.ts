/** Where a way through the mesh ends, and who swallowed a probe. Pure. */
import type { PathCount, PathEnd, PathHop } from "../control/doctor_types.ts";
import { type Ip, parseCidr } from "../core/addr.ts";

/** What was found out on the way. */
export interface PathFacts {
  /** Who was looked for; null: a host. */
  readonly to: PathEnd | null;
  /** This host first; the last one is where the destination is, as far as one got. */
  readonly hops: readonly PathHop[];
  /** Whether the destination answered. */
  readonly answered: boolean;
  /** Whether the last hop is the host of the destination. */
  readonly complete: boolean;
  /** Whether a probe was sent, and flows were counted before and after it. */
  readonly probed: boolean;
}

/** A sentence without full stop that says where it ends; empty: it does not. */
export function verdictOf({ answered, complete, hops, probed, to }: PathFacts): string {
  const last = hops.at(-1)!;
  const broken = hops.find(({ link }) => link !== null && link.overlay === null);
  const dropping = hops.find(({ dropped }) => dropped !== null);
  if (answered) return "";
  if (broken !== undefined) {
    return `${broken.nickname} has no working way to the next host: ${
      broken.link!.info || "no reason is known"
    }`;
  }
  if (dropping !== undefined) return `${dropping.nickname} sends such frames nowhere: ${dropping.dropped}`;
  if (to !== null && to.mac === null && to.target === null) {
    return `nobody answers for ${to.address}, and no host that could be asked has it attached`;
  }
  if (!complete) {
    return last.silent === null
      ? `${last.nickname} has no way to the host of the destination`
      : `the way is known as far as ${last.nickname}, which says nothing about itself: ${last.silent}`;
  }
  if (to === null) return `${last.nickname} does not answer: ${last.silent}`;
  return (probed ? swallowed(hops) : undefined) ?? whyEndIsSilent(to, last);
}

/** By which address a target sends to another one: `none` where it has no route. */
export type WayOut = Ip | "none";

/** Who sends, and by which addresses of this network. */
export interface Sender {
  readonly target: string;
  readonly name: string | null;
  /** With their networks, as far as these are known. */
  readonly cidrs: readonly string[];
}

/** Why a target does not reach an address, whatever the mesh does: it sends nothing there, or sends it another way.
 * Undefined: the mesh gets what it sends. */
export function lackOf({ cidrs, name, target }: Sender, to: Ip, way: WayOut): string | undefined {
  const who = name ?? target;
  if (way === "none") {
    return `${who} has no route to ${to}, as it has ${
      cidrs.join(" and ")
    }: an address of the network of ${to} gives it ` +
      `one, by \`meshnet attach CIDR ${who}\``;
  }
  if (way === to || cidrs.some((cidr) => cidr === way || parseCidr(cidr)?.ip === way)) return undefined;
  return `${who} sends what is for ${to} another way than into this network: from ${way}, which is no address of it here`;
}

/** Packets that flows carried while the probe was under way; undefined: the host does not say. */
function grown({ silent }: PathHop, { after, before }: PathCount): number | undefined {
  return silent === null ? (after ?? 0) - (before ?? 0) : undefined;
}

/** Who swallowed a probe: the first hop behind one that sent it on and that saw nothing of it. Answers come the other way
 * round. Undefined: nobody can be blamed by what was counted. */
export function swallowed(hops: readonly PathHop[]): string | undefined {
  const there = hops.map((hop) => grown(hop, hop.there));
  const back = hops.map((hop) => grown(hop, hop.back));
  for (let i = 0; i + 1 < hops.length; i++) {
    if ((there[i] ?? 0) > 0 && there[i + 1] === 0) {
      return `the probe left ${hops[i]!.nickname} and did not arrive at ${hops[i + 1]!.nickname}: ` +
        "what is between them swallowed it";
    }
  }
  for (let i = hops.length - 1; i > 0; i--) {
    if ((back[i] ?? 0) > 0 && back[i - 1] === 0) {
      return `the answer left ${hops[i]!.nickname} and did not arrive at ${hops[i - 1]!.nickname}: ` +
        "what is between them swallowed it";
    }
  }
  return undefined;
}

function whyEndIsSilent({ address, name, problem, target }: PathEnd, last: PathHop): string {
  const who = target === null ? `${address} on ${last.nickname}` : `${name ?? target} on ${last.nickname}`;
  return problem === null
    ? `${who} was asked and did not answer: it drops such questions, or lacks the address ${address}`
    : `${who} does not work: ${problem}`;
}
