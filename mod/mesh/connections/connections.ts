/** The part of the router that owns connections: greeting, admission, messages, end (source: spec mesh.md, section 5). */
import type { Ip } from "../../core/addr.ts";
import type { LinkId, OverlayEvent, OverlayRequest } from "../../core/overlay_port.ts";
import type { Millis } from "../../core/time.ts";
import { TAG } from "../../wire/mesh/mesh_message.ts";
import { prepareRequest, useOf } from "./connection_use.ts";
import type { Connector } from "../dialing/connector.ts";
import type { AttemptEnd, ConnectorEffect } from "../dialing/connector_types.ts";
import { ConnectionWriter } from "./connection_writer.ts";
import { Dials } from "./dials.ts";
import { Doorman } from "./doorman.ts";
import { introOf } from "./intro_of.ts";
import { closedUnheard } from "./intro_reasons.ts";
import { Connection, type ConnectionEnd, type ConnectionInput, FLOODED } from "./connection.ts";
import { ConnectionLog } from "./connection_log.ts";
import { ConnectionMemory, type Evicted } from "./connection_memory.ts";
import { ConnectionTable } from "./connection_table.ts";
import { receive } from "./reception.ts";
import { canRename, NAME_TAKEN, Naming } from "./rename.ts";
import type { Membership } from "../membership.ts";
import type { AttemptId, SocketId } from "../mesh_ids.ts";
import type { RouterConfig, RouterEffect, RouterEvent } from "../router_types.ts";

/** What the connections need from the rest of the router. */
export interface ConnectionsContext {
  readonly config: RouterConfig;
  readonly connector: Connector;
  readonly membership: Membership;
  emit(effect: RouterEffect): void;
}

/** All connections of the router, and the dials that lead to them. */
export class Connections {
  readonly table: ConnectionTable;
  readonly memory: ConnectionMemory;
  /** Connections that ended since the start, ourselves found at an address not counted. */
  terminations = 0;
  readonly #dials: Dials;
  readonly #writer: ConnectionWriter;
  /** Lets connections in, or turns them away. */
  readonly doorman: Doorman;
  readonly #naming: Naming;
  /** Tells of connections, and of who was not let in. */
  readonly log: ConnectionLog;
  #serial = 0;
  #wakeAt = Infinity;

  constructor(readonly context: ConnectionsContext, now: Millis) {
    this.doorman = new Doorman(now);
    this.#naming = new Naming(context.config);
    this.log = new ConnectionLog(context.emit, now);
    this.#dials = new Dials(context.emit);
    this.table = new ConnectionTable(context.config.connLimit);
    this.memory = new ConnectionMemory(context.config.memory);
    const { emit, membership: { engine } } = context;
    const evict = (evicted: readonly Evicted[], now: Millis) => this.#evict(evicted, now);
    this.#writer = new ConnectionWriter({ emit, engine, evict, memory: this.memory, table: this.table });
  }

  /** Messages lost because they were longer than a connection may carry. */
  get unsendable(): number {
    return this.#writer.unsendable;
  }

  /** Carries out what the connection maker wants. */
  dial(effect: ConnectorEffect): void {
    this.#dials.begin(effect);
  }

  /** Whether a dial has led to a connection, or to its end. */
  hasConnection(attempt: AttemptId): boolean {
    return !this.#dials.has(attempt);
  }

  /** Whether a connection of this address may come in now; it counts as one that came. */
  mayEnter(ip: Ip, now: Millis): boolean {
    const enters = this.doorman.mayEnter(ip, this.context.connector.isGiven(ip), now);
    if (!enters) this.log.refusals.turnedAway(ip, now);
    return enters;
  }

