/** Assembles the answer of `GET /status`. Pure: what it is told is what it says. */
import { assertNever } from "../core/brand.ts";
import type { ConnectionSnapshot, MeshSnapshot, TargetSnapshot } from "../mesh/snapshot.ts";
import type { DataplaneStatus } from "../overlay/ports/dataplane_messages.ts";
import type { DataplaneReport, LinkReport } from "../overlay/ports/dataplane_types.ts";
import { ipamReport, type IpamSources, problemsOfIpam } from "./address_report.ts";
import type { LostReport } from "./history_types.ts";
import type { NamesReport } from "./name_types.ts";
import type { ExposedReport } from "./address_types.ts";
import { TrafficReports } from "./traffic_report.ts";
import { NOT_TAKEN, TOO_LARGE_HERE } from "../overlay/ports/sleeve_port.ts";
import type {
  AttachmentReport,
  ConnectionReport,
  EngineReport,
  FirewallStatus,
  Problem,
  StatusReport,
  TargetReport,
} from "./api_types.ts";

/** What was done about this host's firewall, and what it drops nevertheless. */
export interface FirewallState extends FirewallStatus {
  /** What it drops. */
  readonly problems: readonly Problem[];
}

/** Names, and what is wrong with them. */
export interface NamesSources {
  /** For people and scripts. */
  readonly report: NamesReport;
  /** What is wrong. */
  readonly problems: readonly Problem[];
}

/** What a status is made of. */
export interface StatusSources {
  /** Connections and peers. */
  readonly mesh: MeshSnapshot;
  /** Peers that were here lately. */
  readonly lost: readonly LostReport[];
  /** Where a target comes from. */
  readonly originOf: (target: string) => string;
  /** Ports and flows. */
  readonly dataplane: DataplaneStatus;
  /** What hangs on the network here. */
  readonly attachments: readonly AttachmentReport[];
  /** Host ends of attachments that no record knows. */
  readonly unknownInterfaces: readonly string[];
  /** The container engine; null where none is worked with. */
  readonly engine: EngineReport | null;
  /** Containers that should be attached by their labels, and are not. */
  readonly notAttached: readonly Problem[];
  /** This host's own addresses in the network. */
  readonly exposed: readonly ExposedReport[];
  /** Why it does not have them, if so: a sentence without full stop. */
  readonly exposedProblem: string | undefined;
  /** Allocation of addresses; undefined where it is off. */
  readonly ipam: IpamSources | undefined;
  /** Names; undefined where they are off. */
  readonly names: NamesSources | undefined;
  /** What this host's firewall does to the mesh. */
  readonly firewall: FirewallState;
  /** The state folder, if it was new at this start although the kernel had a network of an earlier run. */
  readonly stateWasLost: string | undefined;
  /** Version of this program. */
  readonly version: string;
  /** Process id of this program. */
  readonly pid: number;
  /** Milliseconds since it began. */
  readonly uptimeMs: number;
  /** The name that this host gave up because another one had it. */
  readonly formerName: string | undefined;
}

/** The state of everything. */
export function assembleStatus(sources: StatusSources): StatusReport {
  const { mesh, dataplane, attachments, firewall, version, pid, uptimeMs } = sources;
  const { datapath, kernel } = dataplane;
  // What people asked for, by the address it led to.
  const wanted = new Map(
    mesh.targets.flatMap(({ target, address }) => [[address, target], [target, target]]),
  );
  // To the data plane a bridge is one port, whatever hangs on it.
  const behindBridge = datapath.kind === "bridge" ? attachments.filter(({ attached }) => attached).length : 0;
  const links = new Map(dataplane.links.map((link) => [link.link, link]));
  const traffic = new TrafficReports(dataplane.traffic);
  const connections = mesh.connections.map((one) =>
    connectionReport(one, {
      traffic,
      wanted: wanted.has(one.address),
      link: one.link === undefined ? undefined : links.get(one.link),
    })
  ).map((one, _, all) => sinceItWasLost(one, { all, lost: sources.lost }));
  const causes = causesOnce(connections, { wanted, ipam: sources.ipam });
  return {
    name: mesh.name,
    nickname: mesh.nickname,
    formerName: sources.formerName ?? null,
    version,
    uid: mesh.uid,
    pid,
    uptimeMs: Math.round(uptimeMs),
    protocol: { name: "weave", ...mesh.protocol },
    port: mesh.port,
    encryption: mesh.encryption,
    peerDiscovery: mesh.peerDiscovery,
    trustedSubnets: mesh.trustedSubnets,
    targets: mesh.targets.map((target) => target.target),
    targetStates: mesh.targets.map((one) => targetReport(one, sources.originOf(one.target))),
    connections,
    lost: sources.lost,
    refused: mesh.refused.map(({ agoMs, count, ip, nickname, peer, reason }) => ({
      ...{ address: ip, peer: peer ?? null, nickname: nickname ?? null, reason, count },
      agoMs: Math.round(agoMs),
    })),
    peers: mesh.peers.map((peer) => ({
      ...peer,
      shortId: peer.shortId ?? null,
      version: Number(peer.version),
      traffic: traffic.of(peer.name),
    })),
    datapath: {
      kind: datapath.kind,
      mtu: datapath.mtu,
      noFastdp: datapath.noFastdp ?? null,
      ports: datapath.ports.length + behindBridge,
      flows: datapath.flows,
      tooLarge: kernel.sleeve?.dropped[TOO_LARGE_HERE] ?? 0,
      overruns: NOT_TAKEN.reduce((sum, why) => sum + (kernel.sleeve?.dropped[why] ?? 0), kernel.lost),
    },
    firewall: {
      mode: firewall.mode,
      rules: firewall.rules,
      undone: firewall.undone,
      undoneAgoMs: firewall.undoneAgoMs,
    },
    engine: sources.engine,
    attachments,
    exposed: sources.exposed,
    ipam: sources.ipam === undefined ? null : ipamReport(sources.ipam),
    dns: sources.names?.report ?? null,
    problems: [
      ...problemOfTunnels(dataplane, mesh.port + 1),
      ...causes.connections,
      ...problemOfMtus(connections, datapath.mtu),
      ...attachments.flatMap(problemOfAttachment),
      ...sources.notAttached,
      ...problemOfExposed(sources.exposedProblem),
      ...causes.ipam,
      ...(sources.names?.problems ?? []),
      ...firewall.problems,
      ...[...datapath.stopped, ...kernel.stopped ?? []].map((name) => problemOfLoop(name, attachments)),
      ...problemOfLostState(sources.stateWasLost),
      ...problemOfUnknown(sources.unknownInterfaces),
    ],
  };
}

