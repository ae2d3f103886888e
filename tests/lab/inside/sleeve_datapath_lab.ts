/** User space's port of the kernel's datapath, with a real TAP and a path that only hands packets back: what the kernel
 * does to super-packets with a tag.
 *
 *     c1 --ethmesh-- v1 [ datapath meshnet ] v2 --ethmesh-- c2       remote --eth0---- u0 (VXLAN) in the same namespace
 *                              mesh-tap
 *                                 |  (link, id) -> (link, id): the table `relay`
 *                              this process
 */
import { loadDropAll } from "../../../ffi/bpf.ts";
import { HostLeg } from "../../../mod/datapath/host_leg.ts";
import assert from "node:assert/strict";
import { Tap } from "../../../ffi/tap.ts";
import { inNetns } from "../../../ffi/netns.ts";
import { Poller } from "../../../ffi/poll.ts";
import type { Ip } from "../../../mod/core/addr.ts";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import type { Logger } from "../../../mod/core/ports.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { openNetlinkIn } from "../../../mod/daemon/host/netlink.ts";
import { ovsAdapters } from "../../../mod/daemon/threads/ovs_adapters.ts";
import type { DataplaneEvent } from "../../../mod/overlay/ports/dataplane_types.ts";
import { OvsDatapath } from "../../../mod/datapath/ovs_shell.ts";
import type { SleeveCounts, SleevePort, TakePacket } from "../../../mod/overlay/ports/sleeve_port.ts";
import { encodeDatapathGet, encodeVportNew, findOvsFamilies } from "../../../mod/wire/netlink/ovs.ts";
import type {
  FlowAction,
  FlowKey,
  FlowRecord,
  PortNo,
  SleeveKey,
  Ufid,
} from "../../../mod/wire/netlink/ovs_keys.ts";
import { readVirtio, type VirtioHeader } from "../../../mod/wire/packet/virtio_net.ts";
import type { Vni } from "../../../mod/wire/packet/vxlan.ts";
import { Container } from "../common/container.ts";
import { dumpFlows, loadModules, loadOpenvswitch } from "../common/kernel_flows.ts";
import { note } from "../common/notes.ts";
import { exec, FOLDER, ip, until } from "../common/process.ts";
import { type Arrangement, suite } from "../common/suite.ts";
import { TAP_NAME, TAP_PACKET } from "../../../mod/overlay/ports/tap_port.ts";

const SWITCH = "stsw";
const [ONE, TWO, REMOTE] = ["stc1", "stc2", "strem"];
const UDP_PORT = 6784;
const VNI = 0x5006 as Vni;
const path = (netns: string) => `/run/netns/${netns}`;
const key = (link: number): SleeveKey => ({ link: link as LinkId, id: 0x1002 as Vni });
/** Links by where they lead. */
const LINK = {
  fromOne: 1,
  toTwo: 2,
  fromTwo: 3,
  toOne: 4,
  transitIn: 5,
  transitOut: 6,
  toVxlan: 7,
  fromVxlan: 8,
};

/** Hands packets back under another key, and remembers the largest. */
class RelayPath implements SleevePort {
  readonly fds: readonly number[] = [];
  readonly relay = new Map<LinkId, SleeveKey>();
  packets = 0;
  largest = 0;
  header: VirtioHeader | undefined;
  /** What the largest one says it carries. */
  type = 0;
  readonly #copy = new Uint8Array(70_000);

  constructor(readonly take: TakePacket) {}
  send(
    { link }: SleeveKey,
    bytes: Uint8Array<ArrayBuffer>,
    { from, to }: { from: number; to: number },
  ): void {
    this.packets++;
    if (to - from > this.largest) {
      this.largest = to - from;
      this.type = bytes[from + 22]! << 8 | bytes[from + 23]!;
      this.header = { ...readVirtio(bytes, from) };
    }
    const onward = this.relay.get(link);
    if (onward === undefined) return;
    this.#copy.set(bytes.subarray(from, to), 4);
    this.take(onward, this.#copy, 4, 4 + to - from);
  }
  forget(): void {
    this.packets = 0;
    this.largest = 0;
    this.header = undefined;
  }
  perform(): void {}
  sendTunnelled(): void {}
  drain(): boolean {
    return false;
  }
  flush(): void {}
  counts(): SleeveCounts {
    return { sentPackets: 0, sentBytes: 0, receivedPackets: 0, receivedBytes: 0, dropped: {} };
  }
  [Symbol.dispose](): void {}
}

/** Namespaces, ports, one open datapath, and a rule for each way that frames may come. */
class Bench implements Arrangement {
  readonly logged: string[] = [];
  readonly one = new Container(ONE!);
  readonly two = new Container(TWO!);
  /** Actions by port and link, asked for at each miss. */
  readonly rules = new Map<string, readonly FlowAction[]>();
  misses = 0;
  relay!: RelayPath;
  readonly #ports = new Map<string, PortNo>();
  readonly #log = Object.fromEntries(
    ["debug", "info", "warn", "error"].map((level) => [
      level,
      (event: string, fields: object) => this.logged.push(`${event} ${JSON.stringify(fields)}`),
    ]),
  ) as unknown as Logger;
  started: readonly FlowRecord[] = [];
  #installed: Ufid[] = [];
  #ufid = 0;
  #datapath!: OvsDatapath;
  #poller!: Poller;