  /** A connection exists: the introduction begins. */
  open(event: RouterEvent & { readonly kind: "accepted" | "dialed" }, now: Millis): void {
    const { socket, local, remote } = event;
    const { config, membership: { shortId } } = this.context;
    const outbound = event.kind === "dialed";
    const attempt = outbound ? event.attempt : undefined;
    const dial = attempt === undefined ? undefined : this.#dials.take(attempt);
    const [welcome, expected] = [dial?.direct ?? true, dial?.expected];
    const id = ++this.#serial as LinkId;
    // The one that dials waits for the other, never both.
    const outbid = outbound ? this.table.outbid : undefined;
    const connection = new Connection(
      { id, socket, local, remote, attempt, welcome, expected, outbound },
      introOf({ canRename: this.#naming.free, config, shortId, outbound, outbid, remote: remote.ip }, now),
      now,
    );
    if (!outbound) this.#makeRoom(connection, now);
    this.table.open(connection);
    this.#wakeAt = Math.min(this.#wakeAt, connection.nextWake());
    this.#writer.write(connection, connection.intro.start(), now);
    this.log.opened(connection);
  }

  /** Silent strangers must not block others: of the source that has most of them, the oldest is dropped. */
  #makeRoom(connection: Connection, now: Millis): void {
    const victim = this.doorman.begin(connection, now);
    const reason = "too many connections are being introduced at the same time";
    if (victim !== undefined) this.end(victim, { reason, orderly: true, level: "debug" }, now);
  }

  /** A dial did not lead to a connection. */
  dialFailed(event: RouterEvent & { readonly kind: "dial-failed" }, now: Millis): void {
    const dial = this.#dials.take(event.attempt);
    if (dial === undefined) return;
    const reason = this.log.dialFailed(dial, event, now);
    this.context.connector.ended(event.attempt, { reason, absent: true }, now);
  }

  /** Bytes of a remote. */
  bytes(socket: SocketId, data: Uint8Array, now: Millis): void {
    const connection = this.table.bySocket(socket);
    if (connection === undefined) return;
    this.#input(connection, connection.receive(data, now), now);
    this.#evict(this.memory.received(connection), now);
  }

  #input(connection: Connection, input: ConnectionInput, now: Millis): void {
    switch (input.kind) {
      case "more":
        return this.#writer.write(connection, input.write, now);
      case "failed":
        return this.#fail(connection, input, now);
      case "introduced":
        this.#writer.write(connection, input.write, now);
        if (this.#introduced(connection, now)) this.#messages(connection, input.messages, now);
        return;
      case "messages":
        return this.#messages(connection, input.messages, now);
    }
  }

  #fail(
    connection: Connection,
    { reason, write }: Pick<ConnectionEnd, "reason" | "write">,
    now: Millis,
  ): void {
    this.end(connection, { reason, write: write ?? [], orderly: true, fault: true }, now);
  }

  /** The shell wrote bytes. */
  written(socket: SocketId, count: number): void {
    this.#writer.written(socket, count);
  }

  /** A connection ended without our wish. */
  closed({ reason, silent = false, socket }: RouterEvent & { readonly kind: "closed" }, now: Millis): void {
    const connection = this.table.bySocket(socket);
    if (connection === undefined) return;
    const why = connection.stage === "greeting"
      ? connection.intro.closed().reason
      : connection.spoke || silent
      ? reason
      : closedUnheard(reason);
    this.end(connection, { reason: why, orderly: false, there: !silent }, now, { closed: true });
  }

  /** Addresses of this host have gone or come: connections from what has gone are dead. */
  localAddresses(change: { readonly gone: readonly Ip[]; readonly come: readonly Ip[] }, now: Millis): void {
    for (const connection of this.table.all()) {
      connection.localAddresses(change, now);
      this.#wakeAt = Math.min(this.#wakeAt, connection.nextWake());
    }
  }

