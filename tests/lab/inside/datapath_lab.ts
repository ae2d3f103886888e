/** The kernel's datapath through our own codec, sockets and shell, without a daemon: what only a kernel can tell.
 *
 *     c1 --ethmesh-- v1 [ datapath meshnet ] v2 --ethmesh-- c2      all ports in the namespace `sw`
 */
import { loadDropAll } from "../../../ffi/bpf.ts";
import { HostLeg } from "../../../mod/datapath/host_leg.ts";
import assert from "node:assert/strict";
import { openNetlinkIn } from "../../../mod/daemon/host/netlink.ts";
import { ovsAdapters } from "../../../mod/daemon/threads/ovs_adapters.ts";
import type { Ip, Mac } from "../../../mod/core/addr.ts";
import { ERRNO } from "../../../mod/core/errno.ts";
import { formatMac, macToBytes } from "../../../mod/core/addr.ts";
import type { Logger } from "../../../mod/core/ports.ts";
import type { Millis } from "../../../mod/core/time.ts";
import type { DatapathEffect } from "../../../mod/overlay/ports/datapath_port.ts";
import type { DataplaneEvent } from "../../../mod/overlay/ports/dataplane_types.ts";
import { OvsDatapath } from "../../../mod/datapath/ovs_shell.ts";
import { encodeDatapathGet, encodeVportNew, findOvsFamilies } from "../../../mod/wire/netlink/ovs.ts";
import type { FlowAction, FlowKey, Miss, PortNo, Ufid } from "../../../mod/wire/netlink/ovs_keys.ts";
import type { Vni } from "../../../mod/wire/packet/vxlan.ts";
import { sendFrames } from "../../../ffi/packet_socket.ts";
import { Poller } from "../../../ffi/poll.ts";
import { dumpFlows, loadOpenvswitch, readCounters } from "../common/kernel_flows.ts";
import { exec, ip } from "../common/process.ts";
import { type Arrangement, suite } from "../common/suite.ts";

const SWITCH = "dpsw";
const CONTAINERS = ["dpc1", "dpc2"] as const;
const path = (netns: string) => `/run/netns/${netns}`;
const MAC_1 = 0x02_00_00_00_00_01 as Mac;
const MAC_2 = 0x02_00_00_00_00_02 as Mac;

