/** Clients over TCP: encrypted, and only those with a certificate of the right CA. */
import { once } from "node:events";
import { createServer, type TLSSocket } from "node:tls";
import type { Endpoint } from "../../core/addr.ts";
import type { ByteStream } from "./relay_shell.ts";

/** What a server over TCP shows, and whom it believes. PEM. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Time for the handshake, in milliseconds: whoever says nothing has no certificate either. */
const HANDSHAKE_MS = 10_000;

/** Listens, and hands over clients that have shown their certificate. Throws where that cannot be. Disposing it takes no
 * more clients. */
export async function listenTls(
  endpoint: Endpoint,
  { ca, cert, clients, handshakeMs = HANDSHAKE_MS, key, refused, welcome }: TlsFiles & {
    /** Connections at once, with those that have not shown theirs yet. */
    readonly clients: number;
    readonly handshakeMs?: number;
    readonly welcome: (client: ByteStream) => void;
    /** Told of clients that were turned away. */
    readonly refused: (reason: string) => void;
  },
): Promise<Disposable> {
  const server = createServer(
    {
      ...{ ca: [ca], cert, key, requestCert: true, rejectUnauthorized: true },
      ...{ allowHalfOpen: true, handshakeTimeout: handshakeMs },
    },
    (socket) => welcome(new TlsStream(socket)),
  );
  server.on("tlsClientError", (error, socket) => {
    refused(error.message);
    socket.destroy(); // the runtime leaves it open
  });
  server.maxConnections = clients;
  server.listen({ host: endpoint.ip, port: endpoint.port });
  await once(server, "listening"); // or throws what "error" says
  return { [Symbol.dispose]: () => void server.close() };
}

/** A socket of Node as a stream. */
class TlsStream implements ByteStream {
  readonly #socket: TLSSocket;
  readonly #pieces: AsyncIterator<Uint8Array>;
  #left: Uint8Array = new Uint8Array(0);

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on("error", () => {}); // whoever reads or writes is told
    this.#pieces = socket[Symbol.asyncIterator]();
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (this.#left.length === 0) {
      const { done, value } = await this.#pieces.next();
      if (done) return null;
      this.#left = value;
    }
    const part = this.#left.subarray(0, into.length);
    into.set(part);
    this.#left = this.#left.subarray(part.length);
    return part.length;
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) =>
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve(bytes.length))
    );
  }

  closeWrite(): Promise<void> {
    return new Promise((resolve) => this.#socket.end(resolve));
  }

  close(): void {
    this.#socket.destroySoon();
  }
}
