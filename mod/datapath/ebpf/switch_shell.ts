/** What the programs hang on: a bridge under everything, the TAP, tunnels, and the hooks of every port.
 *
 * The bridge never sees a frame while the programs are in their places. Where one is missing for a moment, it is what
 * keeps frames of containers from this host, and containers of this host together. */
import { describeErrno, ERRNO } from "../../core/errno.ts";
import { errnoOf, messageOf } from "../../core/errors.ts";
import { NAME_PORT } from "../../core/name_leg.ts";
import type { Logger, NetlinkSocket } from "../../core/ports.ts";
import * as rt from "../../wire/netlink/rtnetlink.ts";
import { type BridgeParts, ensureBridge } from "../bridge_kernel_shell.ts";
import { linkOf, linksOf } from "../links_shell.ts";
import type { Machine } from "./machine.ts";
import { type HeldProgram, isOurFilter, type Loaded, loadPrograms } from "./programs_shell.ts";

/** Largest MTU of a tunnel interface that every kernel takes. */
const TUNNEL_MTU = 65_000;
const TUNNEL_NAME = /^vxlan-[1-9][0-9]*$/;

/** What the switch is made through. */
export interface SwitchParts {
  readonly machine: Machine;
  /** An rtnetlink socket of the host's namespace; the switch disposes of it. */
  readonly route: NetlinkSocket;
  /** The bridge under everything, and how it is to be. */
  readonly bridge: BridgeParts;
  /** Whether the host's own leg takes part. */
  readonly legOpen: () => boolean;
  /** Makes room for the bridge, where another kind of switch has its name. Called when all programs are loaded. */
  readonly leaveOther: () => void;
  readonly log: Logger;
}

/** What an interface is to the switch. */
export type PortKind = "local" | "names" | "leg" | "tunnel" | "tap";

/** An interface that is a port. */
export interface SwitchPort {
  readonly ifindex: number;
  readonly name: string;
  readonly kind: PortKind;
  /** Of a tunnel. */
  readonly udpPort: number | undefined;
}

/** One switch. Bridge, tunnels, programs and maps stay when it is disposed. */
export class EbpfSwitch implements Disposable {
  readonly #parts: SwitchParts;
  readonly loaded: Loaded;
  #bridge: number;
  /** What others have put at our hooks: told once. */
  readonly #strangers = new Set<string>();

  private constructor(parts: SwitchParts, loaded: Loaded, bridge: number) {
    this.#parts = parts;
    this.loaded = loaded;
    this.#bridge = bridge;
  }

  /** Has the bridge, and the programs loaded. Throws what the kernel refuses. */
  static open(parts: SwitchParts): EbpfSwitch {
    const { bridge, leaveOther, machine, route } = parts;
    using undo = new DisposableStack();
    undo.use(route);
    const present = linkOf(route, bridge.name)?.index;
    const ofPorts = linksOf(route).filter(({ kind, master, name }) =>
      master !== undefined && master === present || kind === "vxlan" && TUNNEL_NAME.test(name)
    ).flatMap(({ index }) => filtersOf(route, index, "in"));
    const ofLeg = present === undefined ? [] : filtersOf(route, present, "out");
    const loaded = undo.use(loadPrograms(machine, [...ofPorts, ...ofLeg]));
    leaveOther();
    ensureBridge(route, bridge); // not before: a host whose kernel refuses programs is to be as it was
    const made = new EbpfSwitch(parts, loaded, linkOf(route, bridge.name)?.index ?? 0);
    undo.move();
    return made;
  }

