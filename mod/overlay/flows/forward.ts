/** What to do with one frame (source: spec dataplane.md 2.4, 2.6 and 6.2 to 6.4; the README tells where it differs). */
import { isGroupMac, type Mac } from "../../core/addr.ts";
import { NAME_SERVER_MAC } from "../../core/name_leg.ts";
import type { ShortId } from "../../core/names.ts";
import type { Millis } from "../../core/time.ts";
import type { FlowAction, FlowKey, PortNo } from "../../wire/netlink/ovs_keys.ts";
import { type Vni, vniDestination, vniOf, vniSource } from "../../wire/packet/vxlan.ts";
import type { DropReason } from "../ports/dataplane_types.ts";
import type { MacTable } from "./mac_table.ts";
import type { Hop, Network, Path } from "../paths/network.ts";
import { isLocalPlace, localPlace, peerPlace, type Place, placePort, placeShort } from "./place.ts";
import type { PortTable } from "../paths/port_table.ts";

/** The group to which bridges talk among themselves; it never leaves the host. */
const BRIDGE_GROUP = 0x0180c2000000 as Mac;

/** What a decision is made from. */
export interface ForwardContext {
  readonly ports: PortTable;
  readonly macs: MacTable;
  readonly network: Network;
}

/** What to do, and on what that depends besides the key itself. */
export interface Decision {
  /** `flow`: the actions hold for every such frame. `once`: for this frame only. `none`: do nothing. */
  readonly verdict: "flow" | "once" | "none";
  /** The flow matches whatever the MACs are. */
  readonly wide: boolean;
  /** Outputs by port, then tunnels by short id; none drops the frame. */
  readonly actions: readonly FlowAction[];
  /** Why nothing is done with the frame. */
  readonly dropped: DropReason | undefined;
  /** Knowledge that may still come could change the verdict. */
  readonly missing: boolean;
  /** Short id of the peer whose unicast way matters, or -1. */
  readonly unicast: number;
  /** Short id of the origin whose broadcast hops matter, or -1. */
  readonly broadcast: number;
  /** Whether the list of local ports matters. */
  readonly locals: boolean;
  /** Until when the flow may stand. */
  readonly until: number;
}

const BASE: Decision = {
  verdict: "flow",
  wide: false,
  actions: [],
  dropped: undefined,
  missing: false,
  unicast: -1,
  broadcast: -1,
  locals: false,
  until: Infinity,
};

/** Nothing to do, nothing to install. */
function nothing(dropped: DropReason, missing = false): Decision {
  return { ...BASE, verdict: "none", dropped, missing };
}

/** The source must be learnt (again) from a frame before a flow may stand. */
const RELEARN: Decision = { ...BASE, verdict: "none" };
const UNLEARNT: Decision = { ...BASE, verdict: "none", missing: true };

/**
 * Decides about frames that a key matches. The source MAC must have been learnt (or refused) before; a source that is
 * not bound to where the frame came in gets no flow. Pure: the same context and time give the same answer.
 * Heartbeats (both MACs zero, from a tunnel) are the caller's to recognise.
 */
export function decide(key: FlowKey, context: ForwardContext, now: Millis): Decision {
  const id = identityOf(key);
  return id === undefined ? fromPort(key, context, now) : fromPeer(key, id, context);
}

/** From which peer and for which a key's frames are; undefined: they come in on a local port. */
export function identityOf(key: FlowKey): Vni | undefined {
  return key.tunnel?.id ?? key.sleeve?.id;
}

/** Like decide(), for a frame whose source could not be learnt because of a bound: never a flow. */
export function decideUnlearnt(key: FlowKey, context: ForwardContext): Decision {
  const { ethDst } = key;
  if (ethDst === undefined) return UNLEARNT;
  const id = identityOf(key);
  const decision = id === undefined
    ? toward(key.inPort, ethDst, context)
    : arrived(key, ethDst, context, vniSource(id));
  return { ...decision, verdict: decision.actions.length > 0 ? "once" : "none" };
}

