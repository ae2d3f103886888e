/** Asking other servers: the sockets around `DnsForwarder`, and the file that says whom to ask. */
import type { Endpoint } from "../../core/addr.ts";
import type { Clock } from "../../core/ports.ts";
import { DNS_HEADER, FLAG, RECORD_TYPE } from "../../wire/dns/dns_types.ts";
import { framed, MessageReader } from "./frames.ts";
import type { Asked, DnsForwarder, ForwardEffect } from "../upstream/forwarder.ts";
import { MAX_TCP_ANSWER, MAX_UDP_ANSWER } from "../answers/name_server.ts";
import type { ConnectionPort, Handlers, Sockets } from "./socket_ports.ts";
import type { OtherServer } from "../service_types.ts";
import { questionFor } from "../upstream/follow.ts";
import type { Upstreams } from "../upstream/upstream.ts";

/** The file is looked at again after so long, when somebody asks. */
const LOOK_MS = 1_000;
/** Stands for the source of our own questions. */
const OURSELVES = -1;

/** Who waits for an answer. */
export interface AnswerTaker {
  /** Takes the answer. */
  answer(message: Uint8Array<ArrayBuffer>): void;
  /** Nobody has answered. */
  fail(): void;
}

/** What asking is made of. */
export interface AskingOptions {
  readonly clock: Clock;
  readonly handlers: Handlers;
  readonly sockets: Pick<Sockets, "connect">;
  readonly forwarder: DnsForwarder<AnswerTaker>;
  readonly upstreams: Upstreams;
  /** The text of resolv.conf if it is another one than last time; undefined if it is as it was. */
  readonly readResolvConf: () => string | undefined;
}

/** A question on its way to a server. */
interface Sent {
  readonly socket: ConnectionPort;
  readonly frames: MessageReader | undefined;
}

/** One message at a time is read into it, whoever asked. */
const buffer = new Uint8Array(MAX_TCP_ANSWER + 2);

/** See the file. */
export class Asking implements Disposable {
  readonly #around: AskingOptions;
  readonly #sent = new Map<number, Sent>();
  #lookedAt = -Infinity;

  constructor(around: AskingOptions) {
    this.#around = around;
    this.#look();
  }

  /** The host's servers, as the file says now. */
  get servers(): readonly Endpoint[] {
    this.#look();
    return this.#around.upstreams.servers;
  }

  /** Asks whom the question's name leads to; `isBelow` is that of the index, while it has the name folded. */
  ask(asked: Omit<Asked<AnswerTaker>, "servers">, isBelow: (domain: Uint8Array) => boolean): void {
    const { clock, forwarder, upstreams } = this.#around;
    this.#look();
    const servers = upstreams.for(isBelow);
    if (servers.length === 0) {
      forwarder.counters.failed++;
      return asked.waiter.fail();
    }
    this.#perform(forwarder.ask({ ...asked, servers }, clock.now()));
  }

  /** How all servers are that may be asked, as far as is known. */
  states(): readonly OtherServer[] {
    this.#look();
    const { clock, forwarder, upstreams } = this.#around;
    const now = clock.now();
    const ago = (at: number | undefined) => at === undefined ? undefined : Math.max(0, Math.round(now - at));
    return upstreams.all().map(({ domain, server }) => {
      const { answeredAt, silentSince, state, unreachable } = forwarder.stateOf(server, now);
      const times = { answeredAgoMs: ago(answeredAt), silentMs: ago(silentSince) };
      return { domain, server, state, ...times, unreachable };
    });
  }

  /** Asks each of them that clients had asked whether it answers; `done` is called when that is known. Where nobody wants
   * names of others, as on hosts without a way out, it does not matter that nobody has them. */
  examine(done: () => void): void {
    this.#look();
    const { clock, forwarder, upstreams } = this.#around;
    const all = upstreams.all().filter(({ server }) => {
      const { answeredAt, silentSince } = forwarder.stateOf(server, clock.now());
      return answeredAt !== undefined || silentSince !== undefined;
    });
    let left = all.length;
    const one = () => {
      if (--left === 0) done();
    };
    if (left === 0) return done();
    for (const { domain, server, wire } of all) {
      const { message, query } = questionFor(wire, domain === undefined ? RECORD_TYPE.NS : RECORD_TYPE.SOA);
      const common = { message, query, source: OURSELVES, transport: "udp", isExam: true } as const;
      const waiter = { answer: one, fail: one };
      this.#perform(forwarder.ask({ ...common, waiter, servers: [server] }, clock.now()));
    }
  }

