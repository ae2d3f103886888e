/** The composition root: chooses clocks, sockets, storage and native code, and starts every part in order. */
import { releaseMemory } from "../../ffi/memory.ts";
import { inNetns } from "../../ffi/netns.ts";
import { sendFrames } from "../../ffi/packet_socket.ts";
import { Wakeup } from "../../ffi/poll.ts";
import { interfaceIndex, notifyServiceManager } from "../../ffi/process.ts";
import { warmAead } from "../../ffi/crypto_api.ts";
import { UdpSocket } from "../../ffi/udp_socket.ts";
import {
  type AttachAdapters,
  Attachments,
  BridgePorts,
  CONTAINER_INTERFACE,
  CONTAINER_INTERFACE_WEAVE,
  isHostInterface,
  listLinks,
  OvsPorts,
} from "../attach/mod.ts";
import { startControlServer } from "../control/server.ts";
import { messageOf } from "../core/errors.ts";
import type { PeerUid } from "../core/names.ts";
import type { Logger, NetlinkSocket, Random } from "../core/ports.ts";
import { VERSION } from "../core/version.ts";
import { type Router, startRouter, storedTargets } from "../mesh/router_shell.ts";
import { SystemAlarm, SystemClock } from "../sys/clock.ts";
import { ensureFolder } from "../sys/files.ts";
import { loadIdentity, readSystemIds, storeShortId } from "../sys/identity.ts";
import { openLog } from "../sys/log_sink.ts";
import { ProcNamespaces } from "../sys/namespaces.ts";
import { SystemRandom } from "../sys/random.ts";
import { loadSealer, NO_SEALER } from "../sys/sealer.ts";
import { openStore, type SqliteStore } from "../sys/store.ts";
import { ProcSysctl } from "../sys/sysctl.ts";
import { decodeRoute, dumpRoutes, type Link } from "../wire/netlink/rtnetlink.ts";
import type { Config } from "./config.ts";
import { controlApi } from "./control_api.ts";
import { type DataplaneHandle, loadDataplane } from "./dataplane_client.ts";
import { mendBridge, warnOfFirewall } from "./bridge_host.ts";
import { keepAttached } from "./keep_attached.ts";
import { type NetlinkUse, openNetlinkIn } from "./netlink.ts";
import { DATAPATH, findOvs } from "./ovs_host.ts";
import { claimNamespace, preflight } from "./preflight.ts";
import { ipsecUse } from "./ipsec_parts.ts";
import { hasGcm } from "./sleeve_parts.ts";
import { bridgeMac } from "../datapath/bridge_setup.ts";
import { EXTENSION } from "../overlay/ports/sleeve_port.ts";
import { ESP_CIPHER, FAST_EXTENSION } from "../overlay/ports/esp_port.ts";
import { TAP_NAME } from "../overlay/ports/tap_port.ts";
import { chooseDatapath, type DatapathChoice } from "./choose_datapath.ts";
import type { Ending } from "./supervisor.ts";
import { parseTargetList, targetChanges, targetsAtStart } from "./targets.ts";
import { defaultMtu, mtuAdvice, possibleMtu } from "./underlay.ts";

/** What our overlays understand beyond the protocol. */
const EXTENSIONS: readonly string[] = [
  ...[EXTENSION.partial, EXTENSION.gcm, EXTENSION.beat],
  ...[FAST_EXTENSION.beat, FAST_EXTENSION.rekey],
];
const CONFIGURED_KEY = "daemon/configured-peers";

/** A running daemon. Disposing it stops every part in reverse order; what is in the kernel stays. */
export interface Daemon extends AsyncDisposable {
  /** The log, for what happens around it. */
  readonly logger: Logger;
  /** Tells systemd something; without systemd, nothing happens. */
  notify(state: string): void;
  /** The configuration names other peers now. */
  setPeers(peers: readonly string[]): void;
  /** Gives back memory that only starting needed. */
  releaseMemory(): void;
  /** Whether the data plane answers within this many milliseconds. */
  isAlive(withinMs: number): Promise<boolean>;
}

