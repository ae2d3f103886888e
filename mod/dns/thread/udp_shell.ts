/** Questions over UDP on one socket: a batch in, a batch out. */
import type { Answering } from "./answering_shell.ts";
import type { Handlers, QueryPort } from "./socket_ports.ts";

/** Batches that one socket may have before others have their turn. */
const BATCHES = 4;

/** See the file. */
export class UdpAnswers implements Disposable {
  readonly #socket: QueryPort;
  readonly #answering: Answering;
  readonly #handlers: Handlers;

  /** Owns the socket. */
  constructor(socket: QueryPort, { answering, handlers }: { answering: Answering; handlers: Handlers }) {
    this.#socket = socket;
    this.#answering = answering;
    this.#handlers = handlers;
    handlers.watch(socket.fd, () => this.#heard());
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    this.#handlers.forget(this.#socket.fd);
    this.#socket[Symbol.dispose]();
  }

  #heard(): void {
    const socket = this.#socket;
    for (let batch = 0; batch < BATCHES; batch++) {
      const count = socket.receive();
      for (let i = 0; i < count; i++) this.#one(i);
      socket.flush();
      if (count < socket.capacity) return;
    }
  }

  #one(i: number): void {
    const socket = this.#socket;
    const bytes = socket.question(i);
    const source = socket.source(i);
    const room = socket.room(i);
    const verdict = this.#answering.udp(bytes, source, socket.isIpv4, room);
    if (verdict.kind === "reply") return socket.reply(i, verdict.length);
    if (verdict.kind === "drop") return;
    const origin = socket.origin(i);
    const send = (message: Uint8Array) => {
      if (socket.fd >= 0) socket.replyTo(origin, message);
    };
    const pending = { bytes, source, send, transport: "udp" } as const;
    if (verdict.kind === "forward") return this.#answering.forward(verdict.query, pending);
    this.#answering.follow(verdict, room.subarray(0, verdict.length), pending);
  }
}
