/** Clients over TCP: encrypted, and only those with a certificate of the right CA. */
import { createSecureContext } from "node:tls";
import type { Endpoint } from "../../core/addr.ts";
import { messageOf } from "../../core/errors.ts";
import type { Faults } from "../../core/faults.ts";
import { type ByteStream, closeQuietly } from "./relay_shell.ts";
import { openTls, type TlsFiles } from "./tls_stream_shell.ts";

/** Time for the handshake, in milliseconds: whoever says nothing has no certificate either. */
const HANDSHAKE_MS = 10_000;
/** Pause after a failure to accept, in milliseconds: descriptors may have been used up. */
const ACCEPT_PAUSE_MS = 100;

/** Listens, and hands over clients that have shown their certificate. Throws where that cannot be. Disposing it takes no
 * more clients. */
export function listenTls(
  { ip, port }: Endpoint,
  { clients, faults, handshakeMs = HANDSHAKE_MS, refused, welcome, ...files }: TlsFiles & {
    /** Connections at once, with those that have not shown theirs yet. */
    readonly clients: number;
    readonly faults: Pick<Faults, "later">;
    readonly handshakeMs?: number;
    /** Serves a client to its end. Never throws. */
    readonly welcome: (client: ByteStream) => Promise<void>;
    /** Told of clients that were turned away. */
    readonly refused: (reason: string) => void;
  },
): Disposable {
  createSecureContext({ ca: [files.ca], cert: files.cert, key: files.key }); // throws where they are none
  const listener = Deno.listen({ hostname: ip, port });
  let count = 0;
  let isOpen = true;

  async function serve(connection: Deno.TcpConn): Promise<void> {
    let client: ByteStream;
    try {
      client = await openTls(connection, { ...files, handshakeMs });
    } catch (thrown) {
      return refused(messageOf(thrown));
    }
    await welcome(client);
  }

  async function accept(): Promise<void> {
    while (isOpen) {
      try {
        const connection = await listener.accept();
        if (count >= clients) {
          closeQuietly(connection);
          continue;
        }
        count++;
        faults.later("serve a client over TCP", serve(connection).finally(() => count--));
      } catch (thrown) {
        if (!isOpen) return;
        refused(messageOf(thrown));
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      }
    }
  }

  faults.later("take clients over TCP", accept());
  return {
    [Symbol.dispose]() {
      isOpen = false;
      listener.close();
    },
  };
}
