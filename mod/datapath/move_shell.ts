/** Moves a host from a switch of another kind, which an earlier run left, to the one that it starts with now.
 *
 *     leave: ports are shut, the other switch goes          arrive: ports are given to the new one, and opened
 *
 * A port that is shut drops what its container sends (XDP): between two switches it would reach this host's own stack. */
import { messageOf } from "../core/errors.ts";
import { NAME_PORT } from "../core/name_leg.ts";
import type { Logger, NetlinkSocket } from "../core/ports.ts";
import type { DatapathKind } from "../overlay/ports/dataplane_types.ts";
import {
  decodeDatapath,
  decodeVport,
  encodeDatapathDelete,
  encodeDatapathGet,
  encodeVportDump,
  findOvsFamilies,
} from "../wire/netlink/ovs.ts";
import { deleteLink, type Link, setLink } from "../wire/netlink/rtnetlink.ts";
import { linkOf, linksOf } from "./links_shell.ts";
import { leaveEbpf } from "./ebpf/switch_shell.ts";
import type { HostLegParts } from "./host_leg.ts";

/** What a move is made through. */
export interface MoveParts extends Pick<HostLegParts, "loadDropAll"> {
  /** An rtnetlink socket of the host's namespace; the move disposes of it. */
  readonly openRoute: () => NetlinkSocket;
  /** A Generic Netlink socket there; the move disposes of it. */
  readonly openGeneric: () => NetlinkSocket;
  /** Name of the switch, whatever its kind. */
  readonly name: string;
  /** Name of the TAP, which no switch keeps. */
  readonly tap: string;
  /** Whether a name is one that only meshnet gives to a port. */
  readonly isOwn: (name: string) => boolean;
  readonly log: Pick<Logger, "info" | "warn">;
}

/** Ports of the new switch. */
export interface NewPorts extends Disposable {
  /** Makes an interface a port. Throws what the kernel refuses. */
  add(name: string): void;
}

/** One move. Call leave() before the new switch is made, then arrive(). */
export class SwitchMove {
  readonly #parts: MoveParts;
  readonly #names: string[] = [];
  /** Those of them that are shut; others have a program of somebody else. */
  readonly #closed = new Set<string>();

  constructor(parts: MoveParts) {
    this.#parts = parts;
  }

  /** Removes the switch that has the name, if it is of another kind than `kind`. Throws what the kernel refuses. */
  leave(kind: DatapathKind): void {
    const { log, name, openRoute } = this.#parts;
    using route = openRoute();
    const switchLink = linkOf(route, name);
    const from = switchLink?.kind;
    if (switchLink === undefined || from === (kind === "ovs" ? "openvswitch" : "bridge")) return;
    if (from === "openvswitch") this.#leaveOvs(route);
    else if (from === "bridge") this.#leaveBridge(route, switchLink);
    else return; // of somebody else: whoever makes the new switch says so
    log.info("overlay/moved", { from, to: kind, ports: this.#names.length });
  }

  #leaveOvs(route: NetlinkSocket): void {
    const { name, openGeneric } = this.#parts;
    using socket = openGeneric();
    const families = findOvsFamilies(socket);
    const [reply] = families === undefined ? [] : socket.request(encodeDatapathGet(families, name));
    const datapath = reply && decodeDatapath(reply);
    if (families === undefined || !datapath?.ok) return;
    const { ifindex } = datapath.value;
    const ports = socket.request(encodeVportDump(families, ifindex)).flatMap((one) => {
      const decoded = decodeVport(one);
      return decoded.ok && decoded.value.vport.kind === "netdev" ? [decoded.value.vport.name] : [];
    });
    this.#shut(route, linksOf(route).filter((link) => ports.includes(link.name)));
    socket.request(encodeDatapathDelete(families, ifindex));
  }

  #leaveBridge(route: NetlinkSocket, bridge: Link): void {
    const links = linksOf(route);
    this.#shut(route, links.filter(({ kind, master }) => master === bridge.index && kind !== "vxlan"));
    leaveEbpf(route, bridge.name);
    route.request(deleteLink(bridge.index));
  }

  #shut(route: NetlinkSocket, ports: readonly Link[]): void {
    const { loadDropAll, log, tap } = this.#parts;
    const moving = ports.filter(({ name }) => name !== tap && name !== NAME_PORT);
    this.#names.push(...moving.map(({ name }) => name));
    try {
      using program = loadDropAll();
      let failed: unknown;
      for (const { hasProgram, index, name } of moving) {
        if (hasProgram) continue;
        try {
          route.request(setLink(index, { program: program.fd }));
          this.#closed.add(name);
        } catch (thrown) {
          failed = thrown; // it may have gone: the others are shut all the same
        }
      }
      if (failed !== undefined) throw failed;
    } catch (thrown) {
      log.warn("containers can reach this host while it moves to another switch", {
        reason: messageOf(thrown),
      });
    }
  }

  /** Gives the new switch what hung on the other one, and opens ports that are shut, those of a move that a crash ended
   * included. A port that cannot move is told, and mended with the others later. Throws only where the host's interfaces cannot
   * be listed: a port that was overlooked would stay shut. */
  arrive(openPorts: () => NewPorts): void {
    const { isOwn, log, openRoute } = this.#parts;
    if (this.#names.length > 0) {
      using ports = openPorts();
      for (const name of this.#names) {
        try {
          ports.add(name);
        } catch (thrown) {
          log.warn("overlay/port-not-moved", { interface: name, reason: messageOf(thrown) });
        }
      }
    }
    using route = openRoute();
    for (const { hasProgram, index, name } of linksOf(route)) {
      if (!hasProgram || !(isOwn(name) || this.#closed.has(name))) continue;
      try {
        route.request(setLink(index, { program: null }));
      } catch (thrown) {
        log.warn("overlay/port-not-moved", { interface: name, reason: messageOf(thrown) });
      }
    }
  }
}
