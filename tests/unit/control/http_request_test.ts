import assert from "node:assert/strict";
import { BadRequest, type HttpRequest, MAX_BODY, RequestReader } from "../../../mod/control/http_request.ts";

/** All requests of a stream that comes in pieces of a size; what was said to the client; the most that was held. */
async function readAll(stream: string, piece: number) {
  const bytes = new TextEncoder().encode(stream);
  let [at, most, last, words] = [0, 0, 0, 0];
  const reader = new RequestReader({
    read(into) {
      const part = bytes.subarray(at, at + Math.min(piece, into.length));
      at += part.length;
      into.set(part);
      return Promise.resolve(part.length === 0 ? null : part.length);
    },
    held: (octets) => (last = octets, most = Math.max(most, octets)),
    goOn: () => (words++, Promise.resolve()),
  });
  const requests: (Omit<HttpRequest, "body"> & { body: string })[] = [];
  for (let next = await reader.next(); next !== undefined; next = await reader.next()) {
    requests.push({ ...next, body: new TextDecoder().decode(next.body) });
  }
  return { requests, most, last, words };
}

const PIECES = [1, 2, 7, 4096];

Deno.test("RequestReader.next() reads requests however they are cut", async () => {
  const stream = "GET /status HTTP/1.1\r\nHost: meshnet\r\n\r\n" +
    'POST /attach?x=y HTTP/1.1\r\nContent-Length: 10\r\n\r\n{"a":"ü"}' +
    "POST /stop HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\nab\r\n\r\n3;ext=1\r\ncde\r\n0\r\nTrailer: x\r\n\r\n" +
    "GET http://meshnet/report HTTP/1.1\r\nConnection: close\r\n\r\n" +
    "GET / HTTP/1.0\r\n\r\n" +
    "GET / HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n";
  for (const piece of PIECES) {
    const { last, requests, words } = await readAll(stream, piece);
    assert.deepEqual(requests, [
      { method: "GET", path: "/status", body: "", keepAlive: true },
      { method: "POST", path: "/attach", body: '{"a":"ü"}', keepAlive: true },
      { method: "POST", path: "/stop", body: "ab\r\ncde", keepAlive: true },
      { method: "GET", path: "/report", body: "", keepAlive: false },
      { method: "GET", path: "/", body: "", keepAlive: false },
      { method: "GET", path: "/", body: "", keepAlive: true },
    ]);
    assert.deepEqual([last, words], [0, 0]);
  }
});

Deno.test("RequestReader.next() says the word that a client waits for", async () => {
  const { words } = await readAll(
    "POST / HTTP/1.1\r\nexpect: 100-Continue\r\ncontent-length: 1\r\n\r\nx",
    4096,
  );
  assert.equal(words, 1);
});

const BAD: readonly (readonly [what: string, stream: string, status: number, message: RegExp])[] = [
  ["what is not HTTP", "SSH-2.0-x\r\n\r\n", 400, /not HTTP/],
  ["other versions", "GET / HTTP/2\r\n\r\n", 400, /not HTTP/],
  ["a target that is none", "GET http://[ HTTP/1.1\r\n\r\n", 400, /not HTTP/],
  ["headers without names", "GET / HTTP/1.1\r\n: x\r\n\r\n", 400, /no name/],
  ["half a head", "GET / HTTP/1.1\r\n", 400, /ends within its head/],
  ["an endless head", `GET / HTTP/1.1\r\nx: ${"y".repeat(20_000)}\r\n\r\n`, 431, /head is longer/],
  ["half a body", "POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nx", 400, /ends within its body/],
  ["a length that is none", "POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400, /no number/],
  ["an endless body", `POST / HTTP/1.1\r\ncontent-length: ${MAX_BODY + 1}\r\n\r\n`, 413, /too long/],
  ["other codings", "POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 400, /in gzip/],
  ["chunks without size", "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", 400, /no size/],
  [
    "chunks that are too long",
    "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
    400,
    /chunk .*longer/,
  ],
  [
    "endless chunks",
    "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + `8000\r\n${"x".repeat(0x8000)}\r\n`.repeat(33),
    413,
    /too long/,
  ],
];

for (const [what, stream, status, message] of BAD) {
  Deno.test(`RequestReader.next() refuses ${what}`, async () => {
    for (const piece of [3, 4096]) {
      await assert.rejects(readAll(stream, piece), (error) => {
        assert.ok(error instanceof BadRequest, String(error));
        assert.equal(error.status, status);
        assert.match(error.message, message);
        return true;
      });
    }
  });
}
