import assert from "node:assert/strict";
import { parseEndpoint } from "../../../../mod/core/addr.ts";
import { relay, writeAll } from "../../../../mod/docker/proxy/relay_shell.ts";
import { listenTls } from "../../../../mod/docker/proxy/tls_shell.ts";
import { freePort } from "../../free_port.ts";

/** Certificates of a CA that exists for this test alone, and one of nobody's. */
const pem = (name: string) => Deno.readTextFileSync(new URL(`tls/${name}`, import.meta.url));

type Connect = (who: "client" | "other" | undefined) => Promise<Deno.TlsConn>;

/** Connections at once. */
const CLIENTS = 4;

/** Answers with what it has heard, as it comes. */
async function echo(connection: Deno.TcpConn): Promise<void> {
  await connection.readable.pipeTo(connection.writable);
}

/** Answers with what it has heard, once its client has said all. */
async function echoAtEnd(connection: Deno.TcpConn): Promise<void> {
  const heard: Uint8Array[] = [];
  const buffer = new Uint8Array(100_000);
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) break;
    heard.push(buffer.slice(0, count));
  }
  for (const piece of heard) await writeAll(connection, piece);
  connection.close();
}

async function withServer(
  test: (connect: Connect, refused: string[], port: number) => Promise<void>,
  { answer = echo, handshakeMs = 30_000 }: {
    readonly answer?: (connection: Deno.TcpConn) => Promise<void>;
    readonly handshakeMs?: number;
  } = {},
): Promise<void> {
  const engine = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const echoing = (async () => {
    for await (const connection of engine) void answer(connection).catch(() => {});
  })();
  const refused: string[] = [];
  const port = freePort("127.0.0.1");
  const server = listenTls(parseEndpoint(`127.0.0.1:${port}`)!, {
    ...{ ca: pem("ca.pem"), cert: pem("server.pem"), key: pem("server.key") },
    ...{ clients: CLIENTS, handshakeMs },
    faults: { later: (_what, work) => void work.then(undefined, assert.fail) },
    welcome: async (client) => {
      const to = await Deno.connect({ hostname: "127.0.0.1", port: (engine.addr as Deno.NetAddr).port });
      await relay(client, to, []);
    },
    refused: (reason) => refused.push(reason),
  });
  try {
    await test(
      (who) => {
        const own = who === undefined ? {} : { cert: pem(`${who}.pem`), key: pem(`${who}.key`) };
        return Deno.connectTls({ hostname: "127.0.0.1", port, caCerts: [pem("ca.pem")], ...own });
      },
      refused,
      port,
    );
  } finally {
    server[Symbol.dispose]();
    engine.close();
    await echoing;
  }
}

Deno.test("listenTls() carries bytes for clients with a certificate of the CA, both ways", () =>
  withServer(async (connect) => {
    const connection = await connect("client");
    const sent = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);
    await connection.write(sent);
    const received = new Uint8Array(sent.length);
    for (let at = 0; at < received.length;) {
      at += await connection.read(received.subarray(at)) ?? assert.fail();
    }
    connection.close();
    assert.deepEqual(received, sent);
  }));

Deno.test("listenTls() turns away clients without one, and with another's", () =>
  withServer(async (connect, refused) => {
    for (const who of [undefined, "other"] as const) {
      await assert.rejects(async () => {
        const connection = await connect(who);
        try {
          await connection.write(new Uint8Array(1));
          if (await connection.read(new Uint8Array(1)) === null) throw new Error("it was closed");
        } finally {
          connection.close();
        }
      });
    }
    assert.equal(refused.length, 2);
    assert.match(refused.join("; "), /no certificates?; its certificate is not good/);
  }));

Deno.test("listenTls() closes clients that say nothing, and those that are too many; others come after them", () =>
  withServer(async (connect, refused, port) => {
    const silent = await Promise.all(
      Array.from({ length: 2 * CLIENTS }, () => Deno.connect({ hostname: "127.0.0.1", port })),
    );
    const ends = silent.map(async (connection) => {
      const count = await connection.read(new Uint8Array(1)).catch(() => null);
      connection.close();
      return count;
    });
    assert.deepEqual(await Promise.all(ends), silent.map(() => null));
    assert.equal(refused.length, CLIENTS);
    const connection = await connect("client");
    await connection.write(Uint8Array.of(7));
    assert.equal(await connection.read(new Uint8Array(1)), 1);
    connection.close();
  }, { handshakeMs: 1_000 }));

Deno.test("listenTls() lets a client end its half, and it hears what is said after that", () =>
  withServer(async (connect) => {
    const sent = new Uint8Array(5_000_000).map((_, i) => i % 251);
    const connection = await connect("client");
    for (let at = 0; at < sent.length;) at += await connection.write(sent.subarray(at));
    await connection.closeWrite();
    assert.deepEqual(await new Response(connection.readable).bytes(), sent);
  }, { answer: echoAtEnd }));
