/** Questions over TCP: bounded in connections, in memory and in time. */
import { type Ip, ipv4Number, isIpv4 } from "../../core/addr.ts";
import type { Clock } from "../../core/ports.ts";
import type { Answering, Elsewhere } from "./answering_shell.ts";
import { framed, MessageReader } from "./frames.ts";
import { MAX_TCP_ANSWER } from "../answers/name_server.ts";
import type { ConnectionPort, Handlers, ListenerPort } from "./socket_ports.ts";

/** Connections together and of one address; beyond, the one that was quiet for longest ends. */
export const MAX_CONNECTIONS = { together: 128, ofAddress: 16 } as const;
/** A connection on which nobody has asked or taken anything for so long ends. */
const IDLE_MS = 15_000;
/** Longest question. */
const LONGEST = 4_096;
/** Answers that wait for a client to take them; beyond, it takes none any more. */
const MAX_UNSENT = 3 * MAX_TCP_ANSWER;
/** Rest of a listener when no descriptors or memory are left. */
const REST_MS = 1_000;
const PIECE = 16 * 1024;

interface Connection {
  readonly socket: ConnectionPort;
  readonly frames: MessageReader;
  readonly unsent: Uint8Array<ArrayBuffer>[];
  readonly elsewhere: Elsewhere | undefined;
  /** What stands for its source. */
  readonly source: number;
  idleAt: number;
}

/** All connections, of all listeners. */
export class TcpAnswers implements Disposable {
  /** The one that was quiet for longest is the first. */
  readonly #connections = new Set<Connection>();
  readonly #resting = new Map<ListenerPort, number>();
  /** Who is asked for what is no name of ours, by listener; for others the host's servers are. */
  readonly #elsewhere = new Map<ListenerPort, Elsewhere>();
  readonly #piece = new Uint8Array(PIECE);
  readonly #out = new Uint8Array(MAX_TCP_ANSWER);

  constructor(
    readonly around: { readonly answering: Answering; readonly handlers: Handlers; readonly clock: Clock },
  ) {}

  /** How many connections there are. */
  get size(): number {
    return this.#connections.size;
  }

  /** Takes connections from a listener until it is left. */
  listen(listener: ListenerPort, elsewhere?: Elsewhere): void {
    if (elsewhere !== undefined) this.#elsewhere.set(listener, elsewhere);
    this.around.handlers.watch(listener.fd, () => this.#accept(listener));
  }

  /** Takes no more from a listener; before it is closed. */
  leave(listener: ListenerPort): void {
    this.#resting.delete(listener);
    this.#elsewhere.delete(listener);
    this.around.handlers.forget(listener.fd);
  }

  /** Earliest time at which wake() has something to do. */
  nextWake(): number {
    const [first] = this.#connections;
    return Math.min(first?.idleAt ?? Infinity, ...this.#resting.values());
  }

  /** Does what is due. */
  wake(): void {
    const now = this.around.clock.now();
    for (const connection of this.#connections) {
      if (connection.idleAt > now) break;
      this.#close(connection);
    }
    for (const [listener, until] of this.#resting) {
      if (until > now) continue;
      this.#resting.delete(listener);
      this.listen(listener);
    }
  }

  /** Closes all. */
  [Symbol.dispose](): void {
    for (const connection of this.#connections) this.#close(connection);
  }

  #accept(listener: ListenerPort): void {
    const { clock, handlers } = this.around;
    const socket = listener.accept();
    if (socket === undefined) return;
    if (socket === "full") {
      handlers.forget(listener.fd);
      this.#resting.set(listener, clock.now() + REST_MS);
      return;
    }
    const elsewhere = this.#elsewhere.get(listener);
    const source = elsewhere?.source ?? sourceOf(socket.remote.ip);
    this.#makeRoom(socket.remote.ip, source);
    const connection: Connection = {
      ...{ socket, elsewhere, source, frames: new MessageReader(LONGEST) },
      ...{ unsent: [], idleAt: clock.now() + IDLE_MS },
    };
    this.#connections.add(connection);
    handlers.watch(socket.fd, () => this.#ready(connection));
  }

  #makeRoom(ip: Ip, source: number): void {
    const same = [...this.#connections].filter((one) => one.source === source && one.socket.remote.ip === ip);
    const [oldest] = same.length >= MAX_CONNECTIONS.ofAddress ? same : [];
    const [first] = this.#connections.size >= MAX_CONNECTIONS.together ? this.#connections : [];
    const victim = oldest ?? first;
    if (victim === undefined) return;
    this.around.answering.counters.refused++;
    this.#close(victim);
  }

  #ready(connection: Connection): void {
    if (connection.unsent.length > 0) return this.#flush(connection);
    const count = connection.socket.read(this.#piece);
    if (count === -1) return;
    const messages = count > 0 ? connection.frames.push(this.#piece.subarray(0, count)) : undefined;
    if (messages === undefined) return this.#close(connection);
    for (const message of messages) this.#one(connection, message);
    if (messages.length > 0) this.#touch(connection);
  }

  #one(connection: Connection, bytes: Uint8Array): void {
    const { answering } = this.around;
    const { elsewhere, source } = connection;
    const verdict = answering.tcp(bytes, source, this.#out);
    if (verdict.kind === "drop") return;
    const send = (message: Uint8Array) => this.#send(connection, message);
    const pending = { bytes, source, send, transport: "tcp", elsewhere } as const;
    if (verdict.kind === "reply") {
      return answering.answer(this.#out.subarray(0, verdict.length), verdict.rcode, pending);
    }
    if (verdict.kind === "forward") return answering.forward(verdict.query, pending);
    answering.follow(verdict, this.#out.subarray(0, verdict.length), pending);
  }

  #send(connection: Connection, message: Uint8Array): void {
    if (!this.#connections.has(connection)) return; // it ended meanwhile
    const { unsent } = connection;
    const waits = unsent.length > 0;
    unsent.push(framed(message));
    if (unsent.reduce((sum, { length }) => sum + length, 0) > MAX_UNSENT) this.#close(connection);
    else if (!waits) this.#flush(connection, false);
  }

  /** While answers wait, no more questions are read. */
  #flush(connection: Connection, isWaiting = true): void {
    const { unsent, socket } = connection;
    while (unsent.length > 0) {
      const count = socket.write(unsent[0]!);
      if (count === -2) return this.#close(connection);
      if (count === -1) break;
      this.#touch(connection);
      if (count < unsent[0]!.length) unsent[0] = unsent[0]!.subarray(count);
      else unsent.shift();
    }
    const waits = unsent.length > 0;
    if (waits !== isWaiting) this.around.handlers.readiness.change(socket.fd, waits);
  }

  #touch(connection: Connection): void {
    if (!this.#connections.delete(connection)) return;
    connection.idleAt = this.around.clock.now() + IDLE_MS;
    this.#connections.add(connection);
  }

  #close(connection: Connection): void {
    if (!this.#connections.delete(connection)) return;
    connection.unsent.length = 0;
    this.around.handlers.forget(connection.socket.fd);
    connection.socket[Symbol.dispose]();
  }
}

/** An IPv4 address as a number; an IPv6 address counts as no client's. */
function sourceOf(ip: Ip): number {
  return isIpv4(ip) ? ipv4Number(ip) : -1;
}
