/** The mesh: who else there is, and whom this host dials. It ends with the daemon's signal. */
import type { PeerName, PeerUid } from "../../core/names.ts";
import type { Random } from "../../core/ports.ts";
import { type Router, type RouterOptions, startRouter, storedTargets } from "../../mesh/router_shell.ts";
import { SystemAlarm } from "../../sys/clock.ts";
import { settleName, storeShortId, takeAnotherName } from "../../sys/identity.ts";
import { loadSealer, NO_SEALER } from "../../sys/sealer.ts";
import type { SqliteStore } from "../../sys/store.ts";
import type { Config } from "../config/config.ts";
import { extensionsOfNames } from "../names/names.ts";
import { extensionsOfPaths } from "../doctor/extension.ts";
import { parseTargetList, targetChanges, targetsAtStart } from "../targets.ts";
import type { Ending } from "../ending.ts";
import type { Base } from "./open_base.ts";
import type { LoadedDataplane, RunningDataplane } from "./open_dataplane.ts";
import type { Host } from "./open_host.ts";
import type { State } from "./open_state.ts";

const CONFIGURED_KEY = "daemon/configured-peers";

/** The running mesh. */
export interface RouterPart {
  readonly router: Router;
  /** Tells this run from earlier ones of the same name. */
  readonly uid: PeerUid;
  /** What people call a host: its nickname, or its name where it has none. */
  hostName(peer: PeerName): string;
  /** The configuration names other peers now. */
  setPeers(peers: readonly string[]): void;
  /** Where a target comes from: the source of `peers`, an earlier run, or `meshnet connect`. */
  originOf(target: string): string;
}

/** Starts the mesh on what the data plane can do. */
export async function openRouter(
  config: Config,
  {
    base: { clock, faults, logger, random, signal },
    dataplane,
    end,
    host,
    running,
    state: { identity, store },
  }: {
    readonly base: Base;
    readonly dataplane: LoadedDataplane;
    readonly host: Host;
    readonly running: RunningDataplane;
    readonly state: State;
    readonly end: (how: Ending) => void;
  },
): Promise<RouterPart> {
  const uid = newUid(random);
  const namedBefore = parseTargetList(store.get(CONFIGURED_KEY));
  const router = startRouter({
    name: identity.name,
    nickname: config.nickname,
    uid,
    shortId: identity.shortId,
    port: config.port,
    host: config.host,
    overlays: host.choice.overlays,
    extensions: [...running.extensions, ...extensionsOfNames(config), ...extensionsOfPaths(config)],
    password: config.password,
    trusted: config.trustedSubnets,
    connLimit: config.connLimit,
    discovery: config.discovery,
    minVersion: 1,
    channels: [],
    ...firstTargets(store, config.peers, namedBefore),
    sealer: config.password === undefined ? NO_SEALER : await loadSealer(),
    overlay: dataplane.handle,
    alarm: new SystemAlarm(clock, faults),
    canRename: identity.canRename,
    onShortId: (shortId) => storeShortId(store, shortId),
    onSettled: () => settleName(store),
    onRename: () => {
      const peer = takeAnotherName(store, random);
      const reason = "another host announces the same name (cloned machine?)";
      logger.warn("this host takes another name", { peer, was: identity.name, reason });
      end({ kind: "renamed" });
    },
    ...{ clock, faults, random, store, logger, signal },
  });
  dataplane.hooks.onEvent = (event) => router.overlay(event);
  dataplane.hooks.onNetwork = (change) => router.networkChanged(change);
  let configured = config.peers ?? [];
  return {
    ...{ router, uid },
    hostName: (peer) => router.snapshot().peers.find(({ name }) => name === peer)?.nickname || peer,
    originOf(target) {
      if (configured.includes(target)) return config.origins["peers"]!.from;
      return config.peers === undefined && namedBefore.includes(target) ? "remembered" : "meshnet connect";
    },
    setPeers(peers) {
      router.retarget(targetChanges(configured, peers), [[CONFIGURED_KEY, JSON.stringify(peers)]]);
      configured = peers;
    },
  };
}

function firstTargets(
  store: SqliteStore,
  configured: readonly string[] | undefined,
  configuredBefore: readonly string[],
): Pick<RouterOptions, "targets" | "alongside"> {
  const targets = targetsAtStart({
    configured,
    configuredBefore,
    stored: storedTargets(store),
  });
  if (configured === undefined) return { targets };
  return { targets, alongside: [[CONFIGURED_KEY, JSON.stringify(configured)]] };
}

/** Tells this run from earlier ones of the same name: random, not 0. */
function newUid(random: Random): PeerUid {
  const uid = new DataView(random.bytes(8).buffer).getBigUint64(0);
  return (uid === 0n ? 1n : uid) as PeerUid;
}