  static async create(): Promise<Bench> {
    await loadOpenvswitch();
    await loadModules("8021q");
    Deno.mkdirSync(FOLDER, { recursive: true });
    await ip([SWITCH, ONE, TWO, REMOTE].map((name) => `netns add ${name}`));
    await ip([
      `link add v1 netns ${SWITCH} mtu 1376 type veth peer name ethmesh netns ${ONE} mtu 1376`,
      `link add v2 netns ${SWITCH} mtu 1376 type veth peer name ethmesh netns ${TWO} mtu 1376`,
      `link add u0 netns ${SWITCH} type veth peer name eth0 netns ${REMOTE}`,
    ]);
    await ip(
      ["link set v1 up", "link set v2 up", "addr add 192.168.9.1/24 dev u0", "link set u0 up"],
      SWITCH,
    );
    for (const [i, name] of [ONE!, TWO!].entries()) {
      await ip([
        `addr add 10.2.1.${i + 1}/24 dev ethmesh`,
        "link set ethmesh up",
        "link add link ethmesh name tagged type vlan id 5",
        `addr add 10.5.1.${i + 1}/24 dev tagged`,
        "link set tagged up",
      ], name);
    }
    await ip([
      "addr add 192.168.9.2/24 dev eth0",
      "link set eth0 up",
      `link add vx mtu 1376 type vxlan id ${VNI} remote 192.168.9.1 dstport ${UDP_PORT} noudpcsum`,
      "addr add 10.2.1.3/24 dev vx",
      "link set vx up",
    ], REMOTE);
    const bench = new Bench();
    bench.one.addresses = ["10.2.1.1"];
    bench.two.addresses = ["10.2.1.2"];
    bench.open();
    bench.#addPorts();
    return bench;
  }
  /** Opens the datapath, again perhaps, as a restart does. */
  open(): void {
    const adapters = ovsAdapters({ log: this.#log, netns: path(SWITCH) });
    this.#datapath?.[Symbol.dispose]();
    const tap = inNetns(path(SWITCH), () => Tap.open({ name: TAP_NAME, longest: TAP_PACKET }));
    this.#datapath = OvsDatapath.open(adapters, {
      name: "meshnet",
      mtu: 1376,
      leg: new HostLeg({ loadDropAll, log: this.#log }),
      userSpace: {
        tap,
        openPath: (take) => this.relay = new RelayPath(take),
        [Symbol.dispose]: () => tap[Symbol.dispose](),
      },
    });
    const started = this.#datapath.start();
    assert.ok(started.kind === "started");
    this.started = started.flows;
    for (const port of started.ports) this.#post({ kind: "port-appeared", port });
    this.#poller = new Poller(this.#datapath.fds);
  }
  #addPorts(): void {
    using socket = openNetlinkIn({ protocol: "generic", netns: path(SWITCH) });
    const families = findOvsFamilies(socket)!;
    const [found] = socket.request(encodeDatapathGet(families, "meshnet"));
    const index = new DataView(found!.buffer, found!.byteOffset).getInt32(20, true);
    for (const name of ["v1", "v2"]) {
      socket.request(encodeVportNew(families, index, { kind: "netdev", name, upcallPid: 0 }));
    }
    this.#datapath.perform(
      { kind: "ensure-vxlan", udpPort: UDP_PORT },
      this.#post,
      performance.now() as Millis,
    );
    this.turn(10);
  }
  readonly #post = (event: DataplaneEvent): void => {
    if (event.kind === "port-appeared") this.#ports.set(event.port.name, event.port.port);
    if (event.kind === "install-failed") this.logged.push(`install failed: ${event.reason}`);
    if (event.kind !== "miss") return;
    this.misses++;
    const { key, frame } = event.miss;
    const actions = this.rules.get(`${key.inPort} ${key.sleeve?.link ?? 0}`);
    if (actions !== undefined) this.install(key, actions, frame);
  };
  install(key: FlowKey, actions: readonly FlowAction[], frame?: Uint8Array): void {
    const ufid = ++this.#ufid as Ufid;
    this.#installed.push(ufid);
    const effect = { kind: "install", ufid, replace: false, key, actions, frame } as const;
    this.#datapath.perform(effect, this.#post, performance.now() as Millis);
  }
  /** Deletes all flows, as in the midst of traffic somebody may. */
  forgetFlows(): void {
    for (const ufid of this.#installed.splice(0)) {
      this.#datapath.perform({ kind: "delete", ufid }, this.#post, performance.now() as Millis);
    }
    this.#datapath.flush(this.#post);
  }
  port(name: string): PortNo {
    const port = this.#ports.get(name);
    if (port === undefined) throw new Error(`There is no port ${name}`);
    return port;
  }
  /** Both ends by way of user space, which gives the packets of each to `onward`. */
  connect({ toOne, toTwo }: { toOne: number; toTwo: number }): void {
    const [tap, one, two] = [this.port("mesh-tap"), this.port("v1"), this.port("v2")];
    const send = (link: number): FlowAction => ({ kind: "sleeve", port: tap, sleeve: key(link) });
    const remote = { id: VNI, src: "192.168.9.1" as Ip, dst: "192.168.9.2" as Ip };
    const vxlan = this.port(`vxlan-${UDP_PORT}`);
    const rules: Record<string, readonly FlowAction[]> = {
      [`${one} 0`]: [send(LINK.fromOne)],
      [`${two} 0`]: [send(LINK.fromTwo)],
      [`${vxlan} 0`]: [send(LINK.fromVxlan)],
      [`${tap} ${LINK.toOne}`]: [{ kind: "output", port: one }],
      [`${tap} ${LINK.toTwo}`]: [{ kind: "output", port: two }],
      [`${tap} ${LINK.transitIn}`]: [send(LINK.transitOut)],
      [`${tap} ${LINK.toVxlan}`]: [{ kind: "tunnel", port: vxlan, tunnel: remote }],
    };
    this.rules.clear();
    for (const [rule, actions] of Object.entries(rules)) this.rules.set(rule, actions);
    const { relay } = this.relay;
    relay.clear();
    relay.set(LINK.fromOne as LinkId, key(toTwo));
    relay.set(LINK.fromTwo as LinkId, key(toOne));
    relay.set(LINK.transitOut as LinkId, key(LINK.toTwo));
    relay.set(LINK.fromVxlan as LinkId, key(LINK.toOne));
    this.relay.forget();
    this.misses = 0;
  }
  turn(waitMs: number): void {
    this.#poller.wait(waitMs);
    const now = performance.now() as Millis;
    this.#datapath.wake(this.#post, now);
    this.#datapath.drain(this.#post, { now, isReady: (index) => this.#poller.isReady(index) });
    this.#datapath.flush(this.#post);
  }
  /** Carries packets until something is done. */
  async whileRunning<T>(work: Promise<T>): Promise<T> {
    let running = true;
    const done = work.finally(() => running = false);
    done.catch(() => {});
    while (running) {
      for (let i = 0; i < 20; i++) this.turn(1);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return await done;
  }
  /** Waits until nothing moves any more: what a transfer leaves in sockets goes on when it has ended. */
  async settled(): Promise<void> {
    let before = -1;
    await this.whileRunning(until("nothing moves any more", async () => {
      const seen = this.misses + this.relay.packets;
      if (seen === before) return true;
      before = seen;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return false;
    }));
  }
  get dropped() {
    return this.#datapath.counts().sleeve!.dropped;
  }
  async explain(): Promise<string> {
    const flows = await dumpFlows(SWITCH).catch(() => []);
    const { header, largest, packets } = this.relay;
    return [
      ...flows.map((flow) => `${flow.key} -> ${flow.actions} (${flow.packets})`),
      JSON.stringify({ header, largest, packets, misses: this.misses, dropped: this.dropped }),
      ...this.logged,
    ].join("\n");
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#datapath[Symbol.dispose]();
    await exec(["ovs-dpctl", "del-dp", "meshnet"], { netns: SWITCH });
    await ip([SWITCH, ONE, TWO, REMOTE].map((name) => `netns del ${name}`));
  }
}

