/** A router core that is attacked: checks that only the attacker's connection suffers. */
import assert from "node:assert/strict";
import type { Endpoint, Ip } from "../../../mod/core/addr.ts";
import { concatBytes } from "../../../mod/core/bytes.ts";
import { type PeerName, peerNameFromNumber, type PeerUid, type ShortId } from "../../../mod/core/names.ts";
import type { OverlayRequest } from "../../../mod/core/overlay_port.ts";
import type { Random, Sealer } from "../../../mod/core/ports.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { Intro, type MessageCodec } from "../../../mod/mesh/connections/intro.ts";
import { RouterCore } from "../../../mod/mesh/router.ts";
import type { SocketId } from "../../../mod/mesh/mesh_ids.ts";
import type { RouterConfig, RouterEvent } from "../../../mod/mesh/router_types.ts";
import { encodeGossipFrame, type GossipFrame } from "../../../mod/wire/mesh/mesh_message.ts";
import { seededRandom } from "../properties.ts";

export const US = "02:00:00:00:00:01" as PeerName;
export const FRIEND = "02:00:00:00:00:02" as PeerName;
export const MALLORY = "02:00:00:00:00:03" as PeerName;
const HEARTBEAT = 20_000;
const LOCAL: Endpoint = { ip: "192.0.2.1" as Ip, port: 6783 };

const unused = (): never => {
  throw new TypeError("Cannot seal: there is no password");
};
export const NO_SEALER: Sealer = { publicKey: unused, sessionKey: unused, seal: unused, open: unused };

/** The remote end of one connection. */
export class Caller {
  codec: MessageCodec | undefined;
  /** Bytes given to its connection that it has not read, unless it reads all at once. */
  unread = 0;
  received = 0;
  closed = false;
  /** The router's greeting, until somebody wants to hear it. */
  #heard: Uint8Array[] = [];
  #intro: Intro | undefined;

  constructor(readonly router: Attacked, readonly socket: SocketId, readonly reads: boolean) {}

  /** Says who it is, and hears who we are. */
  introduce(name: PeerName, changes: { uid?: bigint; version?: 1 | 2; shortId?: number } = {}): this {
    const { uid = BigInt(parseInt(name.replaceAll(":", ""), 16)), version = 2, shortId } = changes;
    const id = shortId as ShortId | undefined;
    const overlays = ["fastdp", "sleeve"];
    const self = { name, nickname: `n-${name}`, uid: uid as PeerUid, shortId: id, overlays };
    const common = { self, connId: BigInt(this.socket) << 40n, sealer: NO_SEALER, password: undefined };
    const more = { outbound: true, privateKey: new Uint8Array(32), trustRemote: false };
    const intro = new Intro(
      { ...common, ...more, minVersion: version, maxVersion: version },
      this.router.now,
    );
    this.#intro = intro;
    this.router.later(() => {
      this.send(concatBytes(...intro.start()));
      for (const data of this.#heard.splice(0)) this.#hear(data);
    });
    return this;
  }

  /** What the router wrote. */
  take(data: Uint8Array): void {
    this.received += data.length;
    if (this.codec === undefined && this.#intro === undefined) this.#heard.push(data);
    else this.#hear(data);
  }

  #hear(data: Uint8Array): void {
    const result = this.#intro?.receive(data.slice(), this.router.now);
    for (const bytes of result?.write ?? []) this.router.later(() => this.send(bytes));
    if (result?.kind !== "done") return;
    this.codec = result.codec;
    this.#intro = undefined;
  }

  send(bytes: Uint8Array): void {
    if (!this.closed) this.router.post({ kind: "bytes", socket: this.socket, data: bytes });
  }
  /** Sends whole messages in one piece. */
  messages(...messages: readonly Uint8Array[]): void {
    this.send(concatBytes(...messages.map((message) => this.codec!.encode(message))));
  }
  gossip(...frames: readonly GossipFrame[]): void {
    this.messages(...frames.map(encodeGossipFrame));
  }
}

/** The router. Nothing may be thrown out of it. */
export class Attacked {
  readonly core: RouterCore;
  readonly callers = new Map<SocketId, Caller>();
  readonly overlay: OverlayRequest[] = [];
  /** Events logged at a level that people see. */
  readonly logged: string[] = [];
  shortIds = 0;
  now = 0 as Millis;
  #queue: (() => void)[] = [];
  #busy = false;
  #serial = 0;
  #friend: Caller | undefined;