/** The place at which to learn a frame's source MAC; undefined if the frame teaches nothing. */
export function sourcePlace(key: FlowKey, context: ForwardContext): Place | undefined {
  const { ethSrc } = key;
  return ethSrc === undefined || badSource(ethSrc) ? undefined : originOf(key, context);
}

/** The place that frames of a key come from, whatever their addresses; undefined if they teach nothing. */
export function originOf(key: FlowKey, context: ForwardContext): Place | undefined {
  const { inPort } = key;
  const id = identityOf(key);
  if (id === undefined) {
    const teaches = context.ports.isLocal(inPort) && !context.ports.isStopped(inPort);
    return teaches ? localPlace(inPort) : undefined;
  }
  const { network } = context;
  const from = vniSource(id);
  const fits = vniDestination(id) === network.self && from !== network.self && network.knows(from) &&
    refusal(key, context) === undefined;
  return fits ? peerPlace(from) : undefined;
}

/** Why frames that claim to be a peer's are not taken; undefined: they are. Those of user space have been looked at
 * there: they are of a link that works. */
function refusal({ inPort, tunnel }: FlowKey, { network, ports }: ForwardContext): DropReason | undefined {
  if (tunnel === undefined) return ports.isSleeve(inPort) ? undefined : "unknown-port";
  if (!ports.isTunnel(inPort)) return "unknown-port";
  return network.accepts(tunnel.src, tunnel.dst) ? undefined : "stranger";
}

/** The name server's address is nobody else's. */
function badSource(mac: Mac): boolean {
  return mac === 0 || isGroupMac(mac) || mac === NAME_SERVER_MAC;
}

function fromPort(key: FlowKey, context: ForwardContext, now: Millis): Decision {
  const { inPort, ethSrc, ethDst } = key;
  if (inPort === context.ports.names) return fromNames(key, context);
  if (!context.ports.isLocal(inPort)) return nothing("unknown-port");
  if (context.ports.isStopped(inPort)) return { ...BASE, wide: true, dropped: "stopped" };
  if (ethSrc === undefined || ethDst === undefined) return RELEARN;
  if (badSource(ethSrc)) return { ...BASE, dropped: "bad-source" };
  const place = context.macs.placeOf(ethSrc);
  if (place === undefined) return UNLEARNT;
  if (place !== localPlace(inPort)) {
    const until = context.macs.guardedUntil(ethSrc, now);
    return until === 0 ? RELEARN : { ...BASE, dropped: "loop-guard", until };
  }
  return toward(inPort, ethDst, context);
}

/** From this host's name server: to containers of this host, and nobody else. */
function fromNames({ ethDst, ethSrc, inPort }: FlowKey, { macs, ports }: ForwardContext): Decision {
  if (ethSrc === undefined || ethDst === undefined) return RELEARN;
  if (ethSrc !== NAME_SERVER_MAC) return { ...BASE, dropped: "bad-source" };
  const place = isGroupMac(ethDst) ? undefined : macs.placeOf(ethDst);
  if (place === undefined) return flood(outputs(ports.locals, inPort), ethDst, -1);
  if (!isLocalPlace(place)) return { ...BASE, dropped: "name-server" };
  return { ...BASE, actions: [{ kind: "output", port: placePort(place) }] };
}

/** To this host's name server, which only its containers reach. */
function toNames({ names }: PortTable): Decision {
  if (names === undefined) return { ...BASE, dropped: "name-server", locals: true };
  return { ...BASE, actions: [{ kind: "output", port: names }], locals: true };
}

/** Where a frame of this host's own goes that is meant for everybody. */
export function everybody({ network, ports }: ForwardContext): readonly FlowAction[] {
  const actions = outputs(ports.locals, undefined);
  const { self } = network;
  if (self >= 0) addHops(actions, self as ShortId, network.broadcast(self as ShortId));
  return actions;
}