/** Octets of a packet that nobody has cut to the MTU. How large TCP makes them depends on how fast the machine is. */
const WHOLE = 10_000;
const MBITS = (rate: number) => `${Math.round(rate / 1e6)} Mbit/s`;

export default suite({ name: "sleeve's port", open: () => Bench.create() }, {
  "super-packets cross it whole in both directions, one tag on them": async (bench) => {
    bench.connect({ toTwo: LINK.toTwo, toOne: LINK.toOne });
    await bench.whileRunning(bench.one.mustPing("10.2.1.2", "-c", "5", "-i", "0.05", "-W", "3"));
    const rate = await bench.whileRunning(bench.one.iperf(bench.two, 2));
    const { header, largest, packets, type } = bench.relay;
    note(
      `TCP through user space ${MBITS(rate)}; ${packets} packets, largest ${largest}, ${bench.misses} misses`,
    );
    assert.ok(largest > WHOLE, `largest packet is ${largest}`);
    assert.deepEqual([header?.gso, header?.checksumStart, header?.checksumOffset], [1, 34, 16]);
    assert.equal(type, 0x0800); // nothing is left of the tag
    assert.ok(bench.misses < 500, `${bench.misses} misses`);
    const flows = await dumpFlows(SWITCH);
    assert.ok(
      flows.some((flow) => /push_vlan.*,\d+$/.test(flow.actions) && flow.packets > 100),
      await bench.explain(),
    );
    assert.ok(
      flows.some((flow) => /^pop_vlan,\d+$/.test(flow.actions) && flow.packets > 100),
      await bench.explain(),
    );
  },
  "flows that vanish under a running transfer: the segments of super-packets miss and are executed": async (
    bench,
  ) => {
    bench.connect({ toTwo: LINK.toTwo, toOne: LINK.toOne });
    const transfer = bench.one.iperf(bench.two, 2);
    let before = 0;
    const timer = setInterval(() => {
      before = bench.misses;
      bench.forgetFlows();
    }, 300);
    const rate = await bench.whileRunning(transfer).finally(() => clearInterval(timer));
    note(`TCP ${MBITS(rate)}, ${bench.misses} misses`);
    assert.ok(before > 0 && rate > 1e6, `${before} misses, ${MBITS(rate)}`);
    await bench.settled();
  },
  "relayed from link to link it goes in and out again": async (bench) => {
    bench.forgetFlows();
    bench.connect({ toTwo: LINK.transitIn, toOne: LINK.toOne });
    await bench.whileRunning(bench.one.mustPing("10.2.1.2", "-c", "3", "-i", "0.05", "-W", "3"));
    const rate = await bench.whileRunning(bench.one.iperf(bench.two, 2));
    note(`TCP ${MBITS(rate)}, largest ${bench.relay.largest}`);
    assert.ok(bench.relay.largest > WHOLE);
    const flows = await dumpFlows(SWITCH);
    assert.ok(
      flows.some((flow) => /^pop_vlan,push_vlan.*,\d+$/.test(flow.actions) && flow.packets > 100),
      await bench.explain(),
    );
  },
  "relayed from a link into a tunnel, and back": async (bench) => {
    bench.forgetFlows();
    bench.connect({ toTwo: LINK.toVxlan, toOne: LINK.toOne });
    await bench.whileRunning(bench.one.mustPing("10.2.1.3", "-c", "3", "-i", "0.05", "-W", "3"));
    const remote = new Container(REMOTE!);
    remote.addresses = ["10.2.1.3"];
    const rate = await bench.whileRunning(bench.one.iperf(remote, 2));
    note(`TCP ${MBITS(rate)}, largest ${bench.relay.largest}`);
    assert.ok(bench.relay.largest > WHOLE);
    const back = await bench.whileRunning(bench.one.iperf(remote, 2, "-R"));
    note(`and back ${MBITS(back)}`);
  },
  "frames with a tag of their own keep it": async (bench) => {
    bench.forgetFlows();
    bench.connect({ toTwo: LINK.toTwo, toOne: LINK.toOne });
    await bench.whileRunning(bench.one.mustPing("10.5.1.2", "-c", "3", "-i", "0.05", "-W", "3"));
    const two = new Container(TWO!);
    two.addresses = ["10.5.1.2"];
    const rate = await bench.whileRunning(bench.one.iperf(two, 2));
    const { header, largest, type } = bench.relay;
    note(`TCP ${MBITS(rate)}, largest ${largest}`);
    assert.equal(type, 0x8100);
    assert.deepEqual([header?.gso, header?.checksumStart], [1, 38]);
    assert.ok(largest > WHOLE);
    assert.ok(bench.misses < 1_000, `${bench.misses} misses`);
  },
  "after a restart flows with tags are told from others": async (bench) => {
    bench.connect({ toTwo: LINK.toTwo, toOne: LINK.toOne });
    await bench.whileRunning(bench.one.mustPing("10.5.1.2", "-c", "2", "-i", "0.05", "-W", "3"));
    bench.install({ inPort: 0 as PortNo }, [{ kind: "output", port: bench.port("v1") }]);
    bench.turn(0);
    bench.open();
    const kinds: string[] = bench.started.map(({ key, actions }) =>
      key?.sleeve !== undefined ? "from" : actions?.some((a) => a.kind === "sleeve") ? "to" : "other"
    );
    assert.ok(["from", "to", "other"].every((kind) => kinds.includes(kind)), kinds.join(" "));
    assert.ok(bench.started.every(({ key }) => key !== undefined), "a flow has no key");
    const tagged = bench.started.filter(({ key }) => key?.sleeve !== undefined && key.tagged);
    assert.ok(tagged.length > 0);
  },
});