/** What is wrong with connections and with addresses. A connection that ended because of what the other host said of
 * addresses is one problem, not two; where this host hands out none for that reason, the cause alone is told. */
function causesOnce(
  reports: readonly ConnectionReport[],
  { ipam, wanted }: {
    readonly wanted: ReadonlyMap<string | undefined, string>;
    readonly ipam: IpamSources | undefined;
  },
): { readonly connections: readonly Problem[]; readonly ipam: readonly Problem[] } {
  const refused = isMended(ipam?.refused, reports) ? undefined : ipam?.refused;
  const connections = reports.flatMap((one) => problemOfConnection(one, wanted.get(one.address)));
  if (ipam === undefined || refused === undefined) {
    return { connections, ipam: ipam === undefined ? [] : problemsOfIpam({ ...ipam, refused }) };
  }
  const others = connections.filter(({ message }) => !message.includes(refused));
  const isTold = ipam.status.trouble !== undefined || others.length < connections.length;
  return {
    connections: ipam.status.trouble === undefined ? connections : others,
    ipam: problemsOfIpam(isTold ? { ...ipam, refused: undefined } : ipam),
  };
}

/** Whether the hosts whose owners of addresses did not fit are connected now: as long as they do not fit, no connection holds. */
function isMended(refused: string | undefined, reports: readonly ConnectionReport[]): boolean {
  const [, received] = /\breceived: \[([^\]]*)\]/.exec(refused ?? "") ?? [];
  const peers = [...(received ?? "").matchAll(/\(((?:[0-9a-f]{2}:){5}[0-9a-f]{2})\)/g)].map(([, peer]) =>
    peer!
  );
  return peers.length > 0 &&
    peers.every((peer) => reports.some((one) => one.peer === peer && one.state === "established"));
}

function connectionReport(
  one: ConnectionSnapshot,
  { link, traffic, wanted }: {
    readonly wanted: boolean;
    readonly link: LinkReport | undefined;
    readonly traffic: TrafficReports;
  },
): ConnectionReport {
  const whole = (ms: number | undefined) => ms === undefined ? null : Math.round(ms);
  return {
    peer: one.peer ?? null,
    nickname: one.nickname ?? null,
    address: one.address,
    outbound: one.outbound,
    wanted,
    state: one.state,
    info: plainReason(one.info),
    overlay: one.overlay ?? null,
    mtu: one.mtu ?? null,
    peerMtu: link?.peerMtu ?? null,
    encrypted: one.encrypted,
    rttMs: one.rttMs === undefined ? null : Math.round(one.rttMs * 1000) / 1000,
    rttAgeMs: whole(link?.rttAgeMs),
    silentMs: whole(link?.silentMs),
    traffic: traffic.of(one.peer),
    retryInMs: one.retryInMs ?? null,
  };
}

/** What another host sent that does not fit says enough by itself; how it came does not matter to people. */
export function plainReason(info: string): string {
  const reason = /Cannot take \w+ on channel "[^"]*": (.*)$/s.exec(info)?.[1];
  return reason ?? info;
}

/** A second connection is refused while the first one stands. Once that is lost, why it was lost is the reason. */
function sinceItWasLost(
  one: ConnectionReport,
  { all, lost }: {
    readonly all: readonly ConnectionReport[];
    readonly lost: StatusSources["lost"];
  },
): ConnectionReport {
  const name = /^already connected to (\S+)$/.exec(one.info)?.[1];
  if (name === undefined || all.some(({ peer, state }) => peer === name && state === "established")) {
    return one;
  }
  const reason = lost.find(({ peer }) => peer === name)?.reason;
  return { ...one, info: reason ? `the connection was lost: ${reason}` : "the connection was lost" };
}

