/** Requests to the kernel's Open vSwitch: finding it, making the datapath, its ports, its flows. */
import { describeErrno, ERRNO } from "../core/errno.ts";
import { errnoOf, type ErrorCode, MeshnetError } from "../core/errors.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import type { Decoded } from "../core/brand.ts";
import * as ovs from "../wire/netlink/ovs.ts";
import { findFamily } from "../wire/netlink/genetlink.ts";
import { encodeMeterSet, type Meter, METER_FAMILY } from "../wire/netlink/ovs_meter.ts";
import { decodeFlow, encodeFlowDump } from "../wire/netlink/ovs_flow.ts";
import type { FlowRecord, PortNo, Vport } from "../wire/netlink/ovs_keys.ts";
import { decodeLink, getLink, type Link, setLink } from "../wire/netlink/rtnetlink.ts";
import type { OvsAdapters } from "../overlay/ports/datapath_port.ts";
import type { HostLeg } from "./host_leg.ts";
import { type OvsChange, type OvsPresent, type OvsWanted, planOvs, wantedDispatch } from "./ovs_setup.ts";

/** The largest MTU that a TAP takes: the kernel does not look at a super-packet's length, but at that of other frames,
 * which come from interfaces of any MTU. */
const TAP_MTU = 65_521;

function understood<T>(decoded: Decoded<T>): T {
  if (decoded.ok) return decoded.value;
  throw new MeshnetError(
    "netlink/request-failed",
    `Cannot understand the kernel's answer: ${decoded.reason}`,
  );
}

/** Finds Open vSwitch in this kernel, which may load it now; `probeInterface` asks for an interface by name, which makes
 * the kernel look for a module of that name. Throws "datapath/module-missing". */
export function findOvs(socket: NetlinkSocket, probeInterface: (name: string) => unknown): ovs.OvsFamilies {
  const found = ovs.findOvsFamilies(socket);
  if (found !== undefined) return found;
  probeInterface("openvswitch");
  const loaded = ovs.findOvsFamilies(socket);
  if (loaded !== undefined) return loaded;
  throw new MeshnetError(
    "datapath/module-missing",
    "This kernel has no Open vSwitch: module openvswitch is not loaded",
    {
      hint:
        "Load it with `modprobe openvswitch`; where there is no such module, install the package that has it " +
        "(Ubuntu cloud images: linux-modules-extra-$(uname -r)) or run a distribution's own kernel",
    },
  );
}

/** How a datapath is opened. */
export interface OvsKernelOptions {
  /** Name of the datapath and of its own interface. */
  readonly name: string;
  /** MTU of its own interface. */
  readonly mtu: number;
  /** Netlink port id of the socket that receives misses. */
  readonly upcallPid: number;
  /** Keeps its own interface closed to this host, or open. */
  readonly leg: Pick<HostLeg, "keep">;
}

/** One datapath and the sockets to talk about it. */
export class OvsKernel implements Disposable {
  readonly #control: NetlinkSocket;
  readonly #route: NetlinkSocket;
  #wanted: OvsWanted;
  readonly #leg: Pick<HostLeg, "keep">;
  #index = 0;
  /** null: this kernel has no meters; undefined: not asked yet. */
  #meterFamily: number | null | undefined;
  /** Numbers of the message families. */
  readonly families: ovs.OvsFamilies;
  /** Name of the datapath and of its own interface. */
  readonly name: string;

  private constructor(
    control: NetlinkSocket,
    route: NetlinkSocket,
    families: ovs.OvsFamilies,
    options: { name: string; wanted: OvsWanted; leg: Pick<HostLeg, "keep"> },
  ) {
    this.#control = control;
    this.#route = route;
    this.families = families;
    this.name = options.name;
    this.#wanted = options.wanted;
    this.#leg = options.leg;
  }

  /** Opens the datapath `name`, or makes it. Misses go to the socket with port id `upcallPid` from now on. */
  static open(
    adapters: OvsAdapters,
    options: OvsKernelOptions,
  ): OvsKernel {
    const { leg, name, mtu, upcallPid } = options;
    using undo = new DisposableStack();
    const control = undo.use(adapters.openControl());
    const route = undo.use(adapters.openRoute());
    const families = findOvs(control, adapters.interfaceIndex);
    const wanted = { dispatch: wantedDispatch(upcallPid, adapters.cpus, true), upcallPid, mtu };
    const kernel = new OvsKernel(control, route, families, { name, wanted, leg });
    try {
      kernel.#openOrCreate();
    } catch (thrown) {
      // Dispatch by CPU came with Linux 5.15.
      const errno = errnoOf(thrown);
      if (errno !== ERRNO.EOPNOTSUPP && errno !== ERRNO.EINVAL) throw thrown;
      kernel.#wanted = { ...wanted, dispatch: wantedDispatch(upcallPid, adapters.cpus, false) };
      kernel.#openOrCreate();
    }
    undo.move();
    return kernel;
  }

