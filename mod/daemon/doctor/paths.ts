/** Follows the way to an address, a name or a host through the mesh, and sends a probe along it. */
import { CONTAINER_INTERFACE } from "../../attach/mod.ts";
import type { PathEnd, PathHop, PathReport, PathRequest } from "../../control/doctor_types.ts";
import { formatMac, type Ip, isIpv4, type Mac, parseCidr, parseIp, parseMac } from "../../core/addr.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { PeerName } from "../../core/names.ts";
import type { HopAnswer, HopEnd, HopQuestion } from "../../doctor/hop_messages.ts";
import { type LeftHost, mayHaveBeenAt, whatBecameOf } from "../../doctor/left_hosts.ts";
import { verdictOf } from "../../doctor/path_verdict.ts";
import { encodeArp } from "../../wire/packet/arp.ts";
import type { AddressUsers } from "../addresses/address_users.ts";
import type { PathChannel, TimedAnswer } from "./path_channel.ts";
import { attachedAs, chosenStart, namespaceOf, type Start, type StartParts, startsOf } from "./starts.ts";

/** More hosts are on no way. */
const MOST_HOPS = 16;
/** Hosts that are asked whether they have an address for which nobody answers. */
const MOST_ASKED = 32;
/** Hosts further away to which one walks for that, one after the other. */
const MOST_WALKED = 8;
/** Frames of a probe, and the milliseconds between two: the first ones have no flow yet. */
const PROBE = { frames: 4, gapMs: 60 };
/** Until flows have been counted, in milliseconds; how often is looked where nothing was: hosts may be busy, or have many. */
const COUNTED_MS = 350;
const MOST_COUNTS = 4;
/** So often everybody is asked for an address: a busy host may answer later than an attachment waits for that. */
const MOST_SURVEYS = 4;
/** Hosts that one sentence names. */
const MOST_NAMED = 3;
const SILENT = "it did not answer within 2 s";
const STRANGER = "it does not understand such questions (an older meshnet, or Weave Net)";

/** What is used. */
export interface PathParts extends StartParts {
  readonly self: PeerName;
  readonly nickname: string;
  readonly channel: Pick<PathChannel, "ask">;
  readonly look: (question: HopQuestion) => Promise<HopAnswer>;
  readonly users: Pick<AddressUsers, "all">;
  /** Other hosts of the mesh. */
  readonly peers: () => readonly { readonly name: PeerName; readonly nickname: string }[];
  /** Whether a neighbour may be asked. */
  readonly knows: (peer: PeerName) => boolean;
  /** The addresses of a name. */
  readonly lookUp: (name: string) => readonly Ip[];
  /** The interface in a namespace that has a MAC address. */
  readonly interfaceOf: (netns: string, mac: Mac) => string | undefined;
  readonly sendFrames: (netns: string, name: string, frames: readonly Uint8Array<ArrayBuffer>[]) => void;
  readonly pause: (ms: number) => Promise<void>;
  /** After how many milliseconds an address answered somebody in a namespace. */
  readonly answersAfter: (netns: string, ip: Ip) => Promise<number | undefined>;
  /** Hosts that were here, the latest first. */
  readonly left: () => readonly LeftHost[];
  /** The host that owns an address of the range. */
  readonly ownerOf: (ip: Ip) => string | undefined;
}

/** What is looked for. */
interface Aim {
  /** undefined: a host itself. */
  readonly ip: Ip | undefined;
  readonly mac: Mac | undefined;
  /** The host where it is; undefined: nobody knows. */
  readonly peer: PeerName | undefined;
  readonly end: HopEnd | null;
  readonly ms: number | null;
  /** The host is gone: what is to be said of it. */
  readonly gone?: string;
}

