/** Questions over UDP on one socket: a batch in, a batch out. */
import type { Answering, Elsewhere } from "./answering_shell.ts";
import type { Handlers, QueryPort } from "./socket_ports.ts";

/** Batches that one socket may have before others have their turn. */
const BATCHES = 4;

/** See the file. */
export class UdpAnswers implements Disposable {
  readonly #socket: QueryPort;
  readonly #answering: Answering;
  readonly #handlers: Handlers;
  readonly #elsewhere: Elsewhere | undefined;

  /** Owns the socket, also where it throws. `elsewhere`: who is asked for what is no name of ours; the host's servers where
   * there is nobody. */
  constructor(
    socket: QueryPort,
    { answering, elsewhere, handlers }: {
      readonly answering: Answering;
      readonly elsewhere?: Elsewhere;
      readonly handlers: Handlers;
    },
  ) {
    using undo = new DisposableStack();
    undo.use(socket);
    this.#socket = socket;
    this.#elsewhere = elsewhere;
    this.#answering = answering;
    this.#handlers = handlers;
    handlers.watch(socket.fd, () => this.#heard());
    undo.move();
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
    const elsewhere = this.#elsewhere;
    const source = elsewhere?.source ?? socket.source(i);
    const room = socket.room(i);
    const verdict = this.#answering.udp(bytes, source, socket.isIpv4, room);
    if (verdict.kind === "drop") return;
    if (verdict.kind === "reply" && elsewhere === undefined) return socket.reply(i, verdict.length);
    const origin = socket.origin(i);
    const send = (message: Uint8Array) => {
      if (socket.fd >= 0) socket.replyTo(origin, message);
    };
    const pending = { bytes, source, send, transport: "udp", elsewhere } as const;
    if (verdict.kind === "reply") {
      return this.#answering.answer(room.subarray(0, verdict.length), verdict.rcode, pending);
    }
    if (verdict.kind === "forward") return this.#answering.forward(verdict.query, pending);
    this.#answering.follow(verdict, room.subarray(0, verdict.length), pending);
  }
}