  /** Index of the datapath's own interface, which names the datapath. */
  get index(): number {
    return this.#index;
  }

  #openOrCreate(): void {
    this.#index = (this.#find() ?? this.#create()).ifindex;
    this.repair();
  }

  #find(): ovs.DatapathInfo | undefined {
    try {
      return this.datapath();
    } catch (thrown) {
      if (errnoOf(thrown) === ERRNO.ENODEV) return undefined;
      throw thrown;
    }
  }

  #create(): ovs.DatapathInfo {
    try {
      return this.#one(
        ovs.encodeDatapathNew(this.families, this.name, this.#wanted.dispatch),
        ovs.decodeDatapath,
      );
    } catch (thrown) {
      if (errnoOf(thrown) !== ERRNO.EEXIST) throw thrown;
      const made = this.#find(); // somebody was faster
      if (made !== undefined) return made;
      const message =
        `Cannot make datapath ${this.name}: an interface of that name exists and is no datapath`;
      const hint = `If nothing uses it, remove it: ip link delete ${this.name}`;
      throw new MeshnetError("datapath/wrong-kind", message, { hint, cause: thrown, errno: ERRNO.EEXIST });
    }
  }

  #one<T>(request: Uint8Array<ArrayBuffer>, decode: (message: Uint8Array) => Decoded<T>): T {
    const [reply] = this.#control.request(request);
    if (reply === undefined) {
      throw new MeshnetError("netlink/request-failed", "Kernel does not answer as it should");
    }
    return understood(decode(reply));
  }

  /** The datapath as it is; throws with errno ENODEV when it is gone. */
  datapath(): ovs.DatapathInfo {
    return this.#one(ovs.encodeDatapathGet(this.families, this.name), ovs.decodeDatapath);
  }

  /** All ports of the datapath. */
  ports(): readonly Vport[] {
    const replies = this.#control.request(ovs.encodeVportDump(this.families, this.#index));
    return replies.map((reply) => understood(ovs.decodeVport(reply)).vport);
  }

  /** One port, or undefined. Names are unique in the namespace: the port may be of another datapath. */
  port(which: { readonly port: PortNo } | { readonly name: string }): ovs.VportMessage | undefined {
    try {
      return this.#one(ovs.encodeVportGet(this.families, this.#index, which), ovs.decodeVport);
    } catch (thrown) {
      if (errnoOf(thrown) === ERRNO.ENODEV) return undefined;
      throw thrown;
    }
  }

  /** All flows; `terse` leaves out keys and actions of flows that have ids. */
  flows(terse: boolean): readonly FlowRecord[] {
    const replies = this.#control.request(encodeFlowDump(this.families, this.#index, terse));
    return replies.map((reply) => understood(decodeFlow(reply)));
  }

  /** Makes the datapath send its misses to us; returns what had to be changed for that. */
  repair(): readonly OvsChange[] {
    const link = this.#own();
    this.#leg.keep(this.#route, link); // before it goes up
    const present: OvsPresent = { datapath: this.datapath(), ports: this.ports(), link };
    const changes = planOvs(this.#wanted, present);
    changes.forEach((change) => this.#apply(change));
    return changes;
  }

  #own(): Link {
    const [reply] = this.#route.request(getLink({ index: this.#index }));
    return understood(decodeLink(reply ?? new Uint8Array(0)));
  }

  /** Has the datapath's own interface closed to this host, or open; says whether that changed anything. */
  keepLeg(): boolean {
    return this.#leg.keep(this.#route, this.#own());
  }

  #apply(change: OvsChange): void {
    switch (change.kind) {
      case "dispatch":
        this.#control.request(ovs.encodeDatapathSet(this.families, this.#index, change.dispatch));
        break;
      case "upcall":
        this.directMisses(change.port);
        break;
      case "link":
        this.#route.request(setLink(change.index, { mtu: change.mtu, up: change.up }));
    }
  }

  /** Makes a meter; false: the kernel knows none. Throws when it cannot have this one. */
  makeMeter(meter: Meter): boolean {
    this.#meterFamily ??= findFamily(this.#control, METER_FAMILY)?.id ?? null;
    if (this.#meterFamily === null) return false;
    this.#control.request(encodeMeterSet(this.#meterFamily, this.#index, meter));
    return true;
  }

  /** Directs the misses of a port to us; a port that is gone is no error. */
  directMisses(port: PortNo): void {
    try {
      const upcall = { port, pid: this.#wanted.upcallPid };
      this.#control.request(ovs.encodeVportUpcall(this.families, this.#index, upcall));
    } catch (thrown) {
      if (errnoOf(thrown) !== ERRNO.ENODEV) throw thrown;
    }
  }

  /** Whether a port's misses come to us when dispatch is by port. */
  hearsOf(port: Vport): boolean {
    return port.upcallPids.length === 1 && port.upcallPids[0] === this.#wanted.upcallPid;
  }

  /** The vxlan port for a UDP port, made if need be. `busy`: the UDP port is taken, perhaps only for a moment, because
   * the kernel closes a removed port's socket some time later. */
  ensureVxlan(udpPort: number): { kind: "ready"; port: Vport } | { kind: "busy" | "failed"; reason: string } {
    const name = `vxlan-${udpPort}`;
    const present = this.ports().find((p) => p.kind === "vxlan" && p.udpPort === udpPort);
    if (present !== undefined && this.#isUp(present.name)) return { kind: "ready", port: present };
    if (present !== undefined) this.#removePort(present.port);
    try {
      const port = { kind: "vxlan", name, udpPort, upcallPid: this.#wanted.upcallPid } as const;
      const made = this.#one(ovs.encodeVportNew(this.families, this.#index, port), ovs.decodeVport).vport;
      if (this.#isUp(name)) return { kind: "ready", port: made };
      // Some kernels report success although the socket could not be bound.
      this.#removePort(made.port);
      return { kind: "busy", reason: `UDP port ${udpPort} is in use by another program` };
    } catch (thrown) {
      const errno = errnoOf(thrown);
      if (errno === undefined) throw thrown;
      if (errno === ERRNO.EADDRINUSE) {
        return { kind: "busy", reason: `UDP port ${udpPort} is in use by another program` };
      }
      return { kind: "failed", reason: vxlanFailure(errno, { name, udpPort }) };
    }
  }

  /** Makes an interface of this process a port, up and with room for super-packets. A port of that name which another
   * process left goes first. Says whether anything had to change. Throws what the kernel refuses. */
  addTap(name: string): { readonly port: Vport; readonly changed: boolean } {
    const [reply] = this.#route.request(getLink({ name }));
    const { index, mtu, up } = understood(decodeLink(reply ?? new Uint8Array(0)));
    const ready = mtu === TAP_MTU && up; // what is set again is told to all who listen, ourselves among them
    if (!ready) this.#route.request(setLink(index, { mtu: TAP_MTU, up: true }));
    const present = this.ports().find((port) => port.name === name);
    if (present?.ifindex === index && present.kind === "netdev") return { port: present, changed: !ready };
    if (present !== undefined) this.#removePort(present.port);
    const wanted = { kind: "netdev", name, upcallPid: this.#wanted.upcallPid } as const;
    const request = ovs.encodeVportNew(this.families, this.#index, wanted);
    return { port: this.#one(request, ovs.decodeVport).vport, changed: true };
  }

  #removePort(port: PortNo): void {
    try {
      this.#control.request(ovs.encodeVportDelete(this.families, this.#index, port));
    } catch (thrown) {
      if (errnoOf(thrown) !== ERRNO.ENODEV) throw thrown;
    }
  }

  /** Whether an interface is up; one that does not exist (kernels without it) counts as up. */
  #isUp(name: string): boolean {
    try {
      const [reply] = this.#route.request(getLink({ name }));
      return reply === undefined || understood(decodeLink(reply)).up;
    } catch (thrown) {
      if (errnoOf(thrown) === ERRNO.ENODEV) return true;
      throw thrown;
    }
  }

  /** Closes the sockets; the datapath, its ports and its flows stay and go on working. */
  [Symbol.dispose](): void {
    this.#control[Symbol.dispose]();
    this.#route[Symbol.dispose]();
  }
}

function vxlanFailure(errno: number, port: { name: string; udpPort: number }): string {
  if (errno === ERRNO.EAFNOSUPPORT) {
    return "kernel's Open vSwitch has no VXLAN: load its module with modprobe vport-vxlan";
  }
  if (errno === ERRNO.EEXIST) {
    return `another VXLAN interface uses UDP port ${port.udpPort} or the name ${port.name}`;
  }
  return `cannot make port ${port.name}: ${describeErrno(errno)}`;
}

/** The failure that ends the data plane when somebody removed the datapath. */
export function datapathGone(name: string): MeshnetError {
  const code: ErrorCode = "datapath/unavailable";
  return new MeshnetError(code, `Datapath ${name} was removed by another program`, {
    hint: "meshnet makes it again when it starts",
  });
}