/** From a local port, the source being fine. */
function toward(inPort: PortNo, ethDst: Mac, context: ForwardContext): Decision {
  const { macs, network } = context;
  if (ethDst === NAME_SERVER_MAC) return toNames(context.ports);
  if (ethDst === BRIDGE_GROUP) {
    const actions = outputs(context.ports.locals, inPort);
    return { ...BASE, actions, locals: true, dropped: actions.length === 0 ? "bridge-group" : undefined };
  }
  const place = isGroupMac(ethDst) ? undefined : macs.placeOf(ethDst);
  if (place === undefined) {
    const self = network.self;
    const actions = outputs(context.ports.locals, inPort);
    if (self >= 0) addHops(actions, self as ShortId, network.broadcast(self as ShortId));
    return flood(actions, ethDst, self);
  }
  if (isLocalPlace(place)) {
    const port = placePort(place);
    if (port === inPort) return { ...BASE, dropped: "hairpin" };
    return { ...BASE, actions: [{ kind: "output", port }] };
  }
  const peer = placeShort(place);
  const way = wayToPeer(peer, network);
  if (way === undefined) return { ...BASE, unicast: peer, dropped: "no-route", missing: true };
  return { ...BASE, unicast: peer, actions: [way] };
}

function wayToPeer(peer: ShortId, network: Network): FlowAction | undefined {
  const hop = network.unicast(peer);
  return hop && handOver(vniOf(network.self as ShortId, peer), hop.path);
}

/** How frames of this host get to a place; undefined: there is no way. */
export function wayTo(place: Place, { network, ports }: ForwardContext): FlowAction | undefined {
  if (!isLocalPlace(place)) return wayToPeer(placeShort(place), network);
  const port = placePort(place);
  return ports.isLocal(port) ? { kind: "output", port } : undefined;
}

function fromPeer(key: FlowKey, id: Vni, context: ForwardContext): Decision {
  const { network, macs } = context;
  const refused = refusal(key, context);
  if (refused !== undefined) return nothing(refused, refused === "stranger");
  const from = vniSource(id);
  const to = vniDestination(id);
  if (!network.knows(from) || !network.knows(to)) return nothing("unknown-peer", true);
  if (from === network.self) return kernelsAnswer(key, context);
  if (to !== network.self) return transit(key, id, network);
  const { ethSrc, ethDst } = key;
  if (ethSrc === undefined || ethDst === undefined) return RELEARN;
  if (badSource(ethSrc)) return { ...BASE, dropped: "bad-source" };
  const place = macs.placeOf(ethSrc);
  if (place !== peerPlace(from)) return place === undefined ? UNLEARNT : RELEARN;
  return arrived(key, ethDst, context, from);
}

/** Frames under our own identity come from nobody but the kernel itself: it answers one of ours that is too big for the way
 * to the peer, as if it came from there. Only somebody here can be meant. */
function kernelsAnswer({ ethDst, tunnel }: FlowKey, { macs }: ForwardContext): Decision {
  const place = tunnel === undefined || ethDst === undefined ? undefined : macs.placeOf(ethDst);
  if (place === undefined || !isLocalPlace(place)) return nothing("own-source");
  return { ...BASE, verdict: "once", actions: [{ kind: "output", port: placePort(place) }] };
}

/** On its way to somebody else: relayed under the same identity, whatever the frame is. */
function transit(key: FlowKey, id: Vni, network: Network): Decision {
  const to = vniDestination(id);
  const hop = network.unicast(to);
  const base = { ...BASE, wide: true, unicast: to };
  if (hop === undefined) return { ...base, dropped: "no-route", missing: true };
  if (leadsBack(hop.path, key)) return { ...base, dropped: "hairpin", missing: true };
  return { ...base, actions: [handOver(id, hop.path)] };
}

