/** The ports of the datapath: local ones, to which frames are delivered, and tunnels. */
import type { PortNo, Vport } from "../../wire/netlink/ovs_keys.ts";
import type { PortReport } from "../ports/dataplane_types.ts";

/** Every port by number. */
export class PortTable {
  readonly #ports = new Map<PortNo, Vport>();
  /** Those that are part of a loop. */
  readonly #stopped = new Set<PortNo>();
  #hushed = false;
  #legOpen = false;
  #locals: readonly PortNo[] = [];
  #sleeve: PortNo | undefined;
  #names: PortNo | undefined;
  /** Grows with each change of what is asked here. */
  revision = 0;

  /** Ports to which frames for this host may be delivered, ascending: containers. The switch's own leg (`internal`) is
   * one of them only while it is open: else this host takes no part in the network itself. Stopped ones are not, and none
   * is in a hush. */
  get locals(): readonly PortNo[] {
    return this.#hushed ? [] : this.#locals;
  }

  /** Whether a port is stopped. */
  isStopped(port: PortNo): boolean {
    return this.#stopped.has(port);
  }

  /** Stops a port, or lets it take part again. */
  setStopped(port: PortNo, stopped: boolean): void {
    if (stopped) this.#stopped.add(port);
    else this.#stopped.delete(port);
    this.#index();
  }

  /** Lets the switch's own leg take part, or not. Returns the leg, if it is a port. */
  setLegOpen(open: boolean): Vport | undefined {
    this.#legOpen = open;
    this.#index();
    return [...this.#ports.values()].find(({ kind }) => kind === "internal");
  }

  /** Has no flood go to local ports, or has them go there again. */
  setHushed(hushed: boolean): void {
    this.#hushed = hushed;
  }

  /** Whether a port is local. */
  isLocal(port: PortNo): boolean {
    const kind = this.#ports.get(port)?.kind;
    return kind === "netdev" || kind === "internal" && this.#legOpen;
  }

  /** Whether a port is a vxlan port. */
  isTunnel(port: PortNo): boolean {
    return this.#ports.get(port)?.kind === "vxlan";
  }

  /** Whether a port leads to user space. */
  isSleeve(port: PortNo): boolean {
    return this.#ports.get(port)?.kind === "sleeve";
  }

  /** The port that leads to user space, if there is one. */
  get sleeve(): PortNo | undefined {
    return this.#sleeve;
  }

  /** The port of this host's name server, if there is one. */
  get names(): PortNo | undefined {
    return this.#names;
  }

  /** The port of this number, if there is one. */
  get(port: PortNo): Vport | undefined {
    return this.#ports.get(port);
  }

  /** UDP ports of all tunnel ports. */
  tunnelUdpPorts(): readonly number[] {
    const ports = [...this.#ports.values()].map((port) => port.kind === "vxlan" ? port.udpPort : undefined);
    return ports.filter((port) => port !== undefined);
  }

  /** The port that serves a VXLAN UDP port. */
  tunnel(udpPort: number): PortNo | undefined {
    for (const vport of this.#ports.values()) {
      if (vport.kind === "vxlan" && vport.udpPort === udpPort) return vport.port;
    }
    return undefined;
  }

  /** Whether the number of a port is known as that of another port. */
  isOther({ port, kind, name, udpPort }: Vport): boolean {
    const old = this.#ports.get(port);
    return old !== undefined && (old.kind !== kind || old.name !== name || old.udpPort !== udpPort);
  }

  /** Adds or replaces a port; false when it was there just so. */
  add(vport: Vport): boolean {
    const isNew = !this.#ports.has(vport.port) || this.isOther(vport);
    this.#ports.set(vport.port, vport);
    if (!isNew) return false;
    this.#index();
    return true;
  }

  /** Removes a port and returns it. */
  remove(port: PortNo): Vport | undefined {
    const old = this.#ports.get(port);
    this.#stopped.delete(port);
    if (this.#ports.delete(port)) this.#index();
    return old;
  }

  /** All ports, ascending, for reports. */
  report(): readonly PortReport[] {
    return [...this.#ports.values()]
      .sort((a, b) => a.port - b.port)
      .map(({ port, name, kind, udpPort }) => ({ port, name, kind, udpPort }));
  }

  #index(): void {
    this.revision++;
    this.#sleeve = [...this.#ports.keys()].find((port) => this.isSleeve(port));
    this.#names = [...this.#ports.values()].find(({ kind }) => kind === "names")?.port;
    this.#locals = [...this.#ports.keys()]
      .filter((port) => this.isLocal(port) && !this.#stopped.has(port))
      .sort((a, b) => a - b);
  }
}