  constructor(changes: Partial<RouterConfig> = {}, readonly random: Random = seededRandom()) {
    const identity = { name: US, nickname: "us", uid: 77n as PeerUid, shortId: 1 as ShortId };
    const limits = { port: 6783, trusted: [], connLimit: 20, discovery: false, minVersion: 1 as const };
    const rest = { overlays: ["fastdp", "sleeve"], password: undefined, sealer: NO_SEALER, channels: [] };
    this.core = new RouterCore({ ...identity, ...limits, ...rest, random, ...changes }, this.now);
  }

  later(task: () => void): void {
    this.#queue.push(task);
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) next();
    } finally {
      this.#busy = false;
    }
  }

  post(event: RouterEvent): void {
    this.later(() => this.#step(event));
  }

  #step(event: RouterEvent): void {
    for (const effect of this.core.step(event, this.now)) {
      switch (effect.kind) {
        case "write": {
          const caller = this.callers.get(effect.socket);
          if (caller === undefined) break;
          const { socket, data } = effect;
          if (caller.reads) this.later(() => this.post({ kind: "written", socket, count: data.length }));
          else caller.unread += data.length;
          caller.take(data);
          break;
        }
        case "close": {
          const caller = this.callers.get(effect.socket);
          if (caller !== undefined) caller.closed = true;
          this.callers.delete(effect.socket);
          break;
        }
        case "overlay":
          this.overlay.push(effect.request);
          break;
        case "short-id":
          this.shortIds++;
          break;
        case "log":
          if (effect.level !== "debug") this.logged.push(`${effect.event} ${effect.fields["reason"] ?? ""}`);
          break;
      }
    }
  }

  /** Somebody connects. */
  call(options: { readonly reads?: boolean; readonly ip?: string } = {}): Caller {
    const socket = ++this.#serial as SocketId;
    const caller = new Caller(this, socket, options.reads ?? true);
    this.callers.set(socket, caller);
    const remote = { ip: (options.ip ?? "192.0.2.9") as Ip, port: 40_000 };
    this.later(() => {
      if (this.core.mayEnter(remote.ip, this.now)) {
        return this.#step({ kind: "accepted", socket, local: LOCAL, remote });
      }
      caller.closed = true;
      this.callers.delete(socket);
    });
    return caller;
  }

  /** Time passes, deadline by deadline; the friend sends heartbeats. */
  advance(ms: number): void {
    for (; ms > HEARTBEAT; ms -= HEARTBEAT) this.advance(HEARTBEAT);
    this.#friend?.messages(Uint8Array.of(0));
    const end = this.now + ms;
    for (let round = 0; this.core.nextWake() <= end; round++) {
      assert.ok(round < 100_000, "wakes without end");
      this.now = Math.max(this.now, this.core.nextWake()) as Millis;
      this.post({ kind: "wake" });
    }
    this.now = end as Millis;
  }

  /** Runs an attack; afterwards the friend's connection must be there as before, and be served. */
  survive(attack: (router: this) => void): void {
    const friend = this.call({ ip: "192.0.2.2" }).introduce(FRIEND, { shortId: 2 });
    this.advance(5_000);
    assert.ok(friend.codec !== undefined && !friend.closed);
    this.#friend = friend;
    attack(this);
    assert.ok(!friend.closed, "an innocent connection was closed");
    const before = friend.received;
    this.advance(80_000);
    assert.ok(!friend.closed && friend.received > before, "an innocent connection is served no more");
    assert.equal(this.core.topology.own.name, US);
  }
}

/** A fabricated peer's name. */
export function fake(index: number): PeerName {
  return peerNameFromNumber(0x0100_0000_0000 + index)!;
}
