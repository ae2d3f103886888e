/** A datapath on a real kernel, driven by hand, without a daemon: what goes in at containers and links, and what comes out.
 *
 *     c1 --ethmesh-- v1 [ Open vSwitch, eBPF or a bridge ] v2 --ethmesh-- c2       all ports in the namespace `sw`
 *                              mesh-tap
 *                                 |  packets with (link, id), which scenarios read and write
 *                              this process
 */
import assert from "node:assert/strict";
import { loadDropAll } from "../../../ffi/bpf.ts";
import { inNetns } from "../../../ffi/netns.ts";
import { sendFrames } from "../../../ffi/packet_socket.ts";
import { Poller } from "../../../ffi/poll.ts";
import { Tap } from "../../../ffi/tap.ts";
import { formatMac, type Mac, macToBytes } from "../../../mod/core/addr.ts";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import type { Logger } from "../../../mod/core/ports.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { openNetlinkIn } from "../../../mod/daemon/host/netlink.ts";
import { MACHINE } from "../../../mod/daemon/threads/ebpf_parts.ts";
import { ovsAdapters, possibleCpus } from "../../../mod/daemon/threads/ovs_adapters.ts";
import { BridgePorts } from "../../../mod/attach/bridge_ports_shell.ts";
import { OvsPorts } from "../../../mod/attach/ovs_ports_shell.ts";
import { ensureBridge } from "../../../mod/datapath/bridge_kernel_shell.ts";
import { BRIDGE_PORT, BridgeDatapath } from "../../../mod/datapath/bridge_shell.ts";
import { EbpfDatapath } from "../../../mod/datapath/ebpf/ebpf_shell.ts";
import { HostLeg } from "../../../mod/datapath/host_leg.ts";
import { OvsDatapath } from "../../../mod/datapath/ovs_shell.ts";
import { TapKeeper } from "../../../mod/datapath/tap_keeper.ts";
import type { Datapath, DatapathEffect } from "../../../mod/overlay/ports/datapath_port.ts";
import type { DatapathKind, DataplaneEvent } from "../../../mod/overlay/ports/dataplane_types.ts";
import type { SleeveCounts, SleevePort, TakePacket } from "../../../mod/overlay/ports/sleeve_port.ts";
import { TAP_NAME, TAP_PACKET } from "../../../mod/overlay/ports/tap_port.ts";
import { encodeDatapathGet, findOvsFamilies } from "../../../mod/wire/netlink/ovs.ts";
import type {
  FlowAction,
  FlowKey,
  Miss,
  PortNo,
  SleeveKey,
  Ufid,
} from "../../../mod/wire/netlink/ovs_keys.ts";
import { LINK_NOTICES, QDISC_NOTICES } from "../../../mod/wire/netlink/rtnetlink.ts";
import { VIRTIO_HEADER } from "../../../mod/wire/packet/virtio_net.ts";
import type { Vni } from "../../../mod/wire/packet/vxlan.ts";
import { Capture } from "./container.ts";
import { loadModules, loadOpenvswitch } from "./kernel_flows.ts";
import { attempt, FOLDER, ip } from "./process.ts";
import type { Arrangement } from "./suite.ts";

const NAME = "meshnet";
const MTU = 1376;
/** Octets that are free in front of a packet of a link. */
const IN_FRONT = 4;
const path = (netns: string) => `/run/netns/${netns}`;

/** A packet that went to a link. */
export interface Sent {
  readonly link: number;
  readonly frame: Uint8Array;
}

/** The links' end: what goes there is kept, what comes from there scenarios give. */
class RecordingPath implements SleevePort {
  readonly fds: readonly number[] = [];
  /** What comes with the next round. */
  readonly given: (() => void)[] = [];
  constructor(readonly take: TakePacket, readonly sent: Sent[]) {}
  send(
    { link }: SleeveKey,
    bytes: Uint8Array<ArrayBuffer>,
    { from, to }: { from: number; to: number },
  ): void {
    this.sent.push({ link, frame: bytes.slice(from + VIRTIO_HEADER, to) });
  }
  perform(): void {}
  sendTunnelled(): void {}
  drain(): boolean {
    for (const give of this.given.splice(0)) give();
    return false;
  }
  flush(): void {}
  counts(): SleeveCounts {
    return { sentPackets: 0, sentBytes: 0, receivedPackets: 0, receivedBytes: 0, dropped: {} };
  }
  [Symbol.dispose](): void {}
}