  /** Something the data plane says of a connection. */
  overlay(event: OverlayEvent, now: Millis): void {
    const connection = this.table.byId(event.link);
    if (connection === undefined || connection.stage !== "running") return;
    switch (event.kind) {
      case "send":
        if (connection.queued < FLOODED) this.#writer.send(connection, event.message, now);
        return;
      case "status":
        this.log.status(connection, event.status, now);
        connection.told(event.status);
        return;
      case "moved":
        connection.moved(event.remote);
        this.#wakeAt = Math.min(this.#wakeAt, connection.nextWake());
        return;
      case "unanswered":
        return this.context.emit({
          kind: "knock",
          link: event.link,
          address: connection.remoteAt(this.context.config.port),
        });
      case "failed":
        return this.end(connection, { reason: event.reason, orderly: true, lost: true, level: "warn" }, now);
      case "established":
        if (connection.established) return;
        connection.established = true;
        this.context.membership.established(connection.peer!, now);
        if (this.#naming.settle()) this.context.emit({ kind: "settled" });
        return this.log.established(connection, now);
    }
  }

  /** A host was knocked at whose daemon says nothing. It is dead, or the daemon hangs: then its connection stays a while. */
  knocked({ link, result }: RouterEvent & { readonly kind: "knocked" }, now: Millis): void {
    const connection = this.table.byId(link);
    if (connection?.stage !== "running" || result !== "nothing") return;
    const reason =
      "nothing comes over any overlay, and the host does not answer: it is down, or the network to it";
    this.end(connection, { reason, orderly: true, lost: true, level: "warn" }, now);
  }

  /** Gives waiting gossip to the connections that can take it. */
  flush(now: Millis): void {
    this.#writer.flush(now);
  }

  /** Heartbeats and deadlines. */
  wake(now: Millis): void {
    if (now < this.#wakeAt) return;
    for (const connection of [...this.table.all()]) {
      if (connection.nextWake() > now) continue;
      const due = connection.expire(now);
      if (connection.doubtful) this.#follow(connection, now);
      if (due.ok) {
        for (const message of due.value) this.#writer.send(connection, message, now);
      } else {
        this.end(connection, { reason: due.reason, orderly: false, lost: true, there: true }, now);
      }
    }
    this.#wakeAt = Infinity;
    for (const connection of this.table.all()) this.#wakeAt = Math.min(this.#wakeAt, connection.nextWake());
  }

  /** The peer is to be dialled where it may be: where the data plane heard it last, else where it was. */
  #follow(connection: Connection, now: Millis): void {
    const { connector, config } = this.context;
    connector.follow(connection.peer!, connection.remoteAt(config.port), now);
  }

  /** Earliest time at which `wake()` could do something. */
  nextWake(): number {
    return this.#wakeAt;
  }

  /** Ends a connection and tells everyone concerned. */
  end(
    connection: Connection,
    end: ConnectionEnd,
    now: Millis,
    how: { readonly closed: boolean } = { closed: false },
  ): void {
    if (connection.stage === "gone") return;
    const ran = connection.stage === "running";
    connection.stage = "gone";
    const { connector, membership, config } = this.context;
    const { socket, id, attempt } = connection.origin;
    if (!how.closed) {
      for (const data of end.write ?? []) this.context.emit({ kind: "write", socket, data });
      this.context.emit({ kind: "close", socket });
    }
    this.table.remove(connection);
    this.memory.release(connection);
    this.doorman.over(connection);
    if (ran) {
      if (end.lost) this.#follow(connection, now);
      this.#overlay({ kind: "stop", link: id, orderly: end.orderly });
      membership.removed(
        connection,
        end.there === true ? connection.parting(config.port, now) : undefined,
        now,
      );
    }
    const self = connection.peer === config.name && end.silent === true;
    if (!self) this.terminations++;
    // A peer that answered and was refused is remembered, except when its name is ours or not welcome.
    const peer = self || this.table.byPeer(connection.peer ?? config.name) !== undefined
      ? connection.peer
      : undefined;
    const used = connection.spoke && end.fault !== true;
    const fate: AttemptEnd = { reason: end.reason, never: end.never ?? false, peer, used };
    if (attempt !== undefined) connector.ended(attempt, fate, now);
    connector.request(now);
    if (!end.silent) this.log.ended(connection, { end, ran }, now);
  }

  /** Adds an introduced connection to the table; false when it was refused. */
  #introduced(connection: Connection, now: Millis): boolean {
    const { config, membership: { topology } } = this.context;
    const reception = receive(connection, { config, table: this.table, topology }, now);
    switch (reception.kind) {
      case "add":
        this.#add(connection, reception.replaces, now);
        return true;
      case "drop-both":
        this.end(reception.existing, reception.end, now);
        this.end(connection, reception.end, now);
        return false;
      case "refuse":
        if (reception.end.kind === "clone") this.#clone(connection, now);
        this.end(connection, reception.end, now);
        this.#probe(reception.probe, now);
        return false;
    }
  }

