/** The head of an HTTP/1.1 request, read as far as a proxy needs it, and given on byte by byte. Pure. */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { concatBytes } from "../../core/bytes.ts";

/** Largest head, bytes. Passwords of registries stand in heads. */
export const MAX_HEAD = 256 * 1024;
const CR = 0x0d, LF = 0x0a;

/** What a client asks for. */
export interface RequestHead {
  readonly method: string;
  /** As the client wrote it, with version and query. */
  readonly target: string;
  /** Without version and query: `/containers/create`. */
  readonly path: string;
  /** `/v1.41`; empty where the client names none. */
  readonly version: string;
  readonly query: URLSearchParams;
  /** In their order; names as written. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** Finds the end of a head: the number of its bytes, with the empty line; undefined: it has not come whole. */
export function headLength(bytes: Uint8Array, from = 0): number | undefined {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at + 1] === LF) return at + 2;
    if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
  }
  return undefined;
}

/** Reads a whole head. */
export function decodeHead(bytes: Uint8Array): Decoded<RequestHead> {
  const [line = "", ...lines] = textOf(bytes).trimEnd().split(/\r?\n/);
  const [, method, target] = /^([A-Za-z]+) (\S+) HTTP\/1\.[01]$/.exec(line) ?? [];
  if (method === undefined || target === undefined) return bad("the request is not HTTP/1.1");
  const headers: [string, string][] = [];
  for (const field of lines) {
    const [, name, value] = /^([^\s:]+):[ \t]*(.*)$/.exec(field) ?? [];
    if (name === undefined) return bad("a header of the request has no name");
    headers.push([name, value!.trimEnd()]);
  }
  const [, version = "", path = "", query = ""] = /^(\/v[0-9]+(?:\.[0-9]+)*)?([^?]*)\??(.*)$/.exec(target) ??
    [];
  return good({ method, target, version, path, query: new URLSearchParams(query), headers });
}

/** The value of a header, whatever the case of its name; undefined: there is none. */
export function headerOf({ headers }: Pick<RequestHead, "headers">, name: string): string | undefined {
  return headers.find(([one]) => one.toLowerCase() === name)?.[1];
}

/** The head for the engine: as it came, but the connection ends with the answer. So nobody has to find out where an answer
 * ends, and whatever comes next comes on a connection of its own. What asks for another protocol still does. */
export function encodeClosing(head: RequestHead): Uint8Array<ArrayBuffer> {
  const upgrade = headerOf(head, "upgrade") !== undefined;
  const lines = head.headers.filter(([name]) => name.toLowerCase() !== "connection")
    .map(([name, value]) => `${name}: ${value}`);
  return bytesOf(
    [
      `${head.method} ${head.target} HTTP/1.1`,
      ...lines,
      `Connection: ${upgrade ? "Upgrade, close" : "close"}`,
      "\r\n",
    ].join("\r\n"),
  );
}

/** How long the body of a request is; `chunked`: its chunks say. */
export function bodyLength(head: RequestHead): Decoded<number | "chunked"> {
  const coding = headerOf(head, "transfer-encoding");
  if (coding !== undefined) {
    return coding.toLowerCase() === "chunked" ? good("chunked") : bad(`the body comes in ${coding}`);
  }
  const length = headerOf(head, "content-length") ?? "0";
  return /^[0-9]{1,15}$/.test(length)
    ? good(Number(length))
    : bad(`the content-length is ${JSON.stringify(length)}`);
}

/** An answer of the proxy's own, in the words of an engine. */
export function encodeRefusal(status: number, message: string): Uint8Array<ArrayBuffer> {
  const body = new TextEncoder().encode(JSON.stringify({ message }) + "\n");
  return encodeClosingAnswer({ status, headers: [["Content-Type", "application/json"]], body });
}

/** A whole answer, after which the connection ends. */
export function encodeClosingAnswer(
  { body, headers, status }: {
    readonly status: number;
    readonly headers: Iterable<readonly [name: string, value: string]>;
    readonly body: Uint8Array;
  },
): Uint8Array<ArrayBuffer> {
  const others = [...headers].filter(([name]) =>
    !["connection", "content-length", "transfer-encoding", "keep-alive"].includes(name.toLowerCase())
  );
  const head = bytesOf(
    [
      `HTTP/1.1 ${status} ${STATUS_WORDS[status] ?? "Answer"}`,
      ...others.map(([name, value]) => `${name}: ${value}`),
      `Content-Length: ${body.length}`,
      "Connection: close",
      "\r\n",
    ].join("\r\n"),
  );
  return concatBytes(head, body);
}

const STATUS_WORDS: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  400: "Bad Request",
  404: "Not Found",
  409: "Conflict",
  413: "Request Entity Too Large",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
};

/** One character for each byte, so that nothing is lost on the way back. */
function textOf(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
