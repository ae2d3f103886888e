/** Follows the way to an address, a name or a host through the mesh, and sends a probe along it. */
import { CONTAINER_INTERFACE } from "../../attach/mod.ts";
import type { PathEnd, PathReport, PathRequest } from "../../control/doctor_types.ts";
import { formatMac, type Ip, isIpv4, type Mac, parseMac } from "../../core/addr.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { HopEnd } from "../../doctor/hop_messages.ts";
import { verdictOf } from "../../doctor/path_verdict.ts";
import { encodeArp } from "../../wire/packet/arp.ts";
import { type Aim, aimOf, type AimParts } from "./path_aim.ts";
import { counted, walk } from "./path_walk.ts";
import {
  chosenStart,
  namespaceOf,
  type Start,
  type StartParts,
  startsElsewhere,
  startsOf,
} from "./starts.ts";

/** Frames of a probe, and the milliseconds between two: the first ones have no flow yet. */
const PROBE = { frames: 4, gapMs: 60 };

/** What is used. */
export interface PathParts extends StartParts, AimParts {
  readonly nickname: string;
  /** The interface in a namespace that has a MAC address. */
  readonly interfaceOf: (netns: string, mac: Mac) => string | undefined;
  readonly sendFrames: (netns: string, name: string, frames: readonly Uint8Array<ArrayBuffer>[]) => void;
  /** After how many milliseconds an address answered somebody in a namespace. */
  readonly answersAfter: (netns: string, ip: Ip) => Promise<number | undefined>;
}

/** Follows the way, and says where it ends. Throws "peer/unknown" for a word that means nothing, and
 * "usage/bad-option" for a way from a target to itself. */
export async function findPath(request: PathRequest, parts: PathParts): Promise<PathReport> {
  const all = startsOf(request, parts);
  const found = await aimOf(request.to, parts);
  const elsewhere = startsElsewhere(all, found.ip);
  if (request.from !== null && elsewhere.length < all.length) {
    throw new MeshnetError(
      "usage/bad-option",
      `Cannot look from ${request.from} to itself: nothing lies between`,
      {
        hint: "`meshnet ps` lists what else is attached; without --from this host chooses where to begin",
      },
    );
  }
  const starts = elsewhere.length === 0 ? all : elsewhere;
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