/** Starts everything. Throws before it changes the host when it could not work, or the reason of an abort. */
export async function assemble(
  config: Config,
  { signal, end }: { readonly signal: AbortSignal; readonly end: (how: Ending) => void },
): Promise<Daemon> {
  const clock = new SystemClock();
  const random = new SystemRandom();
  const logger = openLog({ level: config.logLevel, format: config.logFormat });
  for (const reason of config.warnings) logger.warn("odd configuration", { reason });
  const phase = (done: string) => {
    logger.debug("start", { done, ms: Math.round(clock.now()) });
    signal.throwIfAborted();
  };

  await using undo = new AsyncDisposableStack();
  const dataplane = loadDataplane({
    createWakeup: () => Wakeup.create(),
    log: logger,
    onEvent: (event) => router.overlay(event), // events answer requests, and only the router makes those
    onMended: () => disturbed(),
    onFailure: (error) => end({ kind: "broken", error }),
  });
  undo.defer(() => dataplane.stop());
  const generic = () => undo.use(openNetlinkIn({ protocol: "generic" }));
  const openRoute = (netns?: string) => openNetlinkIn(routeOptions(netns));
  let choice: DatapathChoice | undefined;
  let disturbed = () => {}; // before attachments are looked at there is nothing to mend
  await preflight({
    ...config,
    probeDatapath: () => {
      const findOvsHere = () => void findOvs(generic(), interfaceIndex);
      choice = chooseDatapath(config, { findOvs: findOvsHere, present: namesake(openRoute), tun: hasTun() });
      return { userSpace: choice.overlays.includes("sleeve") };
    },
    openUdp: () => UdpSocket.open({ host: config.host, port: config.port }),
  });
  const { kind, overlays, noFastdp, noSleeve } = choice!;
  undo.use(claimNamespace(DATAPATH));
  phase("preflight");

  ensureFolder(config.runDir);
  const store = undo.use(openStore(config.stateDir));
  const identity = await loadIdentity(store, { name: config.name, ids: readSystemIds(), random });
  if (identity.gaveUp !== undefined) {
    logger.warn("this machine is a copy of another, it got a new name", {
      peer: identity.name,
      was: identity.gaveUp,
    });
  }

  phase("state");

  if (noFastdp !== undefined) logger.info("no fast datapath", { reason: noFastdp });
  if (noSleeve !== undefined) logger.warn("no user-space path", { reason: noSleeve });
  const mtu = config.mtu ?? mtuOfUnderlay(openRoute, logger);
  const extensions = EXTENSIONS.filter((name) =>
    !config.without.includes(name) && (name !== EXTENSION.gcm || config.password !== undefined && hasGcm())
  );
  const encrypts = config.password !== undefined;
  const ipsec = await ipsecUse(encrypts && overlays.includes("fastdp"), {
    ...{ store, log: logger },
    open: () => openNetlinkIn({ protocol: "xfrm" }),
  });
  const ciphers = ipsec === "on" ? warmAead(ESP_CIPHER) : undefined;
  await dataplane.start({
    ...{ kind, name: DATAPATH, mtu, vxlanPort: config.port + 1, encrypts, ipsec },
    peer: identity.name,
    ...{ overlays, noFastdp, extensions },
    sleeve: { port: config.port, host: config.host },
  });
  undo.defer(() => dataplane.stop()); // before the store closes
  void ciphers?.then((reason) => {
    if (reason !== undefined) logger.debug("overlay/ipsec", { what: "load ciphers", reason });
    dataplane.ciphersReady();
  });
  phase("data plane");

  const sysctl = new ProcSysctl(inNetns);
  closeHostLeg(sysctl, logger);
  if (kind === "bridge") warnOfFirewall(DATAPATH, { sysctl, logger });
  const ports = kind === "bridge" ? new BridgePorts(undo.use(openRoute()), DATAPATH) : ovsPorts(generic());
  const adapters: AttachAdapters = {
    ...{ store, random, ports, sysctl, openRoute, sendFrames, pid: Deno.pid },
    later: (ms, work) => void setTimeout(work, ms),
    log: logger,
    probe: new ProcNamespaces(),
  };
  const containerInterface = config.compat === "weave" ? CONTAINER_INTERFACE_WEAVE : CONTAINER_INTERFACE;
  const attachments = undo.use(
    new Attachments(adapters, { mtu, interface: containerInterface, multicastRoute: true }),
  );
  const restored = attachments.reconcile();
  const bridge = { name: DATAPATH, tap: TAP_NAME, mtu, mac: bridgeMac(identity.name) };
  const mend = () =>
    mendBridge({ ...bridge, quiet: () => closeHostLeg(sysctl, logger) }, { openRoute, logger });
  const keeper = undo.use(keepAttached(attachments, kind === "bridge" ? mend : undefined));
  disturbed = keeper.disturbed;
  phase("attachments");

  const router = startRouter({
    name: identity.name,
    nickname: config.nickname,
    uid: newUid(random),
    shortId: identity.shortId,
    port: config.port,
    host: config.host,
    ...{ overlays, extensions },
    password: config.password,
    trusted: config.trustedSubnets,
    connLimit: config.connLimit,
    discovery: config.discovery,
    minVersion: 1,
    channels: [],
    targets: firstTargets(store, config.peers),
    sealer: config.password === undefined ? NO_SEALER : await loadSealer(),
    overlay: dataplane,
    alarm: new SystemAlarm(clock),
    onShortId: (shortId) => storeShortId(store, shortId),
    ...{ clock, random, store, logger, signal },
  });
  phase("router");

  const api = controlApi({ config, router, dataplane, attachments, clock, touched: keeper.touched, end });
  const server = await startControlServer(api, { runDir: config.runDir, logger });
  undo.defer(() => server.stopListening()); // an answer to /stop stays open until the process has ended
  phase("control socket");
  logger.info("running", {
    peer: identity.name,
    nickname: config.nickname,
    version: VERSION,
    port: config.port,
    mtu,
    adopted: restored.adopted.length,
    restored: restored.restored.length,
    ms: Math.round(clock.now()),
  });
  return daemonOf({ config, router, dataplane, store, logger, parts: undo.move() });
}