/** Namespaces, ports, and one open datapath at a time. */
class Bench implements Arrangement {
  readonly posted: DataplaneEvent[] = [];
  readonly logged: string[] = [];
  readonly #ports = new Map<string, PortNo>();
  readonly #post = (event: DataplaneEvent): void => {
    if (event.kind === "port-appeared") this.#ports.set(event.port.name, event.port.port);
    this.posted.push(copied(event));
  };
  readonly #log = Object.fromEntries(
    ["debug", "info", "warn", "error"].map((level) => [level, (event: string) => this.logged.push(event)]),
  ) as unknown as Logger;
  #datapath: OvsDatapath;
  #poller: Poller;

  private constructor() {
    [this.#datapath, this.#poller] = this.#open();
  }
  static async create(): Promise<Bench> {
    await loadOpenvswitch();
    await ip([SWITCH, ...CONTAINERS].map((name) => `netns add ${name}`));
    await ip(
      CONTAINERS.map((name, i) =>
        `link add v${i + 1} netns ${SWITCH} type veth peer name ethmesh netns ${name}`
      ),
    );
    await ip(["link set v1 up", "link set v2 up"], SWITCH);
    for (const name of CONTAINERS) await ip(["link set ethmesh up"], name);
    const bench = new Bench();
    for (const port of ["v1", "v2"]) bench.addPort(port);
    return bench;
  }
  #open(): [OvsDatapath, Poller] {
    const adapters = ovsAdapters({ log: this.#log, netns: path(SWITCH) });
    const datapath = OvsDatapath.open(adapters, {
      name: "meshnet",
      mtu: 1376,
      leg: new HostLeg({ loadDropAll, log: this.#log }),
    });
    this.posted.push(datapath.start());
    return [datapath, new Poller(datapath.fds)];
  }
  /** Closes the sockets and opens the datapath again, as a restart does. */
  reopen(): DataplaneEvent {
    this.#datapath[Symbol.dispose]();
    this.posted.length = 0;
    [this.#datapath, this.#poller] = this.#open();
    return this.posted.shift()!;
  }
  addPort(name: string): void {
    using socket = openNetlinkIn({ protocol: "generic", netns: path(SWITCH) });
    const families = findOvsFamilies(socket)!;
    const [found] = socket.request(encodeDatapathGet(families, "meshnet"));
    const index = new DataView(found!.buffer, found!.byteOffset).getInt32(20, true);
    socket.request(encodeVportNew(families, index, { kind: "netdev", name, upcallPid: 0 }));
  }
  perform(...effects: readonly DatapathEffect[]): void {
    for (const effect of effects) this.#datapath.perform(effect, this.#post, performance.now() as Millis);
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
      for (let event = this.posted.shift(); event !== undefined; event = this.posted.shift()) {
        const wanted = event as Extract<DataplaneEvent, { kind: K }>;
        if (event.kind === kind && fits(wanted)) return wanted;
      }
      this.#poller.wait(20);
      const now = performance.now() as Millis;
      this.#datapath.wake(this.#post, now);
      this.#datapath.drain(this.#post, { now, isReady: (index) => this.#poller.isReady(index) });
    }
    throw new Error(`No ${kind} came; log: ${this.logged}`);
  }
  /** The next miss of a frame with this source. */
  miss(src: Mac, ms = 5_000): Miss {
    return this.next("miss", { fits: ({ miss }) => miss.key.ethSrc === src, ms }).miss;
  }
  /** Checks that no frame with this source misses. */
  noMiss(src: Mac): void {
    assert.throws(() => this.miss(src, 300), /No miss came/);
  }
  /** Number of a port that appeared or will. */
  port(name: string): PortNo {
    return this.#ports.get(name) ??
      this.next("port-appeared", { fits: ({ port }) => port.name === name }).port.port;
  }
  get counts() {
    return this.#datapath.counts();
  }
  async explain(): Promise<string> {
    const flows = await dumpFlows(SWITCH).catch(() => []);
    return [...flows.map((flow) => `${flow.key} -> ${flow.actions}`), ...this.logged].join("\n");
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#datapath[Symbol.dispose]();
    await exec(["ovs-dpctl", "del-dp", "meshnet"], { netns: SWITCH });
    await ip([SWITCH, ...CONTAINERS].map((name) => `netns del ${name}`));
  }
}

/** An event that outlives the receive buffer. */
function copied(event: DataplaneEvent): DataplaneEvent {
  if (event.kind !== "miss") return event;
  return { ...event, miss: { ...event.miss, frame: event.miss.frame.slice() } };
}

/** A frame of an experimental type, with a VLAN tag if asked for. */
function frame(src: Mac, dst: Mac, vlan?: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(64);
  bytes.set(macToBytes(dst));
  bytes.set(macToBytes(src), 6);
  const types = vlan === undefined ? [0x88, 0xb5] : [0x81, 0x00, vlan >> 8, vlan & 255, 0x88, 0xb5];
  bytes.set(types, 12);
  return bytes;
}

function install(
  ufid: number,
  key: FlowKey,
  actions: readonly FlowAction[],
  more: object = {},
): DatapathEffect {
  return { kind: "install", ufid: ufid as Ufid, replace: false, key, actions, frame: undefined, ...more };
}

export default suite({ name: "kernel datapath", open: () => Bench.create() }, {
  "sockets belong to the namespace in which they were made, and the thread comes back": (bench) => {
    using there = openNetlinkIn({ protocol: "generic", netns: path(SWITCH) });
    using here = openNetlinkIn({ protocol: "generic" });
    const families = findOvsFamilies(there)!;
    assert.equal(there.request(encodeDatapathGet(families, "meshnet")).length, 1);
    assert.throws(() => here.request(encodeDatapathGet(families, "meshnet")), { errno: ERRNO.ENODEV });
    assert.ok(bench.port("v1") > 0 && bench.port("v2") > 0);
    return Promise.resolve();
  },
  "the kernel explains what it refuses": () => {
    using socket = openNetlinkIn({ protocol: "generic", netns: path(SWITCH) });
    const families = findOvsFamilies(socket)!;
    const name = "a-name-that-is-longer-than-an-interface-may-have";
    assert.throws(() => socket.request(encodeVportNew(families, 1, { kind: "netdev", name, upcallPid: 0 })), {
      code: "netlink/request-failed",
      message: /\(E[A-Z]+\), .*(policy|length|range)/i,
    });
    return Promise.resolve();
  },
  "a miss is answered by one send: flow and frame": async (bench) => {
    const [one, two] = [bench.port("v1"), bench.port("v2")];
    sendFrames(path(CONTAINERS[0]), "ethmesh", [frame(MAC_1, MAC_2)]);
    const miss = bench.miss(MAC_1);
    assert.deepEqual([miss.key.inPort, miss.key.ethDst, miss.frame.length], [one, MAC_2, 64]);
    const actions = [{ kind: "output", port: two }] as const;
    bench.perform(install(1, miss.key, actions, { frame: miss.frame }));
    sendFrames(path(CONTAINERS[0]), "ethmesh", [frame(MAC_1, MAC_2), frame(MAC_1, MAC_2)]);
    bench.noMiss(MAC_1);
    const flow = (await dumpFlows(SWITCH)).find(({ key }) => key.includes(formatMac(MAC_1)));
    assert.deepEqual([flow?.packets, flow?.actions], [2, String(two)]);
    bench.perform({ kind: "dump-flows" });
    const { flows } = bench.next("flows");
    assert.deepEqual(flows.filter((f) => f.ufid === 1).map((f) => [f.packets, f.key]), [[2, undefined]]);
  },
  "a flow is replaced under its id, and a second new one with its key is refused": (bench) => {
    const key = { inPort: bench.port("v1"), ethSrc: MAC_2, ethDst: MAC_2 };
    bench.perform(install(10, key, []), install(10, key, [], { replace: true }));
    bench.perform(install(11, key, []), install(12, { ...key, ethDst: MAC_1 }, [], { replace: true }));
    assert.equal(bench.next("install-failed").ufid, 11);
    assert.equal(bench.next("install-failed").ufid, 12);
    return Promise.resolve();
  },
  "frames with a VLAN tag have a flow of their own, for whichever tag": (bench) => {
    const send = (vlan: number) => sendFrames(path(CONTAINERS[0]), "ethmesh", [frame(MAC_1, MAC_2, vlan)]);
    send(5);
    const miss = bench.miss(MAC_1);
    assert.equal(miss.key.tagged, true);
    bench.perform(install(4, miss.key, []));
    send(5);
    send(6);
    bench.noMiss(MAC_1);
    return Promise.resolve();
  },
  "a tool that looks at the datapath does not end misses": async (bench) => {
    await readCounters(SWITCH);
    sendFrames(path(CONTAINERS[1]), "ethmesh", [frame(MAC_2, MAC_1)]);
    assert.equal(bench.miss(MAC_2).key.inPort, bench.port("v2"));
    assert.ok(bench.counts.repaired >= 1);
    assert.equal(bench.counts.lost, 0);
  },
  "tunnel ports are made, kept, and refused in words": async (bench) => {
    bench.perform({ kind: "ensure-vxlan", udpPort: 6784 });
    const { port } = bench.next("vxlan-ready");
    bench.perform({ kind: "ensure-vxlan", udpPort: 6784 });
    assert.equal(bench.next("vxlan-ready").port, port);
    await ip(["link add other type vxlan dstport 7001 external", "link set other up"], SWITCH);
    bench.perform({ kind: "ensure-vxlan", udpPort: 7001 });
    assert.match(bench.next("vxlan-failed").reason, /UDP port 7001/);
    const tunnel = { id: 0x2001 as Vni, src: "10.0.0.1" as Ip, dst: "10.0.0.2" as Ip };
    bench.perform(install(5, { inPort: port, tunnel }, [{ kind: "tunnel", port, tunnel }]));
    const flow = (await dumpFlows(SWITCH)).find(({ key }) => key.includes("tun_id=0x2001"));
    assert.match(flow?.key ?? "", /src=10\.0\.0\.1,dst=10\.0\.0\.2.*in_port\([0-9]+\),eth\(\)/);
    assert.match(
      flow?.actions ?? "",
      /tun_id=0x2001,src=10\.0\.0\.1,dst=10\.0\.0\.2,ttl=64,flags\(key\)\)\),[0-9]+$/,
    );
  },
  "a restart finds ports and flows as they were": async (bench) => {
    bench.perform({ kind: "ensure-vxlan", udpPort: 6784 });
    const { port } = bench.next("vxlan-ready");
    const local = { inPort: bench.port("v2"), ethSrc: MAC_2, ethDst: MAC_2 };
    const tunnel = { id: 0x3001 as Vni, src: "10.0.0.1" as Ip, dst: "10.0.0.2" as Ip };
    const made: readonly (readonly [ufid: number, key: FlowKey, actions: readonly FlowAction[]])[] = [
      [21, local, [{ kind: "output", port: bench.port("v1") }]],
      [22, { ...local, tagged: true }, []],
      [23, { inPort: port, tunnel }, [{ kind: "tunnel", port, tunnel }]],
    ];
    bench.perform(...made.map(([ufid, key, actions]) => install(ufid, key, actions)));
    await exec(["ovs-dpctl", "add-flow", "meshnet", "in_port(0),eth(),eth_type(0x88cc)", "0"], {
      netns: SWITCH,
    });
    const started = bench.reopen();
    assert.ok(started.kind === "started");
    assert.deepEqual(started.ports.map((p) => `${p.kind} ${p.name} ${p.udpPort ?? ""}`.trim()).sort(), [
      "internal meshnet",
      "netdev v1",
      "netdev v2",
      "vxlan vxlan-6784 6784",
    ]);
    const found = started.flows.filter((flow) => (flow.ufid ?? 0) > 20).map((
      f,
    ) => [f.ufid, f.key, f.actions]);
    assert.deepEqual(found.sort((a, b) => Number(a[0]) - Number(b[0])), made);
    const foreign = started.flows.filter((flow) => flow.ufid === undefined);
    assert.deepEqual(foreign.map((flow) => flow.key), [undefined]);
    const removals = foreign.map(({ handle }): DatapathEffect => ({ kind: "delete-foreign", handle }));
    bench.perform(...removals, { kind: "delete", ufid: 21 as Ufid }, { kind: "delete", ufid: 99 as Ufid });
    bench.perform({ kind: "dump-flows" });
    const left = bench.next("flows").flows.map((flow) => flow.ufid);
    assert.deepEqual([left.includes(undefined), left.includes(21 as Ufid), left.includes(22 as Ufid)], [
      false,
      false,
      true,
    ]);
  },
  "ports that vanish are told": async (bench) => {
    const gone = bench.port("v2");
    await ip(["link del v2"], SWITCH);
    assert.equal(bench.next("port-removed").port, gone);
  },
});
