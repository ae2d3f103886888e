/** A Linux bridge, a TAP and flows in user space as a Datapath: for hosts whose kernel has no Open vSwitch. */
import { type Mac, macAt } from "../core/addr.ts";
import { assertNever } from "../core/brand.ts";
import type { Millis } from "../core/time.ts";
import { ETHERNET_HEADER } from "../wire/packet/ethernet.ts";
import type { FlowAction, Miss, PortNo, SleeveKey, Vport } from "../wire/netlink/ovs_keys.ts";
import { VIRTIO_HEADER } from "../wire/packet/virtio_net.ts";
import type { Datapath, DatapathCounts, DatapathEffect, PostEvent } from "../overlay/ports/datapath_port.ts";
import type { DataplaneEvent } from "../overlay/ports/dataplane_types.ts";
import type { SleevePort, TakePacket } from "../overlay/ports/sleeve_port.ts";
import { loopProbeAt } from "../wire/packet/loop_probe.ts";
import { GroupFrames } from "./group_frames.ts";
import { EndedFlows } from "./ended_flows.ts";
import { MissQueue, placeOf, READ_PACKETS } from "./miss_queue.ts";
import type { TapKeeper } from "./tap_keeper.ts";
import { TAP_PACKET, type TapPort } from "../overlay/ports/tap_port.ts";
import { tagAt, type UserFlow, UserFlows } from "./user_flows.ts";

/** The bridge with everything that hangs on it, through the TAP. */
export const BRIDGE_PORT = 1 as PortNo;
/** The links to other peers. */
export const SLEEVE_PORT = 2 as PortNo;
/** Bounds that are not the usual ones: all containers are behind one port. */
export const BRIDGE_LIMITS = { macsPerPort: 16_384, flowsPerSource: 32_768 } as const;
/** Packets of the TAP that flows carry in one call of drain(): links, timers and requests come in between. */
const TAP_BATCH = 64;
/** A packet of the TAP that comes so long after the one before is alone. */
const ALONE_MS = 0.2;
/** Packets in succession that are taken for alone, before it is looked whether more wait: rounds of a busy machine are long. */
const ALONE_AT_MOST = 4;
/** Where packets are read to: room for a tag in front. */
const READ_AT = 16;

/** Misses of senders that have flows wait in their own name: their places begin here. All others of the bridge share one, as
 * nothing tells at which port they are. */
const SENDERS = 2 ** 49;

