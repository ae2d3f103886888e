/** What hangs on the network here: the switch's own leg, the attached namespaces, and who looks after them. */
import { loadDropAll } from "../../../ffi/bpf.ts";
import { inNetns } from "../../../ffi/netns.ts";
import { sendFrames } from "../../../ffi/packet_socket.ts";
import {
  type AttachAdapters,
  Attachments,
  CONTAINER_INTERFACE,
  CONTAINER_INTERFACE_WEAVE,
  type ContainerStanding,
  EndpointMender,
  EngineEndpoints,
  type Exposed,
  isEndpointInterface,
  type Reconciled,
} from "../../attach/mod.ts";
import { messageOf } from "../../core/errors.ts";
import { NAME_PORT } from "../../core/name_leg.ts";
import type { Logger } from "../../core/ports.ts";
import { bridgeMac } from "../../datapath/bridge_setup.ts";
import { HostLeg } from "../../datapath/host_leg.ts";
import type { PortProgram } from "../../overlay/ports/dataplane_messages.ts";
import { TAP_NAME } from "../../overlay/ports/tap_port.ts";
import { Timers } from "../../sys/clock.ts";
import { ProcNamespaces } from "../../sys/namespaces.ts";
import { ProcSysctl } from "../../sys/sysctl.ts";
import { mendBridge } from "../host/bridge_host.ts";
import type { Config } from "../config/config.ts";
import { type AttachmentKeeper, keepAttached } from "../keep_attached.ts";
import { withoutIpv6 } from "../host/host_leg_ipv6.ts";
import { DATAPATH } from "../host/ovs_host.ts";
import { openSwitchPorts } from "../host/switch_ports.ts";
import type { Base } from "./open_base.ts";
import type { DataplaneHooks } from "./open_dataplane.ts";
import type { Host } from "./open_host.ts";
import type { NameLegPart } from "./open_name_leg.ts";
import type { State } from "./open_state.ts";

/** Attachments that are looked after. Disposing it stops that; the interfaces stay. */
export interface AttachmentsPart extends Disposable {
  readonly attachments: Attachments;
  readonly keeper: AttachmentKeeper;
  /** What the start found of earlier runs. */
  readonly restored: ReturnType<Attachments["reconcile"]>;
  /** What is told of targets that are gone for good; the part that holds their addresses sets it. */
  readonly onForgotten: { call: (target: string) => void };
  /** What is told of each later look at attachments; the part for names sets it. */
  readonly onLooked: { call: (found: Reconciled) => void };
  /** Where containers stand; the part that follows the engine sets it. */
  readonly containers: { standing: (id: string) => ContainerStanding };
  /** Interfaces that an engine puts into its containers itself. */
  readonly endpoints: EngineEndpoints;
  /** Makes such an interface again that has gone. */
  readonly mender: EndpointMender;
  /** Is told to look whether those with these host ends are still there, and from time to time whether all is as it should
   * be (`undefined`); the part that serves the engine sets it. */
  readonly onEndpoints: { call: (only: readonly string[] | undefined) => void };
}