  /** All ports, as the kernel has them. */
  ports(): readonly SwitchPort[] {
    return linksOf(this.#parts.route).flatMap((link) => this.#portOf(link) ?? []);
  }

  /** The port that an interface is; undefined: it is none, or gone. */
  port(ifindex: number): SwitchPort | undefined {
    const link = linkOf(this.#parts.route, ifindex);
    return link && this.#portOf(link);
  }

  #portOf({ index: ifindex, kind, master, name, vxlan }: rt.Link): SwitchPort | undefined {
    const { name: bridge, tap } = this.#parts.bridge;
    const port = (kind: PortKind, udpPort?: number) => ({ ifindex, name, kind, udpPort });
    if (name === bridge) return port("leg");
    // Also while somebody has taken it off the bridge: it carries frames all the same. On another one it is another's.
    const isFree = master === undefined || master === this.#bridge;
    if (isFree && kind === "vxlan" && vxlan?.external === true && TUNNEL_NAME.test(name)) {
      return port("tunnel", vxlan.port);
    }
    if (master !== this.#bridge) return undefined;
    if (name === tap) return port("tap");
    return port(name === NAME_PORT ? "names" : "local");
  }

  /** Has bridge and TAP as they are to be; says whether that changed anything, and the TAP's index. Throws what the kernel
   * refuses. */
  keepBase(): { readonly changed: boolean; readonly tap: number | undefined } {
    const { bridge, route } = this.#parts;
    const changed = this.#keepBridge();
    const [leg, tap] = [bridge.name, bridge.tap].map((name) => linkOf(route, name));
    const stopped = tap !== undefined && this.#stop(tap);
    const attached = [leg, tap].map((link) => link && this.#portOf(link))
      .map((port) => port !== undefined && this.keepHooks(port));
    return { changed: changed || stopped || attached.includes(true), tap: tap?.index };
  }

  /** Whether that changed anything. */
  #keepBridge(): boolean {
    const { bridge, route } = this.#parts;
    const changed = ensureBridge(route, bridge);
    this.#bridge = linkOf(route, bridge.name)?.index ?? 0;
    return changed;
  }

  /** Has a port as it is to be; says whether that changed anything. Throws what the kernel refuses. */
  keepPort(port: SwitchPort): boolean {
    return port.kind === "tunnel" ? this.#keepTunnel(port) : this.keepHooks(port);
  }

  /** Has a tunnel's interface on the bridge, where the kernel answers what is too large for the way, and closed there. */
  #keepTunnel(port: SwitchPort): boolean {
    const { bridge, route } = this.#parts;
    if (linkOf(route, bridge.name)?.index !== this.#bridge) this.#keepBridge();
    const link = linkOf(route, port.ifindex);
    if (link === undefined) return false;
    const isAway = link.master !== this.#bridge;
    if (isAway) route.request(rt.setLink(link.index, { master: this.#bridge }));
    const attached = this.keepHooks(port); // before it is up
    if (!link.up) {
      bridge.quiet(link.name);
      route.request(rt.setLink(link.index, { up: true }));
    }
    const now = linkOf(route, link.index);
    const stopped = now !== undefined && this.#stop(now);
    return isAway || attached || !link.up || stopped;
  }

  /** Has the bridge pass nothing to or from a port: only programs do. */
  #stop(link: rt.Link): boolean {
    if (link.isStopped !== false) return false;
    const closed = { open: false, learning: false, flooding: false, unknown: false };
    this.#parts.route.request(rt.setBridgePort(link.index, closed));
    return true;
  }

  /** Has our program at the hook of a port; says whether that changed anything. Throws what the kernel refuses. */
  keepHooks(port: SwitchPort): boolean {
    const { legOpen, log, route } = this.#parts;
    const { ifindex, kind, name } = port;
    const hook = kind === "leg" ? "out" : "in";
    const program = this.#programOf(port);
    const filters = filtersOf(route, ifindex, hook);
    const mine = filters.find((one) => one.priority === rt.FILTER_PLACE.priority && isOurFilter(one.name));
    for (const one of filters) {
      const text = `${name} ${one.kind} ${one.name ?? ""}`.trim();
      if (isOurFilter(one.name) || this.#strangers.has(text)) continue;
      this.#strangers.add(text);
      log.warn("overlay/foreign-filter", { interface: name, kind: one.kind, filter: one.name });
    }
    if (kind === "leg" && !legOpen()) {
      if (mine !== undefined) takeOff(route, ifindex, hook);
      return mine !== undefined;
    }
    if (mine?.program === program.id) return false;
    attach(route, ifindex, { hook, ...program });
    return true;
  }

  /** Takes our program off an interface that is no port any more, if it is there still: frames of it are none of ours. */
  leave({ ifindex, kind }: SwitchPort): void {
    const { route } = this.#parts;
    const hook = kind === "leg" ? "out" : "in";
    const isOurs = ({ name, priority }: rt.BpfFilter) =>
      priority === rt.FILTER_PLACE.priority && isOurFilter(name);
    if (filtersOf(route, ifindex, hook).some(isOurs)) takeOff(route, ifindex, hook);
  }

  #programOf({ kind }: SwitchPort): HeldProgram {
    const { local, tunnel, user } = this.loaded.programs;
    if (kind === "tunnel") return tunnel;
    return kind === "tap" ? user : local;
  }

  /** The tunnel interface of a UDP port, made if need be. `busy`: the UDP port is taken, perhaps only for a moment. */
  ensureTunnel(
    udpPort: number,
  ): { kind: "ready"; port: SwitchPort } | { kind: "busy" | "failed"; reason: string } {
    const name = `vxlan-${udpPort}`;
    try {
      return { kind: "ready", port: this.#makeTunnel(name, udpPort) };
    } catch (thrown) {
      const errno = errnoOf(thrown);
      if (errno === ERRNO.EADDRINUSE) {
        return { kind: "busy", reason: `UDP port ${udpPort} is in use by another program` };
      }
      const reason = errno === ERRNO.EEXIST
        ? `another VXLAN interface uses UDP port ${udpPort} or the name ${name}`
        : errno === ERRNO.EOPNOTSUPP
        ? "this kernel has no VXLAN (module vxlan)"
        : `cannot make interface ${name}: ${errno === undefined ? messageOf(thrown) : describeErrno(errno)}`;
      return { kind: "failed", reason };
    }
  }

  #makeTunnel(name: string, udpPort: number): SwitchPort {
    const { route } = this.#parts;
    const there = linkOf(route, name);
    if (there === undefined) route.request(rt.newVxlan({ name, port: udpPort, mtu: TUNNEL_MTU }));
    const link = linkOf(route, name)!;
    const port = this.#portOf(link);
    try {
      if (port?.kind !== "tunnel" || port.udpPort !== udpPort) {
        throw new TypeError(`there is another interface of that name, of kind ${link.kind}`);
      }
      this.#keepTunnel(port);
      return port;
    } catch (thrown) {
      if (there === undefined) route.request(rt.deleteLink(link.index));
      throw thrown;
    }
  }

  /** Closes what was opened; everything in the kernel stays and goes on working. */
  [Symbol.dispose](): void {
    this.loaded[Symbol.dispose]();
    this.#parts.route[Symbol.dispose]();
  }
}

/** The filters at a hook of an interface; none where it has no hooks, or is gone. */
export function filtersOf(
  route: NetlinkSocket,
  ifindex: number,
  hook: rt.FilterHook,
): readonly rt.BpfFilter[] {
  try {
    return route.request(rt.dumpFilters(ifindex, hook)).flatMap((reply) => {
      const filter = rt.decodeFilter(reply);
      return filter.ok && filter.value.handle !== 0 ? [filter.value] : [];
    });
  } catch (thrown) {
    if (isAbsence(thrown)) return [];
    throw thrown;
  }
}

/** Puts a program at a hook; the hooks are made where they are missing. */
export function attach(
  route: NetlinkSocket,
  ifindex: number,
  { hook, name, program }: HeldProgram & { readonly hook: rt.FilterHook },
): void {
  try {
    route.request(rt.newFilterHooks(ifindex));
  } catch (thrown) {
    if (errnoOf(thrown) !== ERRNO.EEXIST) throw thrown;
  }
  route.request(rt.setBpfFilter(ifindex, { ...rt.FILTER_PLACE, hook, name, fd: program.fd }));
}

function takeOff(route: NetlinkSocket, ifindex: number, hook: rt.FilterHook): void {
  try {
    route.request(rt.deleteFilter(ifindex, { ...rt.FILTER_PLACE, hook }));
  } catch (thrown) {
    if (!isAbsence(thrown)) throw thrown;
  }
}

function isAbsence(thrown: unknown): boolean {
  const errno = errnoOf(thrown);
  if (errno === ERRNO.EOPNOTSUPP) return true; // a kernel that knows no filters at all
  return errno === ERRNO.ENOENT || errno === ERRNO.EINVAL || errno === ERRNO.ENODEV;
}

/** Takes this host's programs off the ports of a bridge and removes the tunnels, as a bridge alone has none. Says whether
 * there was anything. */
export function leaveEbpf(route: NetlinkSocket, bridge: string): boolean {
  const index = linkOf(route, bridge)?.index;
  if (index === undefined) return false;
  let changed = false;
  for (const link of linksOf(route)) {
    const isTunnel = link.kind === "vxlan" && TUNNEL_NAME.test(link.name);
    if (link.index !== index && link.master !== index && !isTunnel) continue;
    const hook = link.index === index ? "out" : "in";
    if (!filtersOf(route, link.index, hook).some(({ name }) => isOurFilter(name))) continue;
    if (isTunnel) route.request(rt.deleteLink(link.index));
    else takeOff(route, link.index, hook);
    changed = true;
  }
  return changed;
}
