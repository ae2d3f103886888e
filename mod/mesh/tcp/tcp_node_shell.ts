/** Dialling from a chosen local address, which only the Node interface offers. Loaded when needed. */
import { createConnection, type Socket } from "node:net";
import type { Endpoint, Ip } from "../../core/addr.ts";
import { brokenBy, endpointOf, isSilence, type Stream, type StreamHandlers } from "./tcp_shell.ts";

/** A stream over a socket of the Node interface. */
class NodeStream implements Stream {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  #closed = false;

  constructor(readonly socket: Socket) {
    this.local = endpointOf(socket.localAddress, socket.localPort);
    this.remote = endpointOf(socket.remoteAddress, socket.remotePort);
    socket.setNoDelay(true);
    socket.setKeepAlive(true);
    socket.pause();
  }

  start(handlers: StreamHandlers): void {
    const end = (reason: string, silent = false) => {
      if (this.#closed) return;
      this.close();
      handlers.end(reason, silent);
    };
    this.socket.on("data", (bytes: Uint8Array) => {
      if (!this.#closed) handlers.data(new Uint8Array(bytes));
    });
    this.socket.on("end", () => end("the peer closed the connection"));
    this.socket.on("error", (error: Error) => end(brokenBy(error), isSilence(error)));
    this.socket.on("close", () => end("the connection was closed"));
    this.socket.resume();
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.write(bytes, (error?: Error | null) => error ? reject(error) : resolve());
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.socket.destroy();
  }
}

/** Dials; rejects with the system's error, or when the signal is aborted. */
export function dialFrom(
  address: Endpoint,
  options: { readonly from: Ip; readonly signal: AbortSignal },
): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const { from, signal } = options;
    const socket = createConnection({ host: address.ip, port: address.port, localAddress: from });
    const abort = () =>
      settle(() => {
        socket.destroy();
        reject(signal.reason);
      });
    const failed = (error: Error) => settle(() => reject(error));
    const settle = (then: () => void) => {
      signal.removeEventListener("abort", abort);
      socket.off("connect", connected);
      then();
    };
    const connected = () =>
      settle(() => {
        socket.off("error", failed);
        socket.on("error", () => {}); // until start() listens; the close that follows is what counts
        resolve(new NodeStream(socket));
      });
    socket.once("connect", connected);
    socket.once("error", failed);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
  });
}
