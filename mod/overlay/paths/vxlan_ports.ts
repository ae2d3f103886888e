/** Tunnel ports that links need: asked for until they are there. */
import type { Millis } from "../../core/time.ts";
import type { PortNo, Vport } from "../../wire/netlink/ovs_keys.ts";
import type { PortTable } from "./port_table.ts";

/** A tunnel port that could not be made is tried again after this long. */
const RETRY_MS = 5_000;
/** A bound, because each port is an interface of the kernel that stays, and the peer that we dial chooses its number. */
export const MAX_TUNNEL_PORTS = 64;

interface Wanted {
  asked: boolean;
  retryAt: number;
  reason: string | undefined;
}

/** Which tunnel ports are wanted. They are kept when nobody needs them any more: there are few, and never too many. */
export class VxlanPorts {
  readonly #wanted = new Map<number, Wanted>();

  constructor(readonly ports: PortTable) {}

  /** Wants a port from now on. */
  want(udpPort: number): void {
    if (this.#wanted.has(udpPort) || this.#wanted.size >= MAX_TUNNEL_PORTS) return;
    this.#wanted.set(udpPort, { asked: false, retryAt: 0, reason: undefined });
  }

  /** The port of a UDP port, or why there is none: a sentence without full stop. */
  find(udpPort: number): PortNo | string {
    const wanted = this.#wanted.get(udpPort);
    const port = this.ports.tunnel(udpPort);
    if (port !== undefined) return port;
    if (wanted === undefined) {
      return `this host has ${MAX_TUNNEL_PORTS} VXLAN ports already, ${udpPort} would be another: ` +
        "let peers use the same --port, and restart this router";
    }
    const { reason } = wanted;
    return (reason === undefined
      ? `the VXLAN port ${udpPort} of this host is being made`
      : `cannot open VXLAN port ${udpPort} on this host: ${reason}`);
  }

  /** The shell has answered: with the port in the table, or with a reason. */
  answered(udpPort: number, reason: string | undefined, now: Millis): void {
    const wanted = this.#wanted.get(udpPort);
    if (wanted === undefined) return;
    wanted.asked = false;
    wanted.reason = reason;
    wanted.retryAt = now + RETRY_MS;
  }

  /** UDP ports to ask for now. */
  due(now: Millis): readonly number[] {
    const due: number[] = [];
    for (const [udpPort, wanted] of this.#wanted) {
      if (wanted.asked || now < wanted.retryAt || this.ports.tunnel(udpPort) !== undefined) continue;
      wanted.asked = true;
      due.push(udpPort);
    }
    return due;
  }

  /** Earliest time at which something may be due. */
  nextWake(): number {
    let next = Infinity;
    for (const [udpPort, wanted] of this.#wanted) {
      if (!wanted.asked && this.ports.tunnel(udpPort) === undefined) next = Math.min(next, wanted.retryAt);
    }
    return next;
  }
}

/** A tunnel port that has just been made. */
export function tunnelPort(port: PortNo, udpPort: number): Vport {
  return { port, kind: "vxlan", name: `vxlan-${udpPort}`, ifindex: undefined, udpPort, upcallPids: [] };
}
