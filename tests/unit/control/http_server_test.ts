import assert from "node:assert/strict";
import type { Endpoints } from "../../../mod/control/http_answer.ts";
import { type HttpLimits, HttpServer } from "../../../mod/control/http_server.ts";
import type { Logger } from "../../../mod/core/ports.ts";

const logger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
const encoder = new TextEncoder();

/** A server in a folder of its own, and how to reach it. */
async function serving(
  endpoints: Endpoints,
  limits: Partial<HttpLimits>,
  test: (open: () => Promise<Deno.Conn>, server: HttpServer) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/socket`;
  const opened: Deno.Conn[] = [];
  try {
    await using server = new HttpServer(endpoints, { logger, limits });
    server.serve(Deno.listen({ transport: "unix", path }));
    await test(async () => {
      const connection = await Deno.connect({ transport: "unix", path });
      opened.push(connection);
      return connection;
    }, server);
  } finally {
    for (const connection of opened) {
      try {
        connection.close();
      } catch { /* read to its end */ }
    }
    await Deno.remove(folder, { recursive: true });
  }
}

async function send(connection: Deno.Conn, text: string): Promise<void> {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** What comes until the server closes. */
async function readToEnd(connection: Deno.Conn): Promise<string> {
  return await new Response(connection.readable).text();
}

/** What comes until a text is in it. */
async function readUntil(connection: Deno.Conn, end: string): Promise<string> {
  const into = new Uint8Array(65536);
  for (let text = "";;) {
    const read = await connection.read(into);
    assert.ok(read !== null, `closed after: ${text}`);
    text += new TextDecoder().decode(into.subarray(0, read));
    if (text.includes(end)) return text;
  }
}

/** Waits until something holds. */
async function until(what: string, holds: () => boolean): Promise<void> {
  for (const end = performance.now() + 60_000; !holds();) {
    assert.ok(performance.now() < end, `not within a minute: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const ASK = "GET /x HTTP/1.1\r\n\r\n";
const ASK_LAST = "GET /x HTTP/1.1\r\nconnection: close\r\n\r\n";
const simple: Endpoints = {
  "/x": { method: "GET", handle: () => ({ ok: true }) },
  "/echo": { method: "POST", handle: (body) => body },
};

Deno.test("HttpServer answers one request after the other on a connection", () =>
  serving(simple, {}, async (open) => {
    const connection = await open();
    for (let round = 0; round < 3; round++) {
      await send(connection, ASK);
      assert.match(await readUntil(connection, "}"), /^HTTP\/1\.1 200 .*\{"ok":true\}$/s);
    }
    await send(connection, ASK + ASK_LAST); // two at once
    assert.equal((await readToEnd(connection)).match(/\{"ok":true\}/g)?.length, 2);
  }));

Deno.test("HttpServer says what is wrong with a request before it closes", () =>
  serving(simple, {}, async (open) => {
    const cases: [string, RegExp][] = [
      ["rubbish\r\n\r\n", /^HTTP\/1\.1 400 .*not HTTP/s],
      [
        `POST /echo HTTP/1.1\r\ncontent-length: 1100000\r\n\r\n${" ".repeat(1_000)}`,
        /^HTTP\/1\.1 413 .*too long/s,
      ],
    ];
    for (const [request, expected] of cases) {
      const connection = await open();
      await send(connection, request);
      assert.match(await readUntil(connection, "}"), expected);
    }
  }));

Deno.test("HttpServer gives the place of whoever waits longest to a new client, and never that of one it answers", async () => {
  const [begun, ready] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const handle = async () => {
    begun.resolve();
    await ready.promise;
    return "done";
  };
  const slow: Endpoints = { ...simple, "/slow": { method: "GET", handle } };
  await serving(slow, { connections: 8 }, async (open, server) => {
    const patient = await open();
    await send(patient, "GET /slow HTTP/1.1\r\n\r\n");
    await begun.promise;
    const silent: Deno.Conn[] = [];
    for (let i = 0; i < 40; i++) {
      silent.push(await open());
      await send(silent.at(-1)!, "GET /x HT");
    }
    const polite = await open();
    await send(polite, ASK_LAST);
    assert.match(await readToEnd(polite), /"ok":true/);
    assert.ok(server.connections <= 8, `${server.connections} connections`);
    assert.equal(await readToEnd(silent[0]!), ""); // closed
    ready.resolve();
    assert.match(await readUntil(patient, "done"), /^HTTP\/1\.1 200/);
  });
});

Deno.test("HttpServer refuses more when all its clients are being answered", async () => {
  const [both, ready] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let asked = 0;
  const handle = async () => {
    if (++asked === 2) both.resolve();
    await ready.promise;
    return "done";
  };
  await serving({ "/slow": { method: "GET", handle } }, { connections: 2 }, async (open) => {
    const clients = [await open(), await open()];
    for (const client of clients) await send(client, "GET /slow HTTP/1.1\r\nconnection: close\r\n\r\n");
    await both.promise;
    assert.match(await readToEnd(await open()), /^HTTP\/1\.1 503 .*too many/s);
    ready.resolve();
    for (const client of clients) assert.match(await readToEnd(client), /done/);
  });
});

Deno.test("HttpServer answers a burst of more clients than it takes at once", () =>
  serving(simple, { connections: 8 }, async (open) => {
    const answers = await Promise.all(Array.from({ length: 200 }, async () => {
      const connection = await open();
      await send(connection, ASK_LAST);
      return await readToEnd(connection);
    }));
    for (const text of answers) assert.match(text, /^HTTP\/1\.1 200/);
  }));

Deno.test("HttpServer gives up on a request that does not come, and says so if some of it came", () =>
  serving(simple, { patienceMs: 1_000 }, async (open, server) => {
    const [silent, half] = [await open(), await open()];
    await send(half, "GET /x HTTP/1.1\r\n");
    assert.match(await readToEnd(half), /^HTTP\/1\.1 408 .*within 1 s/s);
    assert.equal(await readToEnd(silent), "");
    assert.equal(server.connections, 0);
  }));

Deno.test("HttpServer gives up on a client that does not take its answer", () =>
  serving(
    { "/x": { method: "GET", handle: () => "x".repeat(4_000_000) } },
    { patienceMs: 50 },
    async (open, server) => {
      const connection = await open();
      await send(connection, ASK);
      await until("the client has come", () => server.connections === 1);
      await until("it was given up", () => server.connections === 0);
      assert.ok((await readToEnd(connection)).length < 4_000_000);
    },
  ));

Deno.test("HttpServer cuts off the longest request when too many come at once, and answers the others", () =>
  serving(simple, { requests: 10_000 }, async (open) => {
    const open3 = [await open(), await open(), await open()];
    const begin = (length: number) =>
      `POST /echo HTTP/1.1\r\nconnection: close\r\ncontent-length: ${length}\r\n\r\n`;
    for (const [i, length] of [4_000, 3_000, 2_000].entries()) {
      await send(open3[i]!, begin(7_000) + " ".repeat(length));
    }
    await send(open3[1]!, " ".repeat(2_500));
    assert.match(await readToEnd(open3[1]!), /^HTTP\/1\.1 503 .*cut off/s);
    await send(open3[0]!, " ".repeat(2_998) + "17");
    assert.match(await readToEnd(open3[0]!), /^HTTP\/1\.1 200 .*17$/s);
  }));

Deno.test("HttpServer tells who waits that the client has left, and not before", () => {
  const left = Promise.withResolvers<void>();
  let waits = 0;
  const endpoints: Endpoints = {
    ...simple,
    "/wait": {
      method: "GET",
      async handle(_, gone) {
        waits++;
        gone().addEventListener("abort", () => left.resolve());
        await left.promise;
      },
    },
    "/short": { method: "GET", handle: (_, gone) => ({ gone: gone().aborted }) },
  };
  return serving(endpoints, {}, async (open) => {
    const patient = await open();
    await send(patient, "GET /short HTTP/1.1\r\n\r\n");
    assert.match(await readUntil(patient, "}"), /\{"gone":false\}$/);
    await send(patient, "GET /short HTTP/1.1\r\n\r\n" + ASK_LAST); // what came meanwhile is answered, too
    assert.match(await readToEnd(patient), /\{"gone":false\}.*\{"ok":true\}$/s);
    const client = await open();
    await send(client, "GET /wait HTTP/1.1\r\n\r\n");
    while (waits === 0) await readUntilAnswered(open);
    client.close();
    await left.promise;
  });
});

/** One exchange, after which what was sent before has been read. */
async function readUntilAnswered(open: () => Promise<Deno.Conn>): Promise<void> {
  const connection = await open();
  await send(connection, ASK_LAST);
  await readToEnd(connection);
}

Deno.test("HttpServer lets clients stay that have nothing to ask, where it is told to, but not slow ones", () =>
  serving(simple, { patienceMs: 200, idleStay: true }, async (open) => {
    const connection = await open();
    for (let i = 0; i < 2; i++) {
      await new Promise((resolve) => setTimeout(resolve, 300)); // it was sent away after 200 ms otherwise
      await send(connection, ASK);
      assert.match(await readUntil(connection, "true}"), /^HTTP\/1\.1 200 /);
    }
    await send(connection, "GET /x");
    assert.match(await readToEnd(connection), /^HTTP\/1\.1 408 /);
  }));