/** Follows the way, and says where it ends. Throws "peer/unknown" for a word that means nothing. */
export async function findPath(request: PathRequest, parts: PathParts): Promise<PathReport> {
  const starts = startsOf(request, parts);
  const found = await aimOf(request.to, parts);
  const { lack, start } = await chosenStart(starts, found.ip, { ...parts, named: request.from !== null });
  const aim = lack === undefined ? await askedOver6(found, start, parts) : found;
  const question = {
    to: aim.peer ?? null,
    from: parts.self,
    src: start?.mac ?? null,
    dst: aim.mac === undefined ? null : formatMac(aim.mac),
    ip: aim.ip ?? null,
  };
  let { complete, end, hops } = await walk(question, parts);
  const probed = request.probe && lack === undefined && await probe(start, aim, parts);
  if (probed) hops = await counted(question, hops, parts);
  const to = aim.ip === undefined ? null : endReport(aim, end);
  const first = hops[0]!;
  const cameBack = !probed || hops.length === 1 || (first.back.after ?? 0) > (first.back.before ?? 0);
  const answered = aim.ip === undefined
    ? complete && hops.at(-1)!.silent === null
    : lack !== undefined && !isIpv4(aim.ip)
    ? aim.peer !== undefined && complete // who cannot send cannot ask
    : aim.ms !== null && cameBack;
  const verdict = (aim.gone ?? verdictOf({ to, hops, answered, complete, probed })) || (lack ?? "");
  return { from: start?.end ?? null, to, ms: aim.ms, hops, reached: verdict === "", verdict };
}

/** Over IPv4 somebody has been asked already; over IPv6 the start itself asks whoever is known to have the address. */
async function askedOver6(aim: Aim, start: Start | undefined, parts: PathParts): Promise<Aim> {
  const netns = start === undefined ? undefined : namespaceOf(start, parts);
  if (aim.ip === undefined || isIpv4(aim.ip) || aim.end === null || netns === undefined) return aim;
  return { ...aim, ms: await parts.answersAfter(netns, aim.ip) ?? null };
}

/** What a word means, and who answers for it. */
async function aimOf(word: string, parts: PathParts): Promise<Aim> {
  const named = parts.peers().filter(({ name, nickname }) => name === word || nickname === word);
  if (named.length > 1) {
    throw new MeshnetError(
      "peer/unknown",
      `Cannot look for ${word}: ${named.length} hosts have this nickname`,
      {
        hint: `Give the name instead: ${named.map(({ name }) => name).join(" or ")}`,
      },
    );
  }
  if (named.length === 1) {
    return { ip: undefined, mac: undefined, peer: named[0]!.name, end: null, ms: null };
  }
  const ip = parseIp(word) ?? parts.lookUp(word)[0] ?? addressOfTarget(word, parts);
  if (ip === undefined) return unknownWord(word, parts.left());
  const [use] = await parts.users.all(ip, { times: MOST_SURVEYS });
  if (use !== undefined) {
    const peer = use.here ? parts.self : use.peer;
    return { ip, mac: use.mac, peer, end: null, ms: use.ms };
  }
  return await silentAim(ip, parts);
}

/** The first address of what is attached here and is called so: a container by its name, too. */
function addressOfTarget(word: string, { attachments, members }: PathParts): Ip | undefined {
  const found = attachedAs(word, attachments.list());
  if (found === undefined) return attachedAs(word, members())?.ips[0];
  return found?.addresses.map((text) => parseCidr(text)?.ip).find((ip) => ip !== undefined);
}

/** A host that left, if the word means one. */
function unknownWord(word: string, left: readonly LeftHost[]): Aim {
  const gone = left.find(({ name, peer }) => name === word || peer === word);
  if (gone !== undefined) {
    return { ip: undefined, mac: undefined, peer: undefined, end: null, ms: null, gone: whatBecameOf(gone) };
  }
  const maybe = mayHaveBeenAt(left);
  throw new MeshnetError("peer/unknown", `Cannot look for ${word}: it is no address, no name and no host`, {
    hint: "`meshnet dns list` shows the names, `meshnet status peers` the hosts" +
      (maybe === "" ? "" : `; names go with their host: ${maybe}`),
  });
}

