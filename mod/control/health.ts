/** Whether this host's network is as it was asked to be: one answer for scripts, made of a status. Pure. */
import { DAEMON_HANGS } from "../core/overlay_port.ts";
import { parseEndpoint, parseIp } from "../core/addr.ts";
import type { ConnectionReport, StatusReport, TargetReport } from "./api_types.ts";

/** What is not as it should be, in one line without full stop; undefined: all is well. Addresses that discovery found
 * and cannot reach are no fault: traffic takes the way by which they were found. */
export function degradation(report: StatusReport): string | undefined {
  const { connections, problems, targetStates } = report;
  const [first, ...others] = [
    ...problems.map(({ message }) => message),
    ...targetStates.filter((one) => !leadsThere(one)).filter(({ info }) => !isTold(info, report)).map(
      targetFault,
    ),
    ...(isAlone(report) ? ["the only host that was named is this host itself"] : []),
    ...connections.flatMap((one) => connectionFault(one)),
    ...lostOwners(report).map((one) => `${one} is not reached and owns addresses of the range`),
  ];
  if (first === undefined) return undefined;
  return others.length === 0 ? first : `${first} (and ${others.length} more, see \`meshnet status\`)`;
}

/** What `wait` waits for. */
export interface Wish {
  /** So many other hosts are reached. */
  readonly peers: number | undefined;
  /** These hosts are reached: targets as given, names, nicknames or addresses. */
  readonly connected: readonly string[];
}

/** Why a wish has not come true yet, in one line without full stop; undefined: it has. A wish that names neither a number of
 * hosts nor a host is that all is well. */
export function missing(report: StatusReport, { connected, peers }: Wish): string | undefined {
  if (peers === undefined && connected.length === 0) return degradation(report);
  const reached = reachedPeers(report);
  if (peers !== undefined && reached.size < peers) {
    return `${reached.size} of ${peers} other hosts are reached${because(report)}`;
  }
  const host = connected.find((one) => !peersCalled(one, report).some((peer) => reached.has(peer)));
  if (host === undefined) return undefined;
  const target = report.targetStates.find((one) => one.target === host);
  if (target?.state === "itself") return `${host} is this host itself`;
  const why = target?.info || report.connections.find((one) => isAt(one, host))?.info || "";
  return `${host} is not reached${why === "" ? "" : `: ${why}`}`;
}

/** The peers to which established connections lead, over any number of hosts. */
export function reachedPeers({ name, peers }: StatusReport): ReadonlySet<string> {
  const byName = new Map(peers.map((peer) => [peer.name, peer]));
  const reached = new Set([name]);
  for (const at of reached) { // a set grows while it is walked
    for (const { established, peer } of byName.get(at)?.connections ?? []) if (established) reached.add(peer);
  }
  reached.delete(name);
  return reached;
}

/** The peers that a person may mean by a word. */
function peersCalled(word: string, { connections, peers, targetStates }: StatusReport): readonly string[] {
  return [
    ...targetStates.filter(({ target }) => target === word).map(({ peer }) => peer),
    ...peers.filter(({ name, nickname }) => name === word || nickname === word).map(({ name }) => name),
    ...connections.filter((one) => isAt(one, word)).map(({ peer }) => peer),
  ].filter((peer) => peer !== null);
}

function isAt({ address }: ConnectionReport, word: string): boolean {
  return address === word || parseEndpoint(address)?.ip === (parseIp(word) ?? word);
}

function leadsThere({ state }: TargetReport): boolean {
  return state === "connected" || state === "satisfied" || state === "itself";
}

/** Whether a problem says this already. */
function isTold(info: string, { problems }: StatusReport): boolean {
  return info !== "" && problems.some(({ message }) => message.includes(info));
}

function targetFault({ info, target }: TargetReport): string {
  return `${target} is not connected${info === "" ? " yet" : `: ${info}`}`;
}

/** Hosts that cannot be asked for their addresses: the first host of a mesh names no others, and misses them by that. */
function lostOwners({ ipam }: StatusReport): readonly string[] {
  return (ipam?.owners ?? []).filter(({ reachable }) => !reachable).map(({ nickname, peer }) =>
    nickname || peer
  );
}

function isAlone({ connections, targetStates }: StatusReport): boolean {
  return connections.length === 0 && targetStates.length > 0 &&
    targetStates.every(({ state }) => state === "itself");
}

/** What is still to come is a fault to those who want all to be well. */
function connectionFault({ address, info, nickname, silentMs, state }: ConnectionReport): readonly string[] {
  const who = nickname === null || nickname === "" ? address : `${nickname} at ${address}`;
  if (state === "pending") return [`${who} is not reached yet: ${info}`];
  if (silentMs === null) return [];
  const silent = `${who} is silent for ${Math.round(silentMs / 1000)} s`;
  return [info === DAEMON_HANGS ? `${silent}: ${info}` : silent];
}

/** The first reason for which a target is not there. */
function because({ targetStates }: StatusReport): string {
  const one = targetStates.find((target) => !leadsThere(target) && target.info !== "");
  return one === undefined ? "" : `; ${one.target}: ${one.info}`;
}