interface Assembled {
  readonly config: Config;
  readonly router: Router;
  readonly dataplane: DataplaneHandle;
  readonly store: SqliteStore;
  readonly logger: Logger;
  readonly parts: AsyncDisposableStack;
}

function daemonOf({ config, router, dataplane, store, logger, parts }: Assembled): Daemon {
  let configured = config.peers ?? [];
  const socket = Deno.env.get("NOTIFY_SOCKET");
  return {
    logger,
    notify(state) {
      if (!socket) return;
      try {
        notifyServiceManager(socket, state);
      } catch (error) {
        logger.warn("cannot tell the service manager", { reason: messageOf(error) });
      }
    },
    setPeers(peers) {
      const { connect, forget } = targetChanges(configured, peers);
      router.forget(forget);
      router.connect(connect, { replace: false });
      store.put(CONFIGURED_KEY, JSON.stringify(peers));
      configured = peers;
    },
    releaseMemory,
    async isAlive(withinMs) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), withinMs));
      const answered = dataplane.report().then(() => true, () => false);
      try {
        return await Promise.race([answered, late]);
      } finally {
        clearTimeout(timer);
      }
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

function routeOptions(netns: string | undefined): NetlinkUse {
  return netns === undefined ? { protocol: "route" } : { protocol: "route", netns };
}

function ovsPorts(socket: NetlinkSocket): OvsPorts {
  return new OvsPorts(socket, findOvs(socket, interfaceIndex), interfaceIndex(DATAPATH));
}

/** The interface that has the datapath's name now. */
function namesake(openRoute: () => NetlinkSocket): Link | undefined {
  using socket = openRoute();
  return listLinks(socket).find((link) => link.name === DATAPATH);
}

function hasTun(): boolean {
  try {
    return Deno.statSync("/dev/net/tun").isCharDevice === true;
  } catch {
    return false;
  }
}

function mtuOfUnderlay(openRoute: () => NetlinkSocket, logger: Logger): number {
  using socket = openRoute();
  const links = listLinks(socket);
  const routes = socket.request(dumpRoutes()).flatMap((reply) => {
    const route = decodeRoute(reply);
    return route.ok ? [route.value] : []; // a kind of route that we do not know is no way out
  });
  const underlay = { links, routes };
  const isOurs = (name: string) =>
    name === DATAPATH || name === TAP_NAME || isHostInterface(name) || /^vxlan-/.test(name);
  const mtu = defaultMtu(underlay, isOurs);
  const reason = mtuAdvice(mtu, possibleMtu(underlay, isOurs));
  if (reason !== undefined) logger.info("containers could have larger packets", { mtu, reason });
  return mtu;
}

/** Without this the kernel gives the host's own leg a link-local address, and containers reach the host's services; and
 * the TAP would speak for itself. */
function closeHostLeg(sysctl: ProcSysctl, logger: Logger): void {
  const keys = [DATAPATH, TAP_NAME].map((name) => `net/ipv6/conf/${name}/disable_ipv6`);
  try {
    for (const key of keys) if (sysctl.read(undefined, key) === "0") sysctl.write(undefined, key, "1");
  } catch (error) {
    logger.warn("containers can reach this host over IPv6", { reason: messageOf(error) });
  }
}

function firstTargets(store: SqliteStore, configured: readonly string[] | undefined): readonly string[] {
  const configuredBefore = parseTargetList(store.get(CONFIGURED_KEY));
  const targets = targetsAtStart({
    configured,
    configuredBefore,
    stored: storedTargets(store),
  });
  if (configured !== undefined) store.put(CONFIGURED_KEY, JSON.stringify(configured));
  return targets;
}

/** Tells this run from earlier ones of the same name: random, not 0. */
function newUid(random: Random): PeerUid {
  const uid = new DataView(random.bytes(8).buffer).getBigUint64(0);
  return (uid === 0n ? 1n : uid) as PeerUid;
}