  /** Earliest time at which wake() has something to do. */
  nextWake(): number {
    return this.#around.forwarder.nextWake();
  }

  /** Does what is due. */
  wake(): void {
    this.#perform(this.#around.forwarder.wake(this.#around.clock.now()));
  }

  /** Closes what is open. */
  [Symbol.dispose](): void {
    for (const attempt of [...this.#sent.keys()]) this.#close(attempt);
  }

  #look(): void {
    const { clock, forwarder, readResolvConf, upstreams } = this.#around;
    const now = clock.now();
    if (now - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = now;
    const text = readResolvConf();
    if (text === undefined) return;
    upstreams.read(text);
    forwarder.forget();
  }

  #perform(effects: readonly ForwardEffect<AnswerTaker>[]): void {
    for (const effect of effects) {
      if (effect.kind === "send") this.#send(effect);
      else if (effect.kind === "close") this.#close(effect.attempt);
      else if (effect.kind === "answer") effect.waiter.answer(effect.message);
      else effect.waiter.fail();
    }
  }

  #failed(attempt: number): void {
    this.#close(attempt);
    this.#perform(this.#around.forwarder.failed(attempt, this.#around.clock.now()));
  }

  #send(
    { attempt, message, server, transport }: ForwardEffect<AnswerTaker> & { readonly kind: "send" },
  ): void {
    const { handlers, sockets } = this.#around;
    let socket: ConnectionPort;
    try {
      socket = sockets.connect(transport, server);
    } catch {
      return this.#failed(attempt); // no way there, or no descriptors left
    }
    const isUdp = transport === "udp";
    this.#sent.set(attempt, { socket, frames: isUdp ? undefined : new MessageReader(MAX_TCP_ANSWER) });
    if (!isUdp) return handlers.watch(socket.fd, () => this.#begin(attempt, framed(message)), true);
    handlers.watch(socket.fd, () => this.#heard(attempt));
    if (socket.write(message) !== message.length) this.#failed(attempt);
  }

  /** A connection stands, or could not be made. One question always has room in it. */
  #begin(attempt: number, frame: Uint8Array<ArrayBuffer>): void {
    const { handlers } = this.#around;
    const { socket } = this.#sent.get(attempt)!;
    if (socket.write(frame) !== frame.length) return this.#failed(attempt);
    handlers.forget(socket.fd);
    handlers.watch(socket.fd, () => this.#heard(attempt));
  }

  #heard(attempt: number): void {
    const { socket, frames } = this.#sent.get(attempt)!;
    const count = socket.read(buffer);
    if (count === -1) return;
    const bytes = buffer.subarray(0, Math.max(0, count));
    if (frames === undefined) {
      return count === -2 ? this.#failed(attempt) : this.#replied(attempt, cutTo(MAX_UDP_ANSWER, bytes));
    }
    const messages = count <= 0 ? undefined : frames.push(bytes);
    if (messages === undefined) return this.#failed(attempt);
    if (messages.length > 0) this.#replied(attempt, messages[0]!);
  }

  #replied(attempt: number, bytes: Uint8Array): void {
    const { clock, forwarder } = this.#around;
    this.#perform(forwarder.replied(attempt, bytes, clock.now()));
  }

  #close(attempt: number): void {
    const sent = this.#sent.get(attempt);
    if (sent === undefined) return;
    this.#sent.delete(attempt);
    this.#around.handlers.forget(sent.socket.fd);
    sent.socket[Symbol.dispose]();
  }
}

/** A message with one question, if it has so many octets at most; of a longer one header and question, marked as cut off. */
export function cutTo<Buffer extends ArrayBufferLike>(
  largest: number,
  bytes: Uint8Array<Buffer>,
): Uint8Array<Buffer | ArrayBuffer> {
  if (bytes.length <= largest) return bytes;
  let end = DNS_HEADER;
  while (end < largest && bytes[end] !== 0) end += bytes[end]! + 1;
  const cut = bytes.slice(0, end + 5);
  cut[2]! |= FLAG.TC >>> 8;
  cut.fill(0, 6, DNS_HEADER);
  return cut;
}