/** Namespaces, ports, and one open datapath at a time. */
export class DatapathBench implements Arrangement {
  readonly logged: string[] = [];
  /** What went to links, in order. */
  readonly sent: Sent[] = [];
  readonly #posted: DataplaneEvent[] = [];
  readonly #ports = new Map<string, PortNo>();
  readonly #captures: Capture[] = [];
  readonly #log = Object.fromEntries(
    ["debug", "info", "warn", "error"].map((level) => [
      level,
      (event: string, fields: object) => this.logged.push(`${event} ${JSON.stringify(fields)}`),
    ]),
  ) as unknown as Logger;
  #datapath!: Datapath;
  #poller!: Poller;
  #path!: RecordingPath;
  #sleevePort = -1 as PortNo;

  private constructor(readonly kind: DatapathKind, readonly prefix: string) {}

  /** Makes two containers and opens the datapath between them. */
  static async create(kind: DatapathKind, prefix: string): Promise<DatapathBench> {
    if (kind === "ovs") {
      await loadOpenvswitch();
      await loadModules("8021q");
    }
    Deno.mkdirSync(FOLDER, { recursive: true });
    const bench = new DatapathBench(kind, prefix);
    const { containers, netns } = bench;
    await ip([netns, ...containers].map((name) => `netns add ${name}`));
    for (const [i, container] of containers.entries()) {
      await ip([
        `link add v${
          i + 1
        } netns ${netns} mtu ${MTU} type veth peer name ethmesh netns ${container} mtu ${MTU}`,
      ]);
      await ip([`link set v${i + 1} up`], netns);
      await ip(["link set ethmesh up"], container);
    }
    bench.open();
    for (const port of ["v1", "v2"]) {
      bench.addPort(port);
      bench.port(port); // it is told, and has what it needs
    }
    for (const container of containers) {
      const filter = "ether proto 0x88b5 or vlan";
      bench.#captures.push(await Capture.start(container, "ethmesh", filter, "-Q", "in"));
    }
    return bench;
  }

  /** The namespace of the switch. */
  get netns(): string {
    return `${this.prefix}sw`;
  }
  /** Namespaces of the containers. */
  get containers(): readonly string[] {
    return [1, 2].map((n) => `${this.prefix}dc${n}`);
  }
  /** Whether the kernel keeps the flows, and so knows them after a restart. */
  get keepsFlows(): boolean {
    return this.kind !== "bridge";
  }

  /** Opens the datapath, again perhaps, as a restart does; gives its first event. */
  open(): Extract<DataplaneEvent, { kind: "started" }> {
    this.#datapath?.[Symbol.dispose]();
    this.#posted.length = 0;
    this.#ports.clear();
    const tap = inNetns(path(this.netns), () => Tap.open({ name: TAP_NAME, longest: TAP_PACKET }));
    const openPath = (take: TakePacket) => this.#path = new RecordingPath(take, this.sent);
    this.#datapath = this.#open(tap, openPath);
    const started = this.#datapath.start();
    assert.ok(started.kind === "started");
    for (const port of started.ports) this.#post({ kind: "port-appeared", port });
    this.#poller = new Poller(this.#datapath.fds);
    return started;
  }

  #open(tap: Tap, openPath: (take: TakePacket) => SleevePort): Datapath {
    const log = this.#log;
    const leg = new HostLeg({ loadDropAll, log });
    const route = () => openNetlinkIn({ protocol: "route", netns: path(this.netns) });
    const openNotices = () =>
      openNetlinkIn({ protocol: "route", groups: [LINK_NOTICES, QDISC_NOTICES], netns: path(this.netns) });
    const userSpace = { tap, openPath, [Symbol.dispose]: () => tap[Symbol.dispose]() };
    if (this.kind === "ovs") {
      const adapters = ovsAdapters({ log, netns: path(this.netns) });
      return OvsDatapath.open(adapters, { name: NAME, mtu: MTU, leg, userSpace });
    }
    const mac = 0x02_00_00_00_00_77 as Mac;
    const bridge = { name: NAME, mtu: MTU, mac, tap: TAP_NAME, leg, quiet() {} };
    if (this.kind === "ebpf") {
      return EbpfDatapath.open({
        ...{ bridge, log, openNotices, userSpace, machine: MACHINE, route: route(), cpus: possibleCpus() },
        ...{ legOpen: () => false, leaveOther() {}, mended() {} },
      });
    }
    const put = () => {
      using socket = route();
      return ensureBridge(socket, bridge);
    };
    put();
    const keeper = new TapKeeper({ tap, log, notices: openNotices(), names: [NAME, TAP_NAME], put });
    return new BridgeDatapath(tap, openPath, keeper);
  }

  /** Makes an interface a port, as attaching does. */
  addPort(name: string): void {
    if (this.kind !== "ovs") {
      using socket = openNetlinkIn({ protocol: "route", netns: path(this.netns) });
      return new BridgePorts(socket, NAME).add(name);
    }
    using socket = openNetlinkIn({ protocol: "generic", netns: path(this.netns) });
    const families = findOvsFamilies(socket)!;
    const [found] = socket.request(encodeDatapathGet(families, NAME));
    const index = new DataView(found!.buffer, found!.byteOffset).getInt32(20, true);
    new OvsPorts(socket, families, index).add(name);
  }

  readonly #post = (event: DataplaneEvent): void => {
    if (event.kind === "port-appeared") {
      this.#ports.set(event.port.name, event.port.port);
      if (event.port.kind === "sleeve") this.#sleevePort = event.port.port;
    }
    this.#posted.push(copied(event));
  };

  /** The port of a container's end; a bridge has one for all. */
  port(name: string): PortNo {
    if (this.kind === "bridge") return BRIDGE_PORT;
    return this.#ports.get(name) ??
      this.next("port-appeared", { fits: ({ port }) => port.name === name }).port.port;
  }
  /** The port of the links. */
  get sleevePort(): PortNo {
    return this.#sleevePort;
  }
  /** Outputs to a link. */
  toLink(link: number): FlowAction {
    return { kind: "sleeve", port: this.sleevePort, sleeve: keyOf(link) };
  }
  /** Outputs to a container. */
  toContainer(name: string): FlowAction {
    return { kind: "output", port: this.port(name) };
  }

  /** Performs effects and sends them. */
  perform(...effects: readonly DatapathEffect[]): void {
    for (const effect of effects) this.#datapath.perform(effect, this.#post, now());
    this.#datapath.flush(this.#post);
  }
  /** Has a flow. */
  install(ufid: number, key: FlowKey, actions: readonly FlowAction[], more: object = {}): void {
    this.perform({
      ...{ kind: "install", ufid: ufid as Ufid, replace: false, key, actions, frame: undefined },
      ...more,
    });
  }
  /** A packet comes over a link. */
  give(link: number, frame: Uint8Array): void {
    const bytes = new Uint8Array(IN_FRONT + VIRTIO_HEADER + frame.length + 64);
    bytes.set(frame, IN_FRONT + VIRTIO_HEADER);
    const to = IN_FRONT + VIRTIO_HEADER + frame.length;
    this.#path.given.push(() => this.#path.take(keyOf(link), bytes, IN_FRONT, to));
    this.turn(0);
  }
  /** Container number n, from 1, sends frames. */
  send(n: number, ...frames: readonly Uint8Array<ArrayBuffer>[]): void {
    sendFrames(path(this.containers[n - 1]!), "ethmesh", frames);
  }
  /** How many frames of a source container number n has got. */
  got(n: number, src: Mac): number {
    return this.#captures[n - 1]!.packets.filter((line) => line.includes(`${formatMac(src)} >`)).length;
  }

  /** One round of the loop. */
  turn(waitMs: number): void {
    this.#poller.wait(waitMs);
    this.#datapath.wake(this.#post, now());
    this.#datapath.drain(this.#post, { now: now(), isReady: (index) => this.#poller.isReady(index) });
    this.#datapath.flush(this.#post);
  }
  /** Takes events until one is wanted, and gives that; the others are thrown away. */
  next<K extends DataplaneEvent["kind"]>(
    kind: K,
    { fits = () => true, ms = 5_000 }: {
      fits?: (event: Extract<DataplaneEvent, { kind: K }>) => boolean;
      ms?: number;
    } = {},
  ): Extract<DataplaneEvent, { kind: K }> {
    for (const end = performance.now() + ms; performance.now() < end;) {
      for (let event = this.#posted.shift(); event !== undefined; event = this.#posted.shift()) {
        const wanted = event as Extract<DataplaneEvent, { kind: K }>;
        if (event.kind === kind && fits(wanted)) return wanted;
      }
      this.turn(20);
    }
    throw new Error(`No ${kind} came; log: ${this.logged.join("; ")}`);
  }
  /** The next miss of a frame with this source. */
  miss(src: Mac, ms = 5_000): Miss {
    return this.next("miss", { fits: ({ miss }) => miss.key.ethSrc === src, ms }).miss;
  }
  /** Checks that no frame with this source misses. */
  noMiss(src: Mac): void {
    assert.throws(() => this.miss(src, 200), /No miss came/);
  }
  /** Waits until something holds, while the loop goes on. */
  async until(what: string, holds: () => boolean, ms = 5_000): Promise<void> {
    for (const end = performance.now() + ms; performance.now() < end;) {
      this.turn(5);
      if (holds()) return;
      await new Promise((resolve) => setTimeout(resolve, 5)); // captures are other processes
    }
    throw new Error(`Not within ${ms} ms: ${what}; log: ${this.logged.join("; ")}`);
  }
  /** What was counted. */
  get counts() {
    return this.#datapath.counts();
  }
  /** Packets that a flow has carried. */
  packets(ufid: number): number | undefined {
    this.perform({ kind: "dump-flows" });
    return this.next("flows").flows.find((flow) => flow.ufid === ufid)?.packets;
  }
  explain(): Promise<string> {
    return Promise.resolve([JSON.stringify(this.counts), ...this.logged].join("\n"));
  }
  async [Symbol.asyncDispose](): Promise<void> {
    for (const capture of this.#captures) await capture[Symbol.asyncDispose]();
    this.#datapath[Symbol.dispose]();
    if (this.kind === "ovs") await attempt(["ovs-dpctl", "del-dp", NAME], { netns: this.netns });
    await ip([this.netns, ...this.containers].map((name) => `netns del ${name}`));
  }
}

const now = () => performance.now() as Millis;
/** How frames of a link are named. */
export const keyOf = (link: number): SleeveKey => ({ link: link as LinkId, id: 0x1002 as Vni });

/** An event that outlives the buffer it was read to. */
function copied(event: DataplaneEvent): DataplaneEvent {
  if (event.kind !== "miss") return event;
  return { ...event, miss: { ...event.miss, frame: event.miss.frame.slice() } };
}

/** A frame of an experimental type, with a VLAN tag if asked for. */
export function frameOf(src: Mac, dst: Mac, { number = 0, vlan = 0 } = {}): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(64);
  bytes.set(macToBytes(dst));
  bytes.set(macToBytes(src), 6);
  bytes.set(vlan === 0 ? [0x88, 0xb5] : [0x81, 0x00, vlan >> 8, vlan & 255, 0x88, 0xb5], 12);
  bytes[32] = number;
  return bytes;
}
