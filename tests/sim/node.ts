/** One simulated peer: a complete router core, its sockets and an overlay that is made up. */
import type { Endpoint, Ip } from "../../mod/core/addr.ts";
import { type PeerName, peerNameFromNumber, type PeerUid, toShortId } from "../../mod/core/names.ts";
import type { LinkId, OverlayRequest, TopologyView } from "../../mod/core/overlay_port.ts";
import type { GossipChannel, Sealer } from "../../mod/core/ports.ts";
import { RouterCore } from "../../mod/mesh/router.ts";
import type { TopologyDecoder } from "../../mod/mesh/gossip/topology_channel.ts";
import type { AttemptId, SocketId } from "../../mod/mesh/mesh_ids.ts";
import type { RouterEffect, RouterEvent } from "../../mod/mesh/router_types.ts";
import type { VirtualClock } from "./clock.ts";
import type { End, EndHandlers, Network } from "./network.ts";
import type { SeededRandom } from "./random.ts";
import type { Trace } from "./trace.ts";

/** The mesh port of all simulated peers. */
export const PORT = 6783;

/** How a made-up overlay behaves. */
export interface OverlayFaults {
  /** Time between two heartbeats until one is answered, milliseconds. */
  readonly interval: number;
  /** Probability that a heartbeat or its answer is lost. */
  readonly loss: number;
  /** Probability that it fails for good instead. */
  readonly fails: number;
}

/** What all nodes of a world share. */
export interface NodeContext {
  readonly clock: VirtualClock;
  readonly network: Network;
  readonly trace: Trace;
  readonly overlay: OverlayFaults;
  readonly sealer: Sealer;
  readonly password: Uint8Array | undefined;
  readonly connLimit: number;
  readonly discovery: boolean;
  /** Whether nodes that were never connected take another name when another one has theirs. */
  readonly canRename: boolean;
  readonly decodeTopology: TopologyDecoder;
}

/** Handles the events of a connection whose process is gone. */
const NOBODY: EndHandlers = { data: () => {}, written: () => {}, closed: () => {} };

/** A sealer for meshes without a password: nothing may call it. */
export const NO_SEALER: Sealer = {
  publicKey: () => unused(),
  sessionKey: () => unused(),
  seal: () => unused(),
  open: () => unused(),
};

function unused(): never {
  throw new TypeError("Cannot seal: the mesh has no password");
}

/** The name of the node with this index, from 0. */
export function nameOf(index: number): PeerName {
  return peerNameFromNumber(0x0200_0000_0001 + index)!;
}