/** Closes the switch's own leg, takes over or restores what earlier runs attached, and begins to look after it. */
export function openAttachments(
  config: Pick<Config, "compat" | "multicastRoute">,
  {
    base: { faults, logger, random },
    checkFirewall,
    exposed,
    hooks,
    host,
    mtu,
    nameLeg,
    portProgram,
    state: { identity, store },
  }: {
    readonly base: Base;
    /** Looks after this host's firewall. */
    readonly checkFirewall: () => void;
    readonly hooks: DataplaneHooks;
    readonly host: Host;
    /** MTU of containers. */
    readonly mtu: number;
    /** This host's own place in the network. */
    readonly exposed: Pick<Exposed, "addresses" | "any" | "keep">;
    /** Where containers find the name server. */
    readonly nameLeg: Pick<NameLegPart, "keep" | "listen">;
    /** What new ports are to be given at once. */
    readonly portProgram: PortProgram | undefined;
    readonly state: State;
  },
): AttachmentsPart {
  using undo = new DisposableStack();
  const { choice: { kind }, openRoute } = host;
  const sysctl = new ProcSysctl(inNetns);
  quieten(sysctl, logger);
  const timers = undo.use(new Timers(faults));
  const ports = openSwitchPorts(kind, undo, portProgram);
  const onForgotten = { call: (_target: string) => {} };
  const onLooked = { call: (_found: Reconciled) => {} };
  const onEndpoints = { call: (_only: readonly string[] | undefined) => {} };
  const containers = { standing: (_id: string): ContainerStanding => ({ kind: "unknown", name: undefined }) };
  const namespaces = new ProcNamespaces();
  const adapters: AttachAdapters = {
    ...{ store, random, ports, sysctl, openRoute, sendFrames, pid: Deno.pid },
    later: (ms, work) => timers.later("announce attachments again", ms, work),
    forgotten: (target) => onForgotten.call(target),
    log: logger,
    probe: {
      identify: (path) => namespaces.identify(path),
      own: () => namespaces.own(),
      processMark: (process) => namespaces.processMark(process),
      container: (id) => containers.standing(id),
    },
  };
  const containerInterface = config.compat === "weave" ? CONTAINER_INTERFACE_WEAVE : CONTAINER_INTERFACE;
  const attachments = undo.use(
    new Attachments(adapters, {
      ...{ mtu, interface: containerInterface, multicastRoute: config.multicastRoute },
      nameServer: nameLeg.listen !== undefined,
    }),
  );
  const restored = attachments.reconcile();
  const endpointRoute = undo.use(openRoute());
  const endpoints = undo.use(
    new EngineEndpoints({
      ...{ ports, sysctl, mtu, host: endpointRoute, log: logger },
      later: (ms, work) => timers.later("remove an interface of an engine", ms, work),
    }),
  );
  const mender = new EndpointMender(adapters, endpointRoute, { mtu, prefix: containerInterface });
  const leg = new HostLeg({ loadDropAll, log: logger });
  const bridge = { name: DATAPATH, tap: TAP_NAME, mtu, mac: bridgeMac(identity.name), leg };
  const mend = () => {
    leg.open = exposed.addresses.length > 0;
    checkFirewall();
    if (kind !== "ovs") {
      mendBridge({ ...bridge, quiet: () => quieten(sysctl, logger) }, { openRoute, logger });
    }
    nameLeg.keep();
    exposed.keep();
    endpoints.keep();
    onEndpoints.call(undefined);
  };
  const looked = (found: Reconciled) => onLooked.call(found);
  const also = () => exposed.any || endpoints.any;
  const keeper = undo.use(keepAttached(attachments, { also, before: mend, faults, looked }));
  hooks.onMended = () => {
    nameLeg.keep(); // the keeper rests while nothing is attached
    keeper.disturbed();
  };
  hooks.onDisturbed = (disturbed) => {
    if (disturbed.hostEnds.includes(NAME_PORT)) nameLeg.keep();
    const ends = disturbed.hostEnds.filter(isEndpointInterface);
    endpoints.keep(ends);
    if (ends.length > 0) onEndpoints.call(ends);
    exposed.keep(); // its interface may be one of those that lost an address
    keeper.disturbed(disturbed);
  };
  const held = undo.move();
  return {
    attachments,
    keeper,
    ...{ containers, endpoints, mender, restored, onEndpoints, onForgotten, onLooked },
    [Symbol.dispose]: () => held[Symbol.dispose](),
  };
}

/** Keeps the switch's own leg and the TAP from speaking IPv6 by themselves. */
function quieten(sysctl: ProcSysctl, logger: Logger): void {
  for (const name of [DATAPATH, TAP_NAME]) {
    const failure = withoutIpv6(sysctl, name);
    if (failure !== undefined) {
      logger.warn("this host speaks IPv6 by itself", { name, reason: messageOf(failure) });
    }
  }
}
