/** Goes along a way through the mesh: asks this host, then the next one, and so on. */
import type { PathHop } from "../../control/doctor_types.ts";
import type { PeerName } from "../../core/names.ts";
import type { HopAnswer, HopEnd, HopQuestion } from "../../doctor/hop_messages.ts";
import type { PathChannel, TimedAnswer } from "./path_channel.ts";

/** More hosts are on no way. */
const MOST_HOPS = 16;
/** Until flows have been counted, in milliseconds; how often is looked where nothing was: hosts may be busy, or have many. */
const COUNTED_MS = 350;
const MOST_COUNTS = 4;
const SILENT = "it did not answer within 2 s";
const STRANGER = "it does not understand such questions (an older meshnet, or Weave Net)";

/** What is used. */
export interface WalkParts {
  readonly self: PeerName;
  readonly channel: Pick<PathChannel, "ask">;
  readonly look: (question: HopQuestion) => Promise<HopAnswer>;
  /** Other hosts of the mesh. */
  readonly peers: () => readonly { readonly name: PeerName; readonly nickname: string }[];
  readonly pause: (ms: number) => Promise<void>;
}

/** How far one got. */
export interface Walk {
  readonly hops: readonly PathHop[];
  /** Whether the last hop is the host of the destination. */
  readonly complete: boolean;
  readonly end: HopEnd | null;
}

/** Asks this host, then the next one, and so on. */
export async function walk(question: Omit<HopQuestion, "id">, parts: WalkParts): Promise<Walk> {
  const hops: PathHop[] = [];
  const nicknames = new Map(parts.peers().map(({ name, nickname }) => [name, nickname]));
  const seen = new Set<PeerName>();
  let at: PeerName = parts.self;
  let timed: Omit<TimedAnswer, "ms" | "clockMs"> & { ms: number | null; clockMs: number | null } = {
    answer: await parts.look({ ...question, id: 0 }),
    ms: null,
    clockMs: null,
  };
  for (;;) {
    const { answer } = timed;
    hops.push(hopOf(at, timed));
    seen.add(at);
    const { next } = answer;
    if (next === null || seen.has(next) || hops.length === MOST_HOPS) {
      return { hops, complete: at === question.to, end: answer.end };
    }
    const found = answer.nextKnows ? await parts.channel.ask(next, question) : undefined;
    if (found === undefined) {
      const silent = answer.nextKnows ? SILENT : STRANGER;
      hops.push(silentHop(next, nicknames.get(next) || next, silent));
      return { hops, complete: next === question.to, end: null };
    }
    at = next;
    timed = found;
  }
}

function hopOf(
  peer: PeerName,
  { answer, clockMs, ms }: {
    readonly answer: HopAnswer;
    readonly ms: number | null;
    readonly clockMs: number | null;
  },
): PathHop {
  const { back, dropped, link, nickname, out, port, there } = answer;
  const count = (packets: number) => ({ before: packets < 0 ? null : packets, after: null });
  return {
    ...{ peer, nickname: nickname || peer, silent: null, link, port, out, dropped },
    ms: ms === null ? null : Math.round(ms * 1000) / 1000,
    clockMs: clockMs === null ? null : Math.round(clockMs),
    there: count(there),
    back: count(back),
  };
}

function silentHop(peer: PeerName, nickname: string, silent: string): PathHop {
  const none = { before: null, after: null };
  return {
    ...{ peer, nickname, silent, ms: null, clockMs: null, link: null, port: null, out: [], dropped: null },
    ...{ there: none, back: none },
  };
}

/** The way once more, with what its flows have carried since. */
export async function counted(
  question: Omit<HopQuestion, "id">,
  before: readonly PathHop[],
  parts: WalkParts,
): Promise<readonly PathHop[]> {
  for (let looks = 1;; looks++) {
    await parts.pause(COUNTED_MS);
    const hops = compared(before, (await walk(question, parts)).hops);
    if (looks === MOST_COUNTS || hops.every(hasCarried)) return hops;
  }
}

function hasCarried({ back, silent, there }: PathHop): boolean {
  return silent !== null || [there, back].every(({ after, before }) => (after ?? 0) > (before ?? 0));
}

function compared(before: readonly PathHop[], after: readonly PathHop[]): readonly PathHop[] {
  return after.map((hop) => {
    const old = before.find(({ peer }) => peer === hop.peer);
    const both = (key: "there" | "back") => ({
      before: old?.[key].before ?? null,
      after: hop[key].before,
    });
    return { ...hop, there: both("there"), back: both("back") };
  });
}
