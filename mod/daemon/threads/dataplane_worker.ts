/** Entry of the data plane's worker: waits to be told how, opens the kernel's datapath and runs the loop. */
import type { LogEvent } from "../../core/log_events.ts";
import { loadDropAll } from "../../../ffi/bpf.ts";
import { inNetns } from "../../../ffi/netns.ts";
import { FrameSender } from "../../../ffi/packet_socket.ts";
import { StandingEpoll } from "../../../ffi/epoll.ts";
import { Wakeup } from "../../../ffi/poll.ts";
import { messageOf } from "../../core/errors.ts";
import { Faults } from "../../core/faults.ts";
import type { LogFields, Logger } from "../../core/ports.ts";
import type { TopologyView } from "../../core/overlay_port.ts";
import { broadcastHops, graphOfView, unicastRoutes } from "../../mesh/topology/routes.ts";
import { Dataplane, type RouteLookup } from "../../overlay/dataplane.ts";
import { ensureBridge } from "../../datapath/bridge_kernel_shell.ts";
import { bridgeMac } from "../../datapath/bridge_setup.ts";
import { BridgeGuard } from "../../datapath/bridge_guard_shell.ts";
import { BRIDGE_LIMITS, BridgeDatapath } from "../../datapath/bridge_shell.ts";
import type { Datapath } from "../../overlay/ports/datapath_port.ts";
import {
  type DataplaneConfig,
  type FromDataplane,
  type PortProgram,
  type ToDataplane,
  toPlainFailure,
} from "../../overlay/ports/dataplane_messages.ts";
import type { PeerDirectory } from "../../overlay/ports/sleeve_port.ts";
import { SwitchMove } from "../../datapath/move_shell.ts";
import { isHostInterface } from "../../attach/mod.ts";
import { TAP_NAME } from "../../overlay/ports/tap_port.ts";
import { openSwitchPorts } from "../host/switch_ports.ts";
import { leaveEbpf } from "../../datapath/ebpf/switch_shell.ts";
import { HostLeg } from "../../datapath/host_leg.ts";
import { OvsDatapath } from "../../datapath/ovs_shell.ts";
import type { Watcher } from "../../overlay/ports/watcher.ts";
import { runDataplane } from "../../overlay/worker_shell.ts";
import { TapKeeper } from "../../datapath/tap_keeper.ts";
import { SystemClock } from "../../sys/clock.ts";
import { SystemRandom } from "../../sys/random.ts";
import { ProcSysctl } from "../../sys/sysctl.ts";
import { NETWORK_NOTICES } from "../../wire/netlink/network_notice.ts";
import {
  ADDRESS_NOTICES,
  LINK_NOTICES,
  NEIGHBOUR_NOTICES,
  QDISC_NOTICES,
} from "../../wire/netlink/rtnetlink.ts";
import { PROBE_NUMBERS } from "../../wire/packet/loop_probe.ts";
import { AttachedNotices } from "./attached_notices.ts";
import { raiseFence } from "./fence.ts";
import { openFilterNotices, openLockNotices } from "./firewall_notices.ts";
import { WorkerInbox } from "./inbox.ts";
import { openIpsec } from "./ipsec_parts.ts";
import { withoutIpv6 } from "../host/host_leg_ipv6.ts";
import { openNetlinkIn } from "../host/netlink.ts";
import { NetworkNotices } from "./network_notices.ts";
import { openEbpf } from "./ebpf_parts.ts";
import { ovsAdapters } from "./ovs_adapters.ts";
import { openSleeve } from "./sleeve_parts.ts";

/** This side of the worker's channel. */
const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<ToDataplane>) => void) | null;
  postMessage(message: FromDataplane): void;
  close(): void;
};

function routesOf(view: TopologyView): RouteLookup {
  const graph = graphOfView(view);
  const unicast = unicastRoutes(graph, view.self);
  const broadcasts = new Map<number, readonly number[]>();
  return {
    nextHop: (destination) => unicast[destination] ?? -1,
    broadcastHops(source) {
      const hops = broadcasts.get(source) ?? broadcastHops(graph, view.self, source);
      broadcasts.set(source, hops);
      return hops;
    },
  };
}