/** A packet of a miss that waits. */
interface WaitingPacket {
  readonly sleeve: SleeveKey | undefined;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A packet under way: what the actions of a decision about it are carried out on. */
interface Packet {
  bytes: Uint8Array<ArrayBuffer>;
  from: number;
  to: number;
}

/** What watches for loops between containers. */
export interface LoopWatch {
  /** Frames for everybody come from containers in masses; `repeated`: the same one, as in a loop. */
  storm(now: Millis, repeated: boolean): void;
  /** A probe has come by. `cut`: it is ours, and a container was stopped for it. */
  returned(number: number, now: Millis): "strange" | "ours" | "cut";
  /** A probe of another host has come from a container. */
  strange(now: Millis): void;
  /** The bridge is not to look for an address behind the TAP. */
  unlearn(mac: Mac, now: Millis): void;
  /** Host ends that are stopped. */
  readonly stopped: readonly string[];
  /** Earliest time at which it has something to do, as it stands after one of these calls. */
  nextWake(): number;
}

/** The bridge stays when it is disposed, the TAP goes. */
export class BridgeDatapath implements Datapath {
  readonly #tap: TapPort;
  readonly #sleeve: SleevePort;
  readonly #keeper: TapKeeper;
  readonly #flows = new UserFlows();
  readonly #ended = new EndedFlows();
  readonly #waiting = new MissQueue<WaitingPacket>();
  /** For frames that are no packet under way. */
  readonly #own = new Uint8Array(TAP_PACKET);
  readonly #packet: Packet = { bytes: this.#own, from: 0, to: 0 };
  #frame: Uint8Array | undefined;
  /** Whether the core is at work: what is posted then waits until it has done. */
  #busy = false;
  #post: PostEvent = () => {};
  readonly #watch: LoopWatch | undefined;
  /** When the loop must look at #watch, which heard something since it looked last. */
  #watchAt = Infinity;
  readonly #groups = new GroupFrames((repeated) => {
    this.#watch?.storm(this.#now, repeated);
    this.#heedWatch();
  });
  /** What the links are drained at: their descriptors come behind the TAP's and the keeper's. */
  readonly #linksAt = { now: 0 as Millis, isReady: (index: number): boolean => this.#isReady(index + 2) };
  #isReady: (index: number) => boolean = () => false;
  /** When the TAP was read last, and whether more was there than was taken. */
  #readAt = -Infinity;
  #crowded = false;
  /** Packets in succession that were taken for alone. */
  #alone = 0;
  #now = 0 as Millis;
  #hits = 0;
  #misses = 0;
  #refused = 0;
  #written = 0;

  /** `connect` makes the user-space path, which hands what arrives to the function it is given. Takes all three over. */
  constructor(
    tap: TapPort,
    connect: (take: TakePacket) => SleevePort,
    keeper: TapKeeper,
    watch?: LoopWatch,
  ) {
    this.#watch = watch;
    this.#tap = tap;
    this.#keeper = keeper;
    this.#sleeve = connect((key, bytes, from, to) => this.#arrived(key, bytes, from, to));
  }

  /** The TAP first, then that of news of interfaces, then those of the links. */
  get fds(): readonly number[] {
    return [this.#tap.fd, this.#keeper.fd, ...this.#sleeve.fds];
  }

  /** See Datapath. */
  start(): DataplaneEvent {
    const none = { ifindex: undefined, udpPort: undefined, upcallPids: [] };
    const ports: readonly Vport[] = [
      { port: BRIDGE_PORT, kind: "netdev", name: this.#tap.name, ...none },
      { port: SLEEVE_PORT, kind: "sleeve", name: "sleeve", ...none },
    ];
    return { kind: "started", ports, flows: [] };
  }

  /** See Datapath. */
  drain(post: PostEvent, at: { now: Millis; isReady: (index: number) => boolean }): boolean {
    this.#post = post;
    this.#now = this.#linksAt.now = at.now;
    this.#isReady = at.isReady;
    if (at.isReady(1) || this.#tap.gone) this.#keeper.drain(at.isReady(1), at.now);
    const written = this.#written;
    this.#waiting.begin();
    const more = this.#sleeve.drain(post, this.#linksAt);
    // What was written to the TAP may have been answered meanwhile: an echo, an acknowledgement.
    const answered = this.#written !== written;
    const unread = (at.isReady(0) || answered) && this.#readTap();
    if (!this.#waiting.waits) return unread || more;
    this.#serve();
    return true;
  }

  /** Misses that have waited, as far as it is their turn. Others of the same flow may have been decided meanwhile. */
  #serve(): void {
    const { buffer } = this.#tap;
    for (let next = this.#waiting.take(); next !== undefined; next = this.#waiting.take()) {
      const { bytes, sleeve } = next;
      buffer.set(bytes, READ_AT);
      const to = READ_AT + bytes.length;
      const frame = READ_AT + VIRTIO_HEADER;
      const flow = sleeve === undefined
        ? this.#flows.ofLocal(buffer, frame)
        : this.#flows.ofLink(sleeve, buffer, frame);
      if (flow === undefined) {
        this.#decide({ ...originOf(sleeve), ...addressesAt(buffer, frame) }, buffer, READ_AT, to);
      } else if (sleeve !== undefined || this.#allows(flow, buffer, frame)) {
        this.#follow(flow, buffer, READ_AT, to);
      }
    }
  }

  /** Takes packets from the TAP. One that comes alone leaves with the end of this round, and waiting tells whether there is
   * another; those that come in a row are gathered. */
  #readTap(): boolean {
    const late = this.#now - this.#readAt > ALONE_MS; // or this thread had to wait for the processor
    const alone = late && !this.#crowded && this.#alone < ALONE_AT_MOST;
    this.#alone = alone ? this.#alone + 1 : 0;
    this.#readAt = this.#now;
    const tap = this.#tap;
    let left = alone ? 1 : TAP_BATCH;
    for (let most = alone ? 1 : READ_PACKETS; left > 0 && most > 0; most--) {
      const length = tap.read(READ_AT);
      if (length === 0) {
        this.#crowded = false;
        return false;
      }
      if (this.#departing(tap.buffer, READ_AT, READ_AT + length)) left--;
    }
    this.#crowded = !alone;
    return !alone;
  }

  /** A packet of a local container. Says whether a flow has carried it. */
  #departing(bytes: Uint8Array<ArrayBuffer>, from: number, to: number): boolean {
    const frame = from + VIRTIO_HEADER;
    if (to - frame < ETHERNET_HEADER) return false;
    const isGroup = (bytes[frame]! & 1) !== 0;
    if (isGroup) {
      const probe = this.#probeAt(bytes, frame, to);
      if (probe === "ours" || probe === "cut") return false;
      if (probe === "strange") {
        this.#watch?.strange(this.#now);
        this.#heedWatch();
      }
      this.#groups.seen(bytes, frame, to, this.#now);
    }
    const flow = this.#flows.ofLocal(bytes, frame);
    if (flow === undefined) this.#miss(undefined, bytes, from, to);
    else if (!isGroup || this.#allows(flow, bytes, frame)) this.#follow(flow, bytes, from, to);
    return flow !== undefined;
  }

  /** Whether a frame of a container is within what its sender may send to a group. */
  #allows(flow: UserFlow, bytes: Uint8Array, frame: number): boolean {
    const first = bytes[frame]!;
    return (first & 1) === 0 || this.#groups.allows(flow, first === 0xff, this.#now);
  }

  /** A packet that came over a link. */
  #arrived(key: SleeveKey, bytes: Uint8Array<ArrayBuffer>, from: number, to: number): void {
    const frame = from + VIRTIO_HEADER;
    if (to - frame < ETHERNET_HEADER) return;
    const probe = (bytes[frame]! & 1) === 0 ? undefined : this.#probeAt(bytes, frame, to);
    if (probe === "ours" || probe === "cut") return;
    const flow = this.#flows.ofLink(key, bytes, frame);
    if (flow !== undefined) return this.#follow(flow, bytes, from, to);
    this.#miss({ link: key.link, id: key.id }, bytes, from, to);
  }

  /** A probe of ours says that it has come back, and has done its work. */
  #probeAt(bytes: Uint8Array, frame: number, to: number): "ours" | "cut" | "strange" | undefined {
    const number = loopProbeAt(bytes, frame, to);
    if (number === undefined) return undefined;
    const found = this.#watch?.returned(number, this.#now) ?? "strange";
    this.#heedWatch();
    if (found === "cut") this.#post({ kind: "loop-cut", port: BRIDGE_PORT });
    return found;
  }

  #heedWatch(): void {
    this.#watchAt = this.#watch?.nextWake() ?? Infinity;
  }

  #follow(flow: UserFlow, bytes: Uint8Array<ArrayBuffer>, from: number, to: number): void {
    this.#hits++;
    flow.packets++;
    flow.bytes += to - from - VIRTIO_HEADER;
    this.#run(flow.actions, bytes, from, to);
  }

  #miss(sleeve: SleeveKey | undefined, bytes: Uint8Array<ArrayBuffer>, from: number, to: number): void {
    this.#misses++;
    const key = { ...originOf(sleeve), ...addressesAt(bytes, from + VIRTIO_HEADER) };
    if (this.#busy) {
      // An answer to a packet under way: the octets are gone when its turn comes.
      return this.#post({ kind: "miss", miss: { key, frame: bytes.slice(from + VIRTIO_HEADER, to) } });
    }
    if (this.#waiting.atOnce(false)) return this.#decide(key, bytes, from, to);
    const sender = sleeve === undefined && this.#flows.knowsLocal(key.ethSrc);
    const place = sender ? SENDERS + key.ethSrc : placeOf(key);
    this.#waiting.keep(place, to - from, () => ({ sleeve, bytes: bytes.slice(from, to) }));
  }

  #decide(key: Miss["key"], bytes: Uint8Array<ArrayBuffer>, from: number, to: number): void {
    const frame = bytes.subarray(from + VIRTIO_HEADER, to);
    const packet = this.#packet;
    [packet.bytes, packet.from, packet.to] = [bytes, from, to];
    this.#frame = frame;
    this.#post({ kind: "miss", miss: { key, frame } });
    this.#frame = undefined;
  }

  #run(actions: readonly FlowAction[], bytes: Uint8Array<ArrayBuffer>, from: number, to: number): void {
    const count = actions.length;
    for (let i = 0; i < count; i++) {
      const action = actions[i]!;
      if (action.kind === "output") {
        if (this.#tap.write(bytes, from, to)) this.#written++;
        else this.#refused++;
      } else if (action.kind === "sleeve") {
        const broadcast = count > 1 || (bytes[from + VIRTIO_HEADER]! & 1) !== 0;
        this.#sleeve.send(action.sleeve, bytes, { from, to, broadcast });
      }
    }
  }

  /** Carries actions out on the packet that a frame is of, or on a frame of our own. */
  #execute(actions: readonly FlowAction[], frame: Uint8Array): void {
    if (frame === this.#frame) {
      const { bytes, from, to } = this.#packet;
      return this.#run(actions, bytes, from, to);
    }
    const end = READ_AT + VIRTIO_HEADER + frame.length;
    if (end > this.#own.length) return void this.#refused++;
    this.#own.fill(0, READ_AT, READ_AT + VIRTIO_HEADER);
    this.#own.set(frame, READ_AT + VIRTIO_HEADER);
    this.#run(actions, this.#own, READ_AT, end);
  }

  /** See Datapath. */
  perform(effect: DatapathEffect, post: PostEvent, now: Millis): void {
    const nested = this.#busy;
    this.#busy = true;
    try {
      this.#perform(effect, post, now);
    } finally {
      this.#busy = nested;
    }
  }

  #perform(effect: DatapathEffect, post: PostEvent, now: Millis): void {
    switch (effect.kind) {
      case "install":
        this.#ended.add(this.#flows.get(effect.ufid));
        this.#flows.install(effect.ufid, effect.key, effect.actions);
        if (effect.frame !== undefined) this.#execute(effect.actions, effect.frame);
        return;
      case "execute":
        return this.#execute(effect.actions, effect.frame);
      case "delete":
        this.#ended.add(this.#flows.get(effect.ufid));
        return this.#flows.delete(effect.ufid);
      case "delete-foreign":
        return; // nobody else makes flows here
      case "whereabouts":
        return; // the kernel's bridge has its own
      case "unlearn":
        return this.#watch?.unlearn(effect.mac, now);
      case "dump-flows":
        return post({ kind: "flows", flows: this.#flows.records() });
      case "ensure-vxlan": {
        const reason = "a bridge has no tunnel ports";
        return post({ kind: "vxlan-failed", udpPort: effect.udpPort, reason });
      }
      case "sleeve-open":
      case "sleeve-close":
      case "special":
        return this.#sleeve.perform(effect, now);
      default:
        assertNever(effect);
    }
  }

  /** See Datapath. */
  flush(post: PostEvent): void {
    this.#sleeve.flush(post);
    this.#ended.tell(post);
  }

  /** See Datapath. */
  nextWake(): number {
    return Math.min(this.#keeper.nextWake(), this.#watchAt);
  }

  /** See Datapath. */
  wake(post: PostEvent, now: Millis): void {
    this.#post = post;
    this.#watchAt = Infinity; // the loop looks at #watch itself
    this.#keeper.wake(now);
  }

  /** See Datapath. */
  counts(): DatapathCounts {
    const [hits, misses, refused] = [this.#hits, this.#misses, this.#refused + this.#groups.refused];
    const stopped = this.#watch?.stopped ?? [];
    const sleeve = this.#sleeve.counts();
    const { mended: repaired } = this.#keeper;
    return {
      hits,
      misses,
      refused,
      lost: this.#waiting.lost,
      masks: 0,
      damaged: 0,
      repaired,
      sleeve,
      stopped,
    };
  }

  /** See Datapath. */
  [Symbol.dispose](): void {
    this.#keeper[Symbol.dispose]();
    this.#sleeve[Symbol.dispose]();
    this.#tap[Symbol.dispose]();
  }
}

function originOf(sleeve: SleeveKey | undefined): Pick<Miss["key"], "inPort" | "sleeve"> {
  return sleeve === undefined ? { inPort: BRIDGE_PORT } : { inPort: SLEEVE_PORT, sleeve };
}

function addressesAt(bytes: Uint8Array, frame: number): Pick<Miss["key"], "ethSrc" | "ethDst" | "tagged"> {
  const addresses = { ethSrc: macAt(bytes, frame + 6), ethDst: macAt(bytes, frame) };
  return tagAt(bytes, frame) === 1 ? { ...addresses, tagged: true } : addresses;
}