function targetReport(one: TargetSnapshot, from: string): TargetReport {
  return {
    target: one.target,
    from,
    state: one.state,
    info: plainReason(one.info),
    address: one.address ?? null,
    peer: one.peer ?? null,
    retryInMs: one.retryInMs ?? null,
  };
}

/** Without a tunnel port no tunnel works, whatever the connections say. */
function problemOfTunnels({ datapath }: DataplaneReport, udpPort: number): Problem[] {
  if (!datapath.tunnels) return [];
  if (datapath.ports.some((port) => port.kind === "vxlan" && port.udpPort === udpPort)) return [];
  return [{
    message:
      `No tunnel port: UDP port ${udpPort} cannot be used on this host, so no traffic goes through tunnels of the kernel`,
    hint:
      `Another program or VXLAN interface has it: see the log, \`ss -lunp 'sport = :${udpPort}'\` and \`ip link show ` +
      "type vxlan`; it is tried again until it works",
  }];
}

/** What discovery found and cannot reach is no problem: traffic takes the way by which it was found. */
function problemOfConnection(one: ConnectionReport, target: string | undefined): Problem[] {
  if (target === undefined) return [];
  switch (one.state) {
    case "established":
    case "pending":
    case "connecting":
      return []; // on the way, or well; what is to be said of it is its info
    case "failed":
    case "retrying": {
      const never = one.state === "failed" && one.retryInMs === null;
      const why = one.info === "" ? "no reason is known" : one.info;
      return [{
        message: `No connection to ${target}: ${why}`,
        hint: never
          ? `It is not tried again by itself; after mending it run: meshnet connect ${target}`
          : null,
      }];
    }
    default:
      return assertNever(one.state);
  }
}

/** Containers of one network must have one MTU: nobody tells a sender that its packet is too big for a receiver elsewhere. */
function problemOfMtus(connections: readonly ConnectionReport[], mtu: number): Problem[] {
  const others = new Map<string, number>();
  for (const { nickname, peer, peerMtu, state } of connections) {
    if (state !== "established" || peerMtu === null || peerMtu === mtu) continue;
    others.set(nickname === null || nickname === "" ? peer ?? "?" : nickname, peerMtu);
  }
  if (others.size === 0) return [];
  const some = [...others].slice(0, MAX_NAMES).map(([name, its]) => `${its} on ${name}`).join(", ");
  const more = others.size > MAX_NAMES ? ` and other values on ${others.size - MAX_NAMES} more` : "";
  const least = Math.min(mtu, ...others.values());
  const where = least === mtu ? "the others" : "this host";
  return [{
    message:
      `Containers have MTU ${mtu} on this host, ${some}${more}: large packets between them may be lost`,
    hint: `All hosts need one MTU: start ${where} with --mtu ${least} (with Weave Net: WEAVE_MTU=${least})`,
  }];
}

/** A port that is stopped for the sake of all others. */
function problemOfLoop(hostInterface: string, attachments: readonly AttachmentReport[]): Problem {
  const target = attachments.find((one) => one.hostInterface === hostInterface)?.target ?? hostInterface;
  return {
    message: `${target} is stopped: it is part of a loop, what is sent to it comes back another way`,
    hint: "Two interfaces of the network are bridged together, in a container or outside: end that; " +
      "it goes on by itself some seconds later",
  };
}

function problemOfAttachment(one: AttachmentReport): Problem[] {
  if (one.problem === null) return [];
  return [{
    message: `${one.target} is not attached: ${one.problem}`,
    hint: "The daemon puts it right by itself as soon as that is possible: it looks every minute; " +
      `\`meshnet detach ${one.target}\` gives it up`,
  }];
}

function problemOfExposed(reason: string | undefined): Problem[] {
  if (reason === undefined) return [];
  return [{
    message: `This host does not have its addresses in the network: ${reason}`,
    hint: "It is tried again every minute; `meshnet hide` gives them up",
  }];
}

function problemOfLostState(stateDir: string | undefined): Problem[] {
  if (stateDir === undefined) return [];
  return [{
    message:
      `The state folder ${stateDir} was new at this start, but this host had a network of an earlier run: ` +
      "what that run remembered is not known",
    hint:
      "If the folder was lost, restore it and start the daemon again. If it was meant to be new, this is said no " +
      "more after the next start",
  }];
}

/** Interfaces or hosts that are named in a problem. */
const MAX_NAMES = 4;

function problemOfUnknown(names: readonly string[]): Problem[] {
  if (names.length === 0) return [];
  const some = names.slice(0, MAX_NAMES).join(", ");
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : "";
  return [{
    message: `No record knows ${some}${more}: attachments of an earlier run, which nobody looks after`,
    hint: `\`meshnet attach ADDRESS TARGET\` takes over the interface of that target; \`ip link del ${
      names[0]
    }\` removes it`,
  }];
}