function postingLogger(post: (message: FromDataplane) => void): Logger {
  const at = (level: "debug" | "info" | "warn" | "error") => (event: LogEvent, fields: LogFields = {}) =>
    post({ kind: "log", level, event, fields });
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** What moves frames, and how this host's own leg on it is opened. */
interface OpenedDatapath {
  readonly datapath: Datapath;
  readonly portProgram?: PortProgram;
  readonly setLeg: (open: boolean) => void;
}

/** Opens what moves frames. It owns what it is made of, but for `watchers`. */
async function openDatapath(
  config: DataplaneConfig,
  around: { readonly directory: PeerDirectory; readonly log: Logger; readonly mended: () => void },
  watchers: Watcher[],
): Promise<OpenedDatapath> {
  const { kind, mtu, name, overlays, peer } = config;
  const sysctl = new ProcSysctl(inNetns);
  const quiet = (name: string) => withoutIpv6(sysctl, name);
  const leg = new HostLeg({ loadDropAll, log: around.log });
  leg.open = config.legOpen;
  const opened = (datapath: Datapath, keepLeg: () => void): OpenedDatapath => ({
    datapath,
    setLeg(open) {
      leg.open = open;
      keepLeg();
    },
  });
  const made = { ...around, made: quiet };
  const sleeve = overlays.includes("sleeve") ? await openSleeve(config, made) : undefined;
  const move = new SwitchMove({
    openRoute: () => openNetlinkIn({ protocol: "route" }),
    openGeneric: () => openNetlinkIn({ protocol: "generic" }),
    ...{ isOwn: isHostInterface, loadDropAll, log: around.log, name, tap: TAP_NAME },
  });
  const arrive = (program?: PortProgram) =>
    move.arrive(() => {
      const owner = new DisposableStack();
      const ports = openSwitchPorts(kind, owner, program);
      return { add: (name) => ports.add(name), [Symbol.dispose]: () => owner.dispose() };
    });
  if (kind === "ovs") {
    move.leave(kind);
    const datapath = OvsDatapath.open(ovsAdapters(around), { name, mtu, leg, userSpace: sleeve });
    arrive();
    return opened(datapath, () => datapath.keepLeg());
  }
  if (sleeve === undefined) throw new TypeError("Cannot use a bridge without sleeve");
  const { tap, openPath } = sleeve;
  const bridge = { name, mtu, mac: bridgeMac(peer), tap: tap.name, leg, quiet };
  if (kind === "ebpf") {
    const datapath = openEbpf({
      ...{ ...around, bridge, leg, userSpace: sleeve },
      leaveOther: () => move.leave(kind),
    });
    const { name, program: { fd } } = datapath.portProgram;
    const portProgram = { fd, name };
    arrive(portProgram);
    return { ...opened(datapath, datapath.keepLeg), portProgram };
  }
  const put = () => {
    using route = openNetlinkIn({ protocol: "route" });
    return ensureBridge(route, bridge);
  };
  move.leave(kind);
  put();
  {
    using route = openNetlinkIn({ protocol: "route" });
    leaveEbpf(route, name); // what an earlier run with the other datapath left
  }
  arrive();
  const notices = openNetlinkIn({ protocol: "route", groups: [LINK_NOTICES, QDISC_NOTICES] });
  const keeper = new TapKeeper({ ...around, tap, notices, names: [name, tap.name], put });
  const random = new SystemRandom();
  const guard = new BridgeGuard({
    notices: openNetlinkIn({ protocol: "route", groups: [NEIGHBOUR_NOTICES] }),
    openRoute: () => openNetlinkIn({ protocol: "route" }),
    ...{ bridge: name, tap: tap.name, log: around.log },
    sender: new FrameSender(),
    draw: () => random.below(PROBE_NUMBERS),
  });
  guard.begin();
  watchers.push(guard);
  return opened(new BridgeDatapath(tap, openPath, keeper, guard), put);
}

function watchAttached(mtu: number, send: (message: FromDataplane) => void): Watcher {
  const groups = [LINK_NOTICES, ...ADDRESS_NOTICES];
  return new AttachedNotices({
    socket: openNetlinkIn({ protocol: "route", groups, allNamespaces: true }),
    mtu,
    tell: (disturbed) => send({ kind: "attached-disturbed", disturbed }),
    tellAddresses: (added) => send({ kind: "addresses-added", added }),
    tellAll: () => send({ kind: "mended" }),
  });
}

/** Whoever cannot be watched is looked at from time to time. */
function watchFirewall(send: (message: FromDataplane) => void, log: Logger): readonly Watcher[] {
  const tell = () => send({ kind: "firewall-changed" });
  const opened: Watcher[] = [];
  for (const open of [() => openFilterNotices(tell), () => openLockNotices(tell)]) {
    try {
      opened.push(open());
    } catch (thrown) {
      log.debug("cannot watch this host's firewall", { reason: messageOf(thrown) });
    }
  }
  return opened;
}

/** Runs until it is told to stop. All is given back when it has. */
async function run(inbox: WorkerInbox<ToDataplane>, send: (message: FromDataplane) => void): Promise<void> {
  const start = await inbox.next();
  if (start.kind !== "start") throw new TypeError(`Cannot begin with message ${start.kind}`);
  const { config } = start;
  const log = postingLogger(send);
  const clock = new SystemClock();
  const faults = new Faults({ logger: log, clock });
  using _fence = raiseFence((what, thrown) => faults.tell(`data plane: ${what}`, thrown));
  using wakeup = Wakeup.attach(start.wakeupFd);
  // Ids of flows that an earlier run left behind and that nobody knows of must not be met again.
  const random = new SystemRandom();
  const firstUfid = 1 + random.below(2 ** 40);
  const drawProbe = () => random.below(PROBE_NUMBERS);
  const limits = config.kind === "bridge" ? { ...BRIDGE_LIMITS, ...config.limits } : config.limits ?? {};
  const core = new Dataplane({ ...config, firstUfid, drawProbe, routes: routesOf, limits });
  const watchers: Watcher[] = [];
  const { datapath: opened, portProgram, setLeg } = await openDatapath(config, {
    directory: core.directory,
    log,
    mended: () => send({ kind: "mended" }),
  }, watchers);
  using datapath = opened;
  using undo = new DisposableStack();
  watchers.forEach((watcher) => undo.use(watcher));
  const xfrm = await openIpsec(config, { log, owner: undo });
  using notices = openNetlinkIn({ protocol: "route", groups: NETWORK_NOTICES });
  watchers.push(undo.use(watchAttached(config.mtu, send)));
  if (config.watchFirewall) watchers.push(...watchFirewall(send, log).map((watcher) => undo.use(watcher)));
  using waiter = new StandingEpoll([
    wakeup.fd,
    ...datapath.fds,
    notices.fd,
    ...xfrm.fds,
    ...watchers.map(({ fd }) => fd),
  ]);
  await runDataplane({
    core,
    datapath,
    portProgram,
    setLeg,
    xfrm,
    ...{ clock, faults },
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    waiter,
    watchers,
    network: new NetworkNotices(notices),
    announced: () => wakeup.take(),
    nextMessage: () => inbox.next(),
    send,
  });
}

async function main(): Promise<void> {
  const inbox = new WorkerInbox<ToDataplane>();
  const send = (message: FromDataplane) => scope.postMessage(message);
  scope.onmessage = ({ data }) => inbox.put(data);
  try {
    await run(inbox, send);
    send({ kind: "stopped" }); // not before all is given back: the main thread ends this one then
  } catch (thrown) {
    send({ kind: "failed", failure: toPlainFailure(thrown) });
  }
  scope.close();
}

void main();