/** From a peer, meant for us. */
function arrived(key: FlowKey, ethDst: Mac, context: ForwardContext, from: ShortId): Decision {
  const { macs, network, ports } = context;
  if (ethDst === NAME_SERVER_MAC) return { ...BASE, dropped: "name-server" };
  const place = isGroupMac(ethDst) ? undefined : macs.placeOf(ethDst);
  if (place !== undefined && isLocalPlace(place)) {
    return { ...BASE, actions: [{ kind: "output", port: placePort(place) }] };
  }
  // A flood by a peer that does not know where the destination is. If we do, our own ports need not see it. That it is at
  // that very peer we know wrongly: a loop there has shown it.
  const anywhere = place === undefined || place === peerPlace(from);
  const actions = anywhere ? outputs(ports.locals, undefined) : [];
  addHops(actions, from, network.broadcast(from), key);
  return flood(actions, ethDst, from);
}

/** Floods stand as flows for group addresses only: an unknown one may be learnt any moment. */
function flood(actions: readonly FlowAction[], ethDst: Mac, origin: number): Decision {
  const dropped = actions.length === 0 ? "nobody" : undefined;
  const verdict = isGroupMac(ethDst) ? "flow" : dropped === undefined ? "once" : "none";
  return { ...BASE, verdict, actions, dropped, broadcast: origin, locals: true, missing: verdict !== "flow" };
}

function outputs(ports: readonly PortNo[], except: PortNo | undefined): FlowAction[] {
  const actions: FlowAction[] = [];
  for (const port of ports) if (port !== except) actions.push({ kind: "output", port });
  return actions;
}

/** Copies for onward hops, each addressed to that hop; never back to where the frame came from. */
function addHops(
  actions: FlowAction[],
  origin: ShortId,
  hops: readonly Hop[],
  cameBy?: FlowKey,
): void {
  for (const { path, short } of hops) {
    if (cameBy === undefined || !leadsBack(path, cameBy)) actions.push(handOver(vniOf(origin, short), path));
  }
}

/** Whether a way leads to the neighbour that a key's frames come from. */
function leadsBack(path: Path, { sleeve, tunnel }: FlowKey): boolean {
  return path.kind === "sleeve" ? path.link === sleeve?.link : path.remote === tunnel?.src;
}

/** Sends a frame, named by the peers it goes from and to, to a neighbour. */
function handOver(id: Vni, path: Path): FlowAction {
  const { kind, port } = path;
  return kind === "sleeve"
    ? { kind, port, sleeve: { link: path.link, id } }
    : { kind, port, tunnel: { id, src: path.local, dst: path.remote } };
}

/** Whether two lists of actions are the same. */
export function sameActions(a: readonly FlowAction[], b: readonly FlowAction[]): boolean {
  return a.length === b.length && a.every((action, i) => sameAction(action, b[i]!));
}

function sameAction(a: FlowAction, b: FlowAction): boolean {
  if (a.port !== b.port) return false;
  if (a.kind === "output" || b.kind === "output") return a.kind === b.kind;
  if (a.kind === "sleeve") {
    return b.kind === "sleeve" && a.sleeve.link === b.sleeve.link && a.sleeve.id === b.sleeve.id;
  }
  if (b.kind === "sleeve" || a.df !== b.df) return false;
  return a.tunnel.id === b.tunnel.id && a.tunnel.src === b.tunnel.src && a.tunnel.dst === b.tunnel.dst;
}

/** Actions in the order in which decide() writes them. */
export function orderedActions(actions: readonly FlowAction[]): readonly FlowAction[] {
  const rank = (action: FlowAction) => {
    if (action.kind === "output") return action.port;
    return 0x1_0000 + vniDestination(action.kind === "sleeve" ? action.sleeve.id : action.tunnel.id);
  };
  return [...actions].sort((a, b) => rank(a) - rank(b));
}
