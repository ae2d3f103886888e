import assert from "node:assert/strict";
import { decodeExact, encodeExact } from "../../../../mod/docker/proxy/exact_json.ts";
import { BodyReader, MAX_READ_BODY } from "../../../../mod/docker/proxy/http_body.ts";
import {
  bodyLength,
  decodeHead,
  encodeClosing,
  headerOf,
  headLength,
} from "../../../../mod/docker/proxy/http_head.ts";
import { check, fc } from "../../properties.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (octets: Uint8Array) => new TextDecoder().decode(octets);

function headOf(lines: readonly string[]) {
  const head = decodeHead(bytes(lines.join("\r\n") + "\r\n\r\n"));
  assert.ok(head.ok, JSON.stringify(head));
  return head.value;
}

Deno.test("headLength() finds the end of a head, however it comes", () => {
  const whole = bytes("GET / HTTP/1.1\r\nA: b\r\n\r\nrest");
  for (let length = 0; length <= whole.length; length++) {
    assert.equal(headLength(whole.subarray(0, length)), length < 24 ? undefined : 24);
  }
  assert.equal(headLength(bytes("GET / HTTP/1.1\n\nrest")), 16);
});

Deno.test("decodeHead() takes a request apart", () => {
  const head = headOf([
    "POST /v1.41/containers/create?name=%2Fweb HTTP/1.1",
    "Host: /run/docker.sock",
    "x-A:b ",
  ]);
  assert.deepEqual({ ...head, query: head.query.get("name") }, {
    ...{ method: "POST", target: "/v1.41/containers/create?name=%2Fweb", path: "/containers/create" },
    ...{ version: "/v1.41", query: "/web", headers: [["Host", "/run/docker.sock"], ["x-A", "b"]] },
  });
  const paths: readonly [target: string, version: string, path: string][] = [
    ["/containers/create", "", "/containers/create"],
    ["/v1/containers/create", "/v1", "/containers/create"],
    ["/version", "", "/version"],
    ["/v1.41/version?a=b?c", "/v1.41", "/version"],
    ["/libpod/containers/create", "", "/libpod/containers/create"],
  ];
  for (const [target, version, path] of paths) {
    const { path: found, version: foundVersion } = headOf([`GET ${target} HTTP/1.1`]);
    assert.deepEqual([foundVersion, found], [version, path], target);
  }
  for (const wrong of ["", "GET /", "GET / HTTP/2", "GET / HTTP/1.1\r\nno header", " GET / HTTP/1.1"]) {
    assert.equal(decodeHead(bytes(`${wrong}\r\n\r\n`)).ok, false, wrong);
  }
});

Deno.test("encodeClosing() ends the connection with the answer, and leaves the rest as it is", () => {
  const plain = headOf(["GET /a HTTP/1.1", "Host: d", "connection: keep-alive", "X-B:  c"]);
  assert.equal(
    text(encodeClosing(plain)),
    "GET /a HTTP/1.1\r\nHost: d\r\nX-B: c\r\nConnection: close\r\n\r\n",
  );
  const upgrade = headOf(["POST /a HTTP/1.1", "Connection: Upgrade", "Upgrade: tcp"]);
  assert.equal(
    text(encodeClosing(upgrade)),
    "POST /a HTTP/1.1\r\nUpgrade: tcp\r\nConnection: Upgrade, close\r\n\r\n",
  );
  const odd = Uint8Array.from([...bytes("GET /"), 0xff, 0x80, 0x9f, ...bytes(" HTTP/1.1\r\n\r\n")]);
  const head = decodeHead(odd);
  assert.ok(head.ok);
  assert.deepEqual(encodeClosing(head.value).subarray(0, 8), odd.subarray(0, 8)); // octets, not characters
});

Deno.test("headerOf() and bodyLength() read what is there", () => {
  const head = headOf(["POST / HTTP/1.1", "CONTENT-length: 7"]);
  assert.equal(headerOf(head, "content-length"), "7");
  assert.deepEqual(bodyLength(head), { ok: true, value: 7 });
  assert.deepEqual(bodyLength(headOf(["GET / HTTP/1.1"])), { ok: true, value: 0 });
  assert.deepEqual(bodyLength(headOf(["GET / HTTP/1.1", "Transfer-Encoding: Chunked"])), {
    ok: true,
    value: "chunked",
  });
  for (const wrong of ["Content-Length: -1", "Content-Length: 1e9", "Transfer-Encoding: gzip, chunked"]) {
    assert.equal(bodyLength(headOf(["GET / HTTP/1.1", wrong])).ok, false, wrong);
  }
});

/** Feeds pieces; the body, or why not. */
function read(length: number | "chunked", pieces: readonly Uint8Array[]): string | undefined {
  const reader = new BodyReader(length);
  for (const piece of [new Uint8Array(0), ...pieces]) {
    const whole = reader.take(piece);
    if (!whole.ok) return whole.reason;
    if (whole.value) return text(reader.body);
  }
  return undefined;
}

Deno.test("BodyReader puts a body together, wherever it is cut", () => {
  const body = "a".repeat(70_000);
  const chunked = `3;ext=1\r\nabc\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\nTrailer: x\r\n\r\nnext`;
  check(
    fc.property(fc.array(fc.nat(chunked.length), { maxLength: 5 }), (cuts) => {
      const ends = [...cuts.toSorted((a, b) => a - b), chunked.length];
      const pieces = ends.map((end, i) => bytes(chunked.slice(ends[i - 1] ?? 0, end)));
      assert.equal(read("chunked", pieces), `abc${body}`);
    }),
    { runs: 30 },
  );
  assert.equal(read(3, [bytes("ab"), bytes("cd")]), "abc");
  assert.equal(read(0, []), "");
  assert.equal(read(5, [bytes("abcd")]), undefined);
});

Deno.test("BodyReader refuses what makes no sense, and what is too long", () => {
  const wrong: readonly [string, RegExp][] = [
    ["x\r\n", /has no size/],
    ["-1\r\n", /has no size/],
    ["\r\n", /has no size/],
    ["1\r\nab", /longer than its size/],
    ["1".repeat(5000), /too long/],
    [`0\r\n${"a".repeat(5000)}`, /too long/],
  ];
  for (const [chunks, reason] of wrong) assert.match(read("chunked", [bytes(chunks)]) ?? "", reason, chunks);
  assert.match(read(MAX_READ_BODY + 1, [new Uint8Array(MAX_READ_BODY + 1)]) ?? "", /longer than/);
  assert.match(
    read("chunked", [bytes("ffffffff\r\n"), new Uint8Array(MAX_READ_BODY + 1)]) ?? "",
    /longer than/,
  );
});

Deno.test("decodeExact() keeps numbers that this language cannot hold", () => {
  const exact = `{"a":9223372036854775807,"b":[1.50,-0,1e400,3],"c":{"d":"é"}}`;
  const read = decodeExact(bytes(exact));
  assert.ok(read.ok);
  assert.equal(text(encodeExact(read.value)), exact);
  for (const wrong of ["", "{", "nul"]) assert.equal(decodeExact(bytes(wrong)).ok, false);
  assert.equal(decodeExact(Uint8Array.of(0x22, 0xff, 0x22)).ok, false);
});
