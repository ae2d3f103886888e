/** What the control socket can have done, on top of the running parts. */
import type { Attachments } from "../attach/mod.ts";
import type { FullReport, Problem, StatusReport } from "../control/api_types.ts";
import type { ControlApi } from "../control/routes.ts";
import { SharedAnswer } from "../control/shared_answer.ts";
import { assembleStatus, type FirewallState } from "../control/status.ts";
import { MeshnetError } from "../core/errors.ts";
import type { PeerName } from "../core/names.ts";
import type { Clock } from "../core/ports.ts";
import { VERSION } from "../core/version.ts";
import type { DnsReport } from "../dns/service_types.ts";
import type { Router } from "../mesh/router_shell.ts";
import type { ConnectionSnapshot } from "../mesh/snapshot.ts";
import type { DataplaneStatus } from "../overlay/ports/dataplane_messages.ts";
import type { RangeWatch } from "./addresses/range_watch.ts";
import type { TakenAddresses } from "./addresses/taken_addresses.ts";
import type { Ipam } from "./addresses/addresses.ts";
import { ipamApi, ipamSources } from "./addresses/ipam_api.ts";
import type { Names } from "./names/names.ts";
import { namesApi, nameSources } from "./names/names_api.ts";
import type { Config, Origins } from "./config/config.ts";
import { doctorApi } from "./doctor/doctor_api.ts";
import type { PathParts } from "./doctor/paths.ts";
import type { Containers } from "./engine/containers.ts";
import type { EnginePlaces } from "./engine/engine_places.ts";
import type { MemberKeeper } from "./engine/member_keeper.ts";
import type { DataplaneHandle } from "./threads/dataplane_client.ts";
import type { Ending } from "./ending.ts";
import type { Exposing } from "./addresses/exposing.ts";
import type { History } from "./history.ts";
import { hostFacts, networkNamespace } from "./host/host_facts.ts";

/** Longest wait for the data plane, in milliseconds. */
const PATIENCE_MS = 3000;
/** How long the last words of a host that leaves for good may take, milliseconds. */
const FAREWELL_MS = 100;

/** The running parts. */
export interface ControlParts {
  /** What it was started with. */
  readonly config: Config;
  /** The mesh. */
  readonly router: Router;
  /** Where a target comes from. */
  readonly originOf: (target: string) => string;
  /** What moves frames. */
  readonly dataplane: DataplaneHandle;
  /** What hangs on the network here. */
  readonly attachments: Attachments;
  /** Attaches and detaches. */
  readonly containers: Pick<Containers, "attach" | "detach" | "problems" | "report" | "troubleOf">;
  /** This host's own addresses in the network, and why it does not have them. */
  readonly exposing: Pick<Exposing, "expose" | "hide" | "report">;
  readonly exposedProblem: () => string | undefined;
  /** Allocation of addresses; undefined where it is off. */
  readonly ipam: Ipam | undefined;
  /** Names; undefined where they are off. */
  readonly names: Names | undefined;
  /** Containers in networks of the engine's; undefined: there is no plugin for it. */
  readonly members: Pick<MemberKeeper, "connected" | "holders" | "problems"> | undefined;
  /** The same as the engine has it. */
  readonly places: Pick<EnginePlaces, "problems"> | undefined;
  /** Why these find no names. */
  readonly lookupProblem: () => Problem | undefined;
  /** Where clients of the engine are served. */
  readonly proxy: { readonly listens: readonly string[] };
  /** Ways through the mesh. */
  readonly paths: Omit<PathParts, "left" | "lookUp" | "ownerOf">;
  /** Notices addresses that two use. */
  readonly taken: Pick<TakenAddresses, "lookAtOwn" | "problems">;
  /** Tells of routes into the range. */
  readonly rangeWatch: Pick<RangeWatch, "problems"> | undefined;
  /** What this host's firewall does to the mesh, as it is now, and what was done about it. */
  readonly firewall: () => FirewallState;
  /** Whether the state folder was new although the kernel had a network of an earlier run. */
  readonly stateWasLost: boolean;
  /** What happened lately. */
  readonly history: Pick<History, "list" | "lost" | "wasCalled">;
  /** The name that this host gave up because another one had it. */
  readonly formerName: PeerName | undefined;
  /** Begins with the process. */
  readonly clock: Clock;
  /** Called after something was attached or detached. */
  touched(): void;
  /** Ends the daemon. */
  end(how: Ending): void;
}

