/** TLS on a connection that is there already.
 *
 *     connection --encrypted--> Carrier --> the runtime's TLS --plain--> TlsStream
 *
 * The runtime's TLS loses the end of a stream whose reader pauses. So it is never told to pause: the carrier reads no more
 * while enough waits to be read. */
import { Duplex } from "node:stream";
import { createServer, type TLSSocket } from "node:tls";
import { type ByteStream, closeQuietly, writeAll } from "./relay_shell.ts";

/** What a server over TCP shows, and whom it believes. PEM. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Encrypted bytes that are read at once. */
const READ_SIZE = 64 * 1024;
/** Bytes that may wait, in each direction, before no more are taken. */
const ENOUGH = 256 * 1024;

/** Speaks TLS with a client, which has to show a certificate of the CA. Owns the connection: it is closed with the stream,
 * and where this throws. */
export async function openTls(
  connection: ByteStream,
  { ca, cert, handshakeMs, key }: TlsFiles & { readonly handshakeMs: number },
): Promise<ByteStream> {
  const carrier = new Carrier(connection);
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await new Promise<ByteStream>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error("no handshake in time")), handshakeMs);
      carrier.onBroken = reject;
      carrier.duplex.once("end", () => reject(new Error("the client broke off during the handshake")));
      // It never listens, and is there for this client alone: that tells whose handshake failed.
      const server = createServer(
        { ...{ ca: [ca], cert, key, requestCert: true }, rejectUnauthorized: true, allowHalfOpen: true },
        (socket) => resolve(new TlsStream(socket, carrier)),
      );
      server.on(
        "tlsClientError",
        (error, { authorizationError: code }) =>
          reject(code ? new Error(`its certificate is not good: ${code}`) : error),
      );
      server.emit("connection", carrier.duplex);
      carrier.feed().catch(reject);
    });
  } catch (thrown) {
    carrier.close();
    throw thrown;
  } finally {
    clearTimeout(timer);
  }
}

/** The connection as the runtime's TLS sees it. */
class Carrier {
  readonly duplex: Duplex;
  /** Told when the connection breaks. */
  onBroken: (reason: Error) => void = () => {};
  /** Waits until more may come. */
  hungry: () => Promise<void> = () => Promise.resolve();
  readonly #connection: ByteStream;
  #unsent = 0;
  #sending: Promise<void> = Promise.resolve();
  #broken: Error | undefined;

  constructor(connection: ByteStream) {
    this.#connection = connection;
    this.duplex = new Duplex({
      ...{ allowHalfOpen: true, autoDestroy: false, read() {} },
      write: (bytes: Uint8Array, _encoding, done) => {
        this.#unsent += bytes.length;
        this.#sending = this.#send(bytes).finally(() => done());
      },
    });
    this.duplex.on("error", () => {}); // whoever reads or writes is told
  }

  /** Gives what comes to the runtime's TLS. Never throws. */
  async feed(): Promise<void> {
    const buffer = new Uint8Array(READ_SIZE);
    try {
      for (;;) {
        await this.hungry();
        const count = await this.#connection.read(buffer);
        this.duplex.push(count === null ? null : buffer.slice(0, count));
        if (count === null) return;
      }
    } catch (thrown) {
      this.onBroken(asError(thrown));
    }
  }

  /** Waits until no more than `most` bytes are on their way. Throws where they do not arrive. */
  async sent(most: number): Promise<void> {
    while (this.#unsent > most && this.#broken === undefined) await this.#sending;
    if (this.#broken !== undefined) throw this.#broken;
  }

  async closeWrite(): Promise<void> {
    await this.sent(0);
    await this.#connection.closeWrite();
  }

  close(): void {
    closeQuietly(this.#connection);
  }

  async #send(bytes: Uint8Array): Promise<void> {
    try {
      await writeAll(this.#connection, bytes);
    } catch (thrown) {
      this.#broken ??= asError(thrown);
      this.close();
    } finally {
      this.#unsent -= bytes.length;
    }
  }
}

/** What the client says, and what it is told. */
class TlsStream implements ByteStream {
  readonly #socket: TLSSocket;
  readonly #carrier: Carrier;
  readonly #pieces: Uint8Array[] = [];
  /** Bytes in the pieces. */
  #held = 0;
  #isOver = false;
  #broken: Error | undefined;
  #change = Promise.withResolvers<void>();

  constructor(socket: TLSSocket, carrier: Carrier) {
    this.#socket = socket;
    this.#carrier = carrier;
    carrier.hungry = () => this.#until(() => this.#held < ENOUGH || this.#isOver);
    carrier.onBroken = (reason) => this.#end(reason);
    socket.on("end", () => this.#end(undefined));
    socket.on("error", (error) => this.#end(error));
    socket.on("data", (piece: Uint8Array) => {
      this.#pieces.push(piece);
      this.#held += piece.length;
      this.#changed();
    });
  }

  async read(into: Uint8Array): Promise<number | null> {
    await this.#until(() => this.#held > 0 || this.#isOver);
    const [piece] = this.#pieces;
    if (piece === undefined) {
      if (this.#broken !== undefined) throw this.#broken;
      return null;
    }
    const part = piece.subarray(0, into.length);
    into.set(part);
    if (part.length < piece.length) this.#pieces[0] = piece.subarray(part.length);
    else this.#pieces.shift();
    this.#held -= part.length;
    this.#changed();
    return part.length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    await new Promise<void>((resolve, reject) =>
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve())
    );
    await this.#carrier.sent(ENOUGH);
    return bytes.length;
  }

  async closeWrite(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.end(resolve));
    await this.#carrier.closeWrite();
  }

  close(): void {
    this.#end(undefined);
    this.#socket.destroy();
    this.#carrier.close();
  }

  #end(broken: Error | undefined): void {
    if (!this.#isOver) this.#broken = broken;
    this.#isOver = true;
    this.#changed();
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await this.#change.promise;
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