  /** The remote has the name of another living host. If that is us, one of both gives way; else the remote hears of it. */
  #clone(connection: Connection, now: Millis): void {
    if (connection.peer !== this.context.config.name) {
      if (canRename(connection)) this.#writer.send(connection, Uint8Array.of(NAME_TAKEN), now);
    } else if (connection.introduced!.remote.uid !== this.context.config.uid) {
      if (this.#naming.givesWay(connection, { itself: true })) this.context.emit({ kind: "rename" });
    }
  }

  /** If the remote has lost this connection, its system answers with a reset and we learn of it. */
  #probe(connection: Connection | undefined, now: Millis): void {
    if (connection?.doubt(now) === true) this.#writer.send(connection, Uint8Array.of(TAG.heartbeat), now);
  }

  #add(connection: Connection, replaces: Connection | undefined, now: Millis): void {
    const { membership, connector } = this.context;
    const introduced = connection.introduced!;
    const peer = introduced.remote.name;
    const { restarted } = membership.register(introduced.remote, now);
    if (replaces !== undefined) {
      const reason = `another connection to ${peer} takes its place`;
      this.end(replaces, { reason, orderly: false, level: "debug" }, now); // its path is held until the new one works
    }
    this.table.add(connection);
    this.doorman.over(connection);
    this.doorman.befriend(connection.origin.remote.ip);
    connection.run(now);
    this.#wakeAt = Math.min(this.#wakeAt, connection.nextWake());
    membership.added(connection, restarted, now);
    if (connection.origin.attempt !== undefined) connector.connected(connection.origin.attempt, peer, now);
    connector.request(now);
    this.#overlay(prepareRequest(connection, introduced));
    this.#overlay({ kind: "confirm", link: connection.origin.id });
    this.log.connected(connection, now);
  }

  #messages(connection: Connection, messages: readonly Uint8Array[], now: Millis): void {
    for (const message of messages) {
      if (connection.stage !== "running") return;
      this.#message(connection, message, now);
    }
  }

  /** Handles one message; unknown tags and empty messages are ignored. */
  #message(connection: Connection, message: Uint8Array, now: Millis): void {
    switch (useOf(message, connection)) {
      case "control":
        if (connection.controls.take(now) > 0) return;
        return this.#overlay({ kind: "control", link: connection.origin.id, message: message.slice() });
      case "gossip": {
        const taken = this.context.membership.receive(connection.origin.id, message, now);
        if (taken.ok) return;
        const reason = `it sent what cannot be used: ${taken.reason}`;
        return this.end(connection, { reason, orderly: true, fault: true }, now);
      }
      case "name-taken":
        if (this.#naming.givesWay(connection, { itself: false })) this.context.emit({ kind: "rename" });
        return;
      case "none":
        return;
    }
  }

  /** Ends the connections that hold the most memory. */
  #evict(evicted: readonly Evicted[], now: Millis): void {
    for (const { connection, reason } of evicted) {
      this.end(connection, { reason, kind: "memory", orderly: true, fault: true, level: "warn" }, now);
    }
  }

  #overlay(request: OverlayRequest): void {
    this.context.emit({ kind: "overlay", request });
  }
}