/** The api of a running daemon. */
export function controlApi(parts: ControlParts): ControlApi {
  const { config, router, attachments, clock, names } = parts;
  const namesOf = (target: string) => names?.own.namesOf(target) ?? [];
  const status = (dataplane: DataplaneStatus, dns: DnsReport | undefined): StatusReport => {
    const mesh = router.snapshot();
    return assembleStatus({
      mesh,
      originOf: parts.originOf,
      lost: parts.history.lost(connectedPeers(mesh.connections)),
      dataplane,
      attachments: attachments.list().map((one) => ({ ...one, names: namesOf(one.target) })),
      unknownInterfaces: attachments.unknown(),
      exposed: parts.exposing.report(),
      exposedProblem: parts.exposedProblem(),
      ipam: ipamSources(parts.ipam),
      names: nameSources(names, dns, mesh.peers),
      firewall: parts.firewall(),
      engine: engineReport(parts),
      notAttached: [
        ...parts.containers.problems(),
        ...parts.members?.problems() ?? [],
        ...parts.places?.problems() ?? [],
        ...parts.taken.problems(),
        ...parts.rangeWatch?.problems() ?? [],
        ...[parts.lookupProblem()].filter((problem) => problem !== undefined),
      ],
      stateWasLost: parts.stateWasLost ? config.stateDir : undefined,
      formerName: parts.formerName,
      version: VERSION,
      pid: Deno.pid,
      uptimeMs: clock.now(),
    });
  };
  const targets = () => ({ targets: router.snapshot().targets.map((target) => target.target) });
  const dataplane = new SharedAnswer(() => askDataplane(parts.dataplane));
  /** A name server that does not answer takes nothing from the rest. */
  const nameServer = async () => await names?.service.report().catch(() => undefined);
  const found = async () => await Promise.all([dataplane.ask(), nameServer()]);
  const reports = new SharedAnswer(async () => status(...await found()));
  const changed = async <T>(result: Promise<T>): Promise<T> => {
    const done = await result;
    parts.touched();
    return done;
  };
  const peers = () => {
    const { name, nickname, peers: all } = router.snapshot();
    return [{ name, nickname }, ...all];
  };
  const namesPart = namesApi({
    names,
    attachments,
    peers,
    wasCalled: (peer) => parts.history.wasCalled(peer),
  });
  return {
    ...ipamApi({
      ...{ ipam: parts.ipam, attachments, clock, namesOf, peers },
      exposed: () => parts.exposing.report(),
      healthOf: (target) => names?.checks.healthOf(target) ?? null,
      troubleOf: (target) => parts.containers.troubleOf(target),
      members: () => parts.members?.holders() ?? [],
    }),
    ...namesPart,
    status: () => reports.ask(),
    async report(): Promise<FullReport> {
      const [dataplane, dns] = await found();
      const now = status(dataplane, dns);
      return {
        status: now,
        config: inForce(config.origins, now),
        host: hostFacts(),
        details: {
          mesh: router.snapshot(),
          routes: router.routes(),
          dataplane,
          ipam: parts.ipam?.shell.status() ?? null,
          names: names === undefined
            ? null
            : { ...names.counts, leftOut: names.directory.leftOut, server: dns ?? null },
          memory: Deno.memoryUsage(),
        },
      };
    },
    ...doctorApi({ ...parts, status: () => reports.ask(), lookUpName: namesPart.lookUpName }),
    history: () => parts.history.list(),
    daemon: () => ({ pid: Deno.pid, stateDir: config.stateDir, netns: networkNamespace() }),
    docker: () => ({ proxy: parts.proxy.listens }),
    connect({ targets: asked, replace }) {
      router.retarget({ connect: asked, replace });
      return targets();
    },
    forget({ targets: asked }) {
      refuseUnknown(asked, targets().targets);
      router.retarget({ forget: asked });
      return targets();
    },
    attach: (request, gone) => changed(parts.containers.attach(request, gone)),
    detach: (request) => changed(parts.containers.detach(request)),
    expose: (request, gone) => changed(parts.exposing.expose(request, gone)),
    hide: ({ addresses }) => changed(parts.exposing.hide(addresses)),
    stop({ forGood }) {
      if (forGood) names?.directory.remove({});
      // After the answer is on its way, and what the other hosts are told.
      setTimeout(() => parts.end({ kind: "asked", by: "control socket" }), forGood ? FAREWELL_MS : 0);
      const { connections } = router.snapshot();
      return {
        pid: Deno.pid,
        peersThroughDaemon: connections.filter(isThroughDaemon).length,
        answeredNames: names?.forContainers().address !== undefined && attachments.list().length > 0,
      };
    },
  };
}

function engineReport({ containers, members }: Pick<ControlParts, "containers" | "members">) {
  const report = containers.report();
  return report && { ...report, containers: members?.connected ?? 0 };
}

/** Each setting as it is: where nobody set one, what the daemon made of that. */
function inForce(origins: Origins, { datapath, name, nickname, targets }: StatusReport): Origins {
  const found: Origins = {
    peers: { value: targets, from: "remembered" },
    name: { value: name, from: "remembered" },
    nickname: { value: nickname, from: "host name" },
    mtu: { value: datapath.mtu, from: "underlay" },
  };
  const entries = Object.entries(origins).map(([option, set]) =>
    [option, set.value === null ? found[option] ?? set : set] as const
  );
  return Object.fromEntries(entries);
}

function connectedPeers(connections: readonly ConnectionSnapshot[]): ReadonlySet<string> {
  return new Set(connections.filter(({ link }) => link !== undefined).flatMap(({ peer }) => peer ?? []));
}

function isThroughDaemon({ state, overlay }: ConnectionSnapshot): boolean {
  return state === "established" && overlay === "sleeve";
}

function refuseUnknown(asked: readonly string[], known: readonly string[]): void {
  const stranger = asked.find((target) => !known.includes(target));
  if (stranger === undefined) return;
  throw new MeshnetError("peer/unknown", `Cannot forget ${stranger}: it is no target`, {
    hint: known.length === 0 ? "There are no targets" : `Targets are: ${known.join(", ")}`,
  });
}

async function askDataplane(dataplane: DataplaneHandle): Promise<DataplaneStatus> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() =>
      reject(
        new MeshnetError(
          "datapath/unavailable",
          `The data plane does not answer within ${PATIENCE_MS / 1000} s`,
          {
            hint: "Restart the daemon: traffic goes on meanwhile through the flows in the kernel",
          },
        ),
      ), PATIENCE_MS);
  });
  try {
    return await Promise.race([dataplane.report({ count: true }), late]);
  } finally {
    clearTimeout(timer);
  }
}
