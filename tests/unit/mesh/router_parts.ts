/** The parts of a router by themselves: what they do comes out as effects, remotes introduce themselves in one go. */
import assert from "node:assert/strict";
import type { Endpoint, Ip } from "../../../mod/core/addr.ts";
import { concatBytes } from "../../../mod/core/bytes.ts";
import type { PeerName, PeerUid, ShortId } from "../../../mod/core/names.ts";
import type { OverlayRequest } from "../../../mod/core/overlay_port.ts";
import type { PeerRecord } from "../../../mod/core/topology_record.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { Connections } from "../../../mod/mesh/connections/connections.ts";
import type { Connection } from "../../../mod/mesh/connections/connection.ts";
import { Intro, type MessageCodec } from "../../../mod/mesh/connections/intro.ts";
import { Connector } from "../../../mod/mesh/dialing/connector.ts";
import { Membership } from "../../../mod/mesh/membership.ts";
import type { AttemptId, SocketId } from "../../../mod/mesh/mesh_ids.ts";
import type { RouterConfig, RouterEffect } from "../../../mod/mesh/router_types.ts";
import { encodeGossipFrame } from "../../../mod/wire/mesh/mesh_message.ts";
import { encodeTopology } from "../wire/mesh/encode_topology.ts";
import { seededRandom } from "../properties.ts";
import { NO_SEALER } from "./attacked.ts";

export const US = "02:00:00:00:00:01" as PeerName;
export const at = (ms: number): Millis => ms as Millis;
const LOCAL: Endpoint = { ip: "192.0.2.1" as Ip, port: 6783 };

/** The configuration of a router without password. */
export function routerConfig(changes: Partial<RouterConfig> = {}): RouterConfig {
  const identity = { name: US, nickname: "us", uid: 77n as PeerUid, shortId: 1 as ShortId };
  const limits = { port: 6783, trusted: [], connLimit: 0, discovery: false, minVersion: 1 as const };
  const rest = { overlays: ["fastdp", "sleeve"], password: undefined, sealer: NO_SEALER, channels: [] };
  return { ...identity, ...limits, ...rest, random: seededRandom(), ...changes };
}

/** What a peer publishes of itself. */
export function record(
  name: PeerName,
  version: number,
  links: readonly PeerName[],
  shortId = Number(name.slice(-2)),
): PeerRecord {
  const link = (peer: PeerName) => ({ peer, address: "192.0.2.9:6783", outbound: false, established: true });
  const identity = { name, nickname: "", uid: 5n as PeerUid, shortId: shortId as ShortId };
  return { ...identity, version: BigInt(version), links: links.map(link) };
}

/** Gossip of records, as a neighbour sends it. */
export function gossip(source: PeerName, records: readonly PeerRecord[]): Uint8Array {
  return encodeGossipFrame({ tag: "gossip", channel: "topology", source, payload: encodeTopology(records) });
}

/** Who a remote says it is. */
export interface RemoteIdentity {
  readonly name: PeerName;
  readonly uid?: bigint;
  readonly shortId?: number;
  readonly extensions?: readonly string[];
  readonly connId?: bigint;
  readonly overlays?: readonly string[] | undefined;
}

/** The parts, and the effects that nobody has looked at yet. */
export class RouterParts {
  readonly config: RouterConfig;
  readonly membership: Membership;
  readonly connections: Connections;
  readonly effects: RouterEffect[] = [];
  #sockets = 0;

  constructor(changes: Partial<RouterConfig> = {}) {
    this.config = routerConfig(changes);
    const { config } = this;
    const emit = (effect: RouterEffect) => void this.effects.push(effect);
    const { name: self, port, discovery, random } = config;
    const connector = new Connector({ self, port, discovery, random });
    this.membership = new Membership({ config, connector, emit }, at(0));
    this.connections = new Connections({ config, connector, membership: this.membership, emit }, at(0));
  }

  /** The effects since the last look. */
  taken(): readonly RouterEffect[] {
    return this.effects.splice(0);
  }

  /** Somebody connects, or an attempt has led to a connection. */
  open(now: Millis, { ip = "192.0.2.9", attempt }: { ip?: string; attempt?: number } = {}): SocketId {
    const socket = ++this.#sockets as SocketId;
    const ends = { socket, local: LOCAL, remote: { ip: ip as Ip, port: 40_000 } };
    this.connections.open(
      attempt === undefined
        ? { kind: "accepted", ...ends }
        : { kind: "dialed", attempt: attempt as AttemptId, ...ends },
      now,
    );
    return socket;
  }

  /** The remote end of a connection introduces itself; its codec if it was let in that far. */
  introduce(socket: SocketId, identity: RemoteIdentity, now: Millis): MessageCodec | undefined {
    const { connId = BigInt(socket) << 40n, extensions, name, shortId, uid = 5n } = identity;
    const overlays = "overlays" in identity ? identity.overlays : ["fastdp", "sleeve"];
    const self = {
      ...{
        name,
        nickname: `n-${name.slice(-2)}`,
        uid: uid as PeerUid,
        shortId: shortId as ShortId | undefined,
        overlays,
      },
      ...extensions === undefined ? {} : { extensions },
    };
    const ends = { outbound: true, privateKey: new Uint8Array(32), trustRemote: false };
    const common = {
      connId,
      sealer: NO_SEALER,
      password: undefined,
      minVersion: 2 as const,
      maxVersion: 2 as const,
    };
    const intro = new Intro({ self, ...common, ...ends }, now);
    let toUs = intro.start();
    let codec: MessageCodec | undefined;
    for (let seen = 0; toUs.length > 0;) {
      this.connections.bytes(socket, concatBytes(...toUs), now);
      toUs = [];
      const written = this.written(socket);
      for (; seen < written.length && codec === undefined; seen++) {
        const result = intro.receive(written[seen]!.slice(), now);
        toUs.push(...result.write);
        if (result.kind === "done") codec = result.codec;
      }
    }
    return codec;
  }

  /** A connection of a peer, introduced and in the table. */
  connected(
    identity: RemoteIdentity,
    now: Millis,
  ): { connection: Connection; codec: MessageCodec; socket: SocketId } {
    const socket = this.open(now);
    const codec = this.introduce(socket, identity, now);
    const connection = this.connections.table.bySocket(socket);
    assert.ok(codec !== undefined && connection?.stage === "running");
    return { connection, codec, socket };
  }

  /** What was written to a connection, without taking it. */
  written(socket: SocketId): Uint8Array[] {
    return this.effects.flatMap((one) => one.kind === "write" && one.socket === socket ? [one.data] : []);
  }

  /** What the data plane is asked for. */
  static requests(effects: readonly RouterEffect[]): OverlayRequest[] {
    return effects.flatMap((one) => one.kind === "overlay" ? [one.request] : []);
  }

  /** Log lines, `level event reason`. */
  static logs(effects: readonly RouterEffect[]): string[] {
    return effects.flatMap((one) =>
      one.kind === "log" ? [`${one.level} ${one.event} ${one.fields["reason"] ?? ""}`.trim()] : []
    );
  }
}