/** Nobody answers: perhaps a host has it attached, and says why. */
async function silentAim(ip: Ip, parts: PathParts): Promise<Aim> {
  const question = { to: null, from: null, src: null, dst: null, ip };
  const own = await parts.look({ ...question, id: 0 });
  const mac = (end: HopEnd | null) => end?.mac == null ? undefined : parseMac(end.mac);
  const aim = (peer: PeerName, end: HopEnd) => ({ ip, mac: mac(end), peer, end, ms: null });
  if (own.end !== null) return aim(parts.self, own.end);
  const asked = parts.peers().map(({ name }) => name).filter((name) =>
    name !== parts.self && parts.knows(name)
  );
  const answers = await Promise.all(
    asked.slice(0, MOST_ASKED).map(async (peer) => ({
      peer,
      found: await parts.channel.ask(peer, question),
    })),
  );
  const one = answers.find(({ found }) => found?.answer.end != null);
  if (one !== undefined) return aim(one.peer, one.found!.answer.end!);
  const silent = answers.filter(({ found }) => found === undefined).map(({ peer }) => peer);
  // Others may not be asked before a host next to them says that they understand: so one walks there.
  const far = parts.peers().map(({ name }) => name).filter((name) =>
    name !== parts.self && !parts.knows(name)
  );
  for (const peer of far.slice(0, MOST_WALKED)) {
    const { complete, end } = await walk({ ...question, from: parts.self, to: peer }, parts);
    if (complete && end !== null) return aim(peer, end);
  }
  const none = { ip, mac: undefined, peer: undefined, end: null, ms: null };
  const left = parts.left();
  const owner = left.find(({ peer }) => peer === parts.ownerOf(ip));
  const nobody = `nobody answers for ${ip}, and no host that could be asked has it attached${
    unheard(silent, parts)
  }`;
  if (owner !== undefined) {
    return { ...none, gone: `${nobody}: it is of the addresses of ${owner.name}. ${whatBecameOf(owner)}` };
  }
  const maybe = mayHaveBeenAt(left);
  if (maybe !== "") return { ...none, gone: `${nobody}; ${maybe}` };
  return silent.length === 0 ? none : { ...none, gone: nobody };
}

/** Which hosts were asked whether they have it attached, and said nothing. */
function unheard(silent: readonly PeerName[], { peers }: PathParts): string {
  if (silent.length === 0) return "";
  const nicknames = new Map(peers().map(({ name, nickname }) => [name, nickname]));
  const some = silent.slice(0, MOST_NAMED).map((peer) => nicknames.get(peer) || peer).join(", ");
  const more = silent.length > MOST_NAMED ? ` and ${silent.length - MOST_NAMED} more` : "";
  return `; ${some}${more} did not answer within 2 s`;
}

interface Walk {
  readonly hops: readonly PathHop[];
  /** Whether the last hop is the host of the destination. */
  readonly complete: boolean;
  readonly end: HopEnd | null;
}

/** Asks this host, then the next one, and so on. */
async function walk(question: Omit<HopQuestion, "id">, parts: PathParts): Promise<Walk> {
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

/** Asks the destination alone, from the start, as traffic of a container goes: false when that cannot be. */
async function probe(start: Start | undefined, { ip, mac }: Aim, parts: PathParts): Promise<boolean> {
  const netns = start && namespaceOf(start, parts);
  if (start === undefined || netns === undefined || ip === undefined || mac === undefined) return false;
  if (!isIpv4(ip) || !isIpv4(start.ip)) return false;
  const senderMac = parseMac(start.mac)!;
  if (senderMac === mac) return false;
  const frame = encodeArp(
    { operation: "request", senderMac, senderIp: start.ip, targetMac: 0 as Mac, targetIp: ip },
    mac,
  );
  const by = start.isMember ? parts.interfaceOf(netns, senderMac) : CONTAINER_INTERFACE;
  if (by === undefined) return false;
  for (let i = 0; i < PROBE.frames; i++) {
    parts.sendFrames(netns, by, [frame]);
    await parts.pause(PROBE.gapMs);
  }
  return true;
}

/** The way once more, with what its flows have carried since. */
async function counted(
  question: Omit<HopQuestion, "id">,
  before: readonly PathHop[],
  parts: PathParts,
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

function endReport({ end, ip, mac }: Aim, found: HopEnd | null): PathEnd {
  const known = found ?? end;
  return {
    target: known?.target ?? null,
    name: known?.name ?? null,
    address: ip ?? null,
    mac: mac === undefined ? null : formatMac(mac),
    problem: known?.problem ?? null,
  };
}