/** The address of the node with this index. */
export function addressOf(index: number): Endpoint {
  return { ip: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}` as Ip, port: PORT };
}

/** A peer. Starting it again makes a new process of the same identity. */
export class SimNode {
  readonly label: string;
  name: PeerName;
  /** Whether a connection has worked under its name. */
  settled = false;
  address: Endpoint;
  core: RouterCore | undefined;
  /** Targets as the last run left them. */
  targets: readonly string[] = [];
  /** What its router logged at level warn, as `event: reason`. */
  /** What the data plane was last told of the mesh. */
  view: TopologyView | undefined;
  readonly warnings: string[] = [];
  #run = 0;
  #sockets = new Map<SocketId, End>();
  #dials = new Map<AttemptId, () => void>();
  #serial = 0;
  #queue: RouterEvent[] = [];
  #stepping = false;
  #alarm = Infinity;
  #shortId: number;
  #confirmed = new Map<LinkId, { readonly remote: string; readonly peer: PeerName }>();

  readonly index: number;

  constructor(
    identity: { readonly index: number; readonly name: PeerName },
    readonly context: NodeContext,
    readonly random: SeededRandom,
  ) {
    this.index = identity.index;
    this.label = `n${identity.index}`;
    this.name = identity.name;
    this.address = addressOf(identity.index);
    this.#shortId = random.below(4096);
  }

  /** Starts a process that dials the targets. */
  start(
    options: { readonly targets?: readonly string[]; readonly channels?: readonly GossipChannel[] } = {},
  ): void {
    const { clock, sealer, password, connLimit, discovery } = this.context;
    const run = ++this.#run;
    const { name, random } = this;
    const identity = { name, nickname: this.label, shortId: toShortId(this.#shortId)! };
    const uid = BigInt(random.next()) * 2n ** 20n + BigInt(run) as PeerUid;
    const { decodeTopology } = this.context;
    const limits = { decodeTopology, connLimit, discovery, minVersion: 1 as const, trusted: [] };
    const canRename = this.context.canRename && !this.settled;
    const rest = { port: PORT, overlays: ["fastdp", "sleeve"], channels: options.channels ?? [] };
    this.core = new RouterCore(
      { ...identity, uid, ...limits, ...rest, canRename, password, random, sealer },
      clock.now(),
    );
    this.#sockets = new Map();
    this.#dials = new Map();
    this.#confirmed = new Map();
    this.#queue = [];
    this.#alarm = Infinity;
    this.#listen();
    this.context.trace.note(clock.now(), this.label, "starts");
    this.targets = options.targets ?? this.targets;
    this.post({ kind: "targets", change: { connect: this.targets, replace: true } });
  }

  #listen(): void {
    const { address } = this;
    this.context.network.listen(address, {
      accept: (end, remote) => {
        if (!this.core!.mayEnter(remote.ip, this.context.clock.now())) {
          end.close();
          return NOBODY;
        }
        const socket = this.#adopt(end);
        this.post({ kind: "accepted", socket, local: address, remote });
        return this.#handlers(socket);
      },
    });
  }

  /** The host gets another address. `heard`: what its system tells of that, or nothing. */
  renumber(address: Endpoint, { heard }: { readonly heard: boolean }): void {
    const { network, trace, clock } = this.context;
    const old = this.address;
    network.retire(old);
    this.address = address;
    this.#listen();
    trace.note(clock.now(), this.label, `is at ${address.ip}`);
    if (heard) this.post({ kind: "network-changed", gone: [old.ip], come: [address.ip] });
  }

  /** The made-up overlay hears a peer at another address. */
  overlayMoved(peer: PeerName, remote: Ip): void {
    for (const [link, confirmed] of this.#confirmed) {
      if (confirmed.peer === peer) this.post({ kind: "overlay", event: { kind: "moved", link, remote } });
    }
  }

  /** What a daemon does whose name another host has: it starts again under another one. */
  #rename(): void {
    const alive = this.#alive();
    this.context.clock.after(50, () => {
      if (!alive()) return;
      this.stop();
      this.name = peerNameFromNumber(0x0600_0000_0001 + this.random.below(2 ** 30))!;
      this.start();
    });
  }

  /** Ends the process; `silent`: the host vanishes as well. */
  stop(silent = false): void {
    this.core = undefined;
    this.#run++;
    this.context.trace.note(this.context.clock.now(), this.label, silent ? "vanishes" : "stops");
    this.context.network.kill(this.address, silent);
  }

  /** Hands an event to the router, as the driver does. */
  post(event: RouterEvent): void {
    this.#queue.push(event);
    if (this.#stepping || this.core === undefined) return;
    this.#stepping = true;
    const { core } = this;
    const { clock } = this.context;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      for (const effect of core.step(next, clock.now())) this.#perform(effect);
    }
    this.#stepping = false;
    this.#arm(core.nextWake());
  }

  #arm(at: number): void {
    if (at >= this.#alarm) return;
    this.#alarm = at;
    const run = this.#run;
    this.context.clock.at(at, () => {
      if (run !== this.#run || this.#alarm !== at) return;
      this.#alarm = Infinity;
      this.post({ kind: "wake" });
    });
  }

  #perform(effect: RouterEffect): void {
    const { network, clock, trace } = this.context;
    switch (effect.kind) {
      case "write":
        return this.#sockets.get(effect.socket)?.write(effect.data);
      case "close":
        this.#sockets.get(effect.socket)?.close();
        this.#sockets.delete(effect.socket);
        return;
      case "dial": {
        const { attempt, address } = effect;
        const alive = this.#alive();
        let wanted = true;
        const giveUp = network.dial(this.address, address, {
          done: (end) => {
            this.#dials.delete(attempt);
            if (!alive() || !wanted) {
              end.close();
              return NOBODY;
            }
            const socket = this.#adopt(end);
            this.post({ kind: "dialed", attempt, socket, local: end.local, remote: address });
            return this.#handlers(socket);
          },
          failed: (failure) => {
            this.#dials.delete(attempt);
            if (alive()) this.post({ kind: "dial-failed", attempt, failure, message: failure });
          },
        });
        this.#dials.set(attempt, () => {
          wanted = false;
          giveUp();
        });
        return;
      }
      case "abandon":
        return this.#dials.get(effect.attempt)?.();
      case "resolve":
        return this.post({
          kind: "resolved",
          attempt: effect.attempt,
          answer: `${effect.host} has no address`,
        });
      case "overlay":
        return this.#overlay(effect.request);
      case "reachable":
        return; // nothing here asks whom messages reach
      case "settled":
        this.settled = true;
        return;
      case "rename":
        this.#rename();
        return;
      case "short-id":
        this.#shortId = effect.shortId;
        return;
      case "log":
        if (effect.level === "warn") this.warnings.push(`${effect.event}: ${effect.fields["reason"]}`);
        return trace.note(clock.now(), this.label, `${effect.event} ${JSON.stringify(effect.fields)}`);
    }
  }

  /** Says whether the process that is running now still runs. */
  #alive(): () => boolean {
    const process = this.#run;
    return () => process === this.#run;
  }

  #adopt(end: End): SocketId {
    const socket = ++this.#serial as SocketId;
    this.#sockets.set(socket, end);
    return socket;
  }

  #handlers(socket: SocketId): EndHandlers {
    const alive = this.#alive();
    return {
      data: (data) => alive() && this.post({ kind: "bytes", socket, data }),
      written: (count) => alive() && this.post({ kind: "written", socket, count }),
      closed: (reason) => {
        if (!alive()) return;
        this.#sockets.delete(socket);
        this.post({ kind: "closed", socket, reason });
      },
    };
  }

  /** The made-up overlay: works as soon as a heartbeat comes through. */
  #overlay(request: OverlayRequest): void {
    if (request.kind === "prepare") {
      this.#confirmed.set(request.link, { remote: request.remote.ip, peer: request.peer });
    }
    if (request.kind === "stop") this.#confirmed.delete(request.link);
    if (request.kind === "topology") this.view = request.view;
    if (request.kind !== "confirm") return;
    const { overlay, clock } = this.context;
    const { link } = request;
    if (overlay.fails > 0 && this.random.chance(overlay.fails)) {
      const failed = { kind: "failed", link, reason: "no heartbeat arrived for 60 s" } as const;
      const alive = this.#alive();
      return clock.after(60_000, () => alive() && this.post({ kind: "overlay", event: failed }));
    }
    this.#heartbeat(link);
  }

  #heartbeat(link: LinkId): void {
    const { overlay, clock, network } = this.context;
    const alive = this.#alive();
    clock.after(this.random.between(0.5, 1) * overlay.interval, () => {
      const confirmed = this.#confirmed.get(link);
      if (!alive() || confirmed === undefined) return;
      if (this.random.chance(overlay.loss) || !network.reaches(this.address.ip, confirmed.remote)) {
        return this.#heartbeat(link);
      }
      this.post({ kind: "overlay", event: { kind: "established", link } });
    });
  }
}
