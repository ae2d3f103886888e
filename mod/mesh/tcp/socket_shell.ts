/** One TCP connection of the router: what waits to be written, and an end that lets the last bytes out. */
import { concatBytes } from "../../core/bytes.ts";
import type { Stream } from "./tcp_shell.ts";

/** Most octets of one write, unless a message is longer. */
const WRITE_CHUNK = 128 * 1024;
/** How long a connection that is being closed may take to send its last bytes, milliseconds. */
const FAREWELL = 500;

/** What a socket tells the router. */
export interface SocketHandlers {
  /** Bytes of the remote. */
  data(bytes: Uint8Array): void;
  /** So many of our bytes have left. */
  written(count: number): void;
  /** The connection ended without our wish; a reason for people. `silent`: the remote's system did not answer any more. */
  end(reason: string, silent?: boolean): void;
}

/** One connection with the bytes that wait to be written. The core bounds them: it counts what it gave. */
export class Socket {
  #waiting: Uint8Array[] = [];
  #octets = 0;
  #writing = false;
  #closed = false;
  #finishing: ReturnType<typeof setTimeout> | undefined;

  /** Takes the stream over. */
  constructor(readonly stream: Stream, readonly handlers: SocketHandlers) {}

  /** Begins to read. */
  start(): void {
    const { data, end } = this.handlers;
    this.stream.start({
      data: (bytes) => this.#silent ? undefined : data(bytes),
      end: (reason, silent) => this.#end(() => end(reason, silent)),
    });
  }

  /** Queues bytes; nothing happens once it is being closed. */
  write(bytes: Uint8Array): void {
    if (this.#silent) return;
    this.#waiting.push(bytes);
    this.#octets += bytes.length;
    if (this.#writing) return;
    this.#writing = true;
    queueMicrotask(() => void this.#pump()); // what one step brings about leaves in one piece
  }

  /** Closes after the last bytes are written, or soon if they are not. Reports nothing more. A remote that leaves much unread
   * gets no last bytes. */
  finish(): void {
    if (!this.#writing || this.#octets > WRITE_CHUNK) return this.close();
    this.#finishing ??= setTimeout(() => this.close(), FAREWELL);
  }

  /** Closes at once; reports nothing more. */
  close(): void {
    clearTimeout(this.#finishing);
    this.#closed = true;
    this.#waiting = [];
    this.#octets = 0;
    this.stream.close();
  }

  get #silent(): boolean {
    return this.#closed || this.#finishing !== undefined;
  }

  async #pump(): Promise<void> {
    try {
      for (let chunk = this.#chunk(); chunk !== undefined; chunk = this.#chunk()) {
        await this.stream.write(chunk);
        if (!this.#silent) this.handlers.written(chunk.length);
      }
    } catch {
      // The read side learns of it as well and says why.
    }
    this.#writing = false;
    if (this.#finishing !== undefined) this.close();
  }

  /** Some of what waits, in one piece. */
  #chunk(): Uint8Array | undefined {
    let size = 0;
    let count = 0;
    while (count < this.#waiting.length && size < WRITE_CHUNK) size += this.#waiting[count++]!.length;
    const parts = this.#waiting.splice(0, count);
    this.#octets -= size;
    return parts.length > 1 ? concatBytes(...parts) : parts[0];
  }

  #end(report: () => void): void {
    if (this.#closed) return;
    const silent = this.#silent;
    this.close();
    if (!silent) report();
  }
}
