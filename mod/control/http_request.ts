/** Reading HTTP/1.1 requests from a stream of bytes: bounded, and with a reason where one is refused. */
import { joinBytes } from "../core/bytes.ts";

/** Largest head of a request, bytes. */
const MAX_HEAD = 16 * 1024;
/** Largest body of a request, bytes. */
export const MAX_BODY = 1024 * 1024;
/** Longest line before a chunk, bytes. */
const MAX_CHUNK_LINE = 256;
const READ_SIZE = 4096;
const CR = 0x0d, LF = 0x0a;

/** A whole request. */
export interface HttpRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly body: Uint8Array<ArrayBuffer>;
  /** Whether another request may follow on the connection. */
  readonly keepAlive: boolean;
}

/** A request that cannot be read: the connection is of no use any more. */
export class BadRequest extends Error {
  /** `message` says what is wrong, without full stop; `hint` what to send instead. */
  constructor(readonly status: 400 | 413 | 431, message: string, readonly hint: string) {
    super(message);
  }
}

/** What to read from, and whom to tell. */
export interface RequestSource {
  /** Reads some bytes; null at the end. */
  readonly read: (into: Uint8Array<ArrayBuffer>) => Promise<number | null>;
  /** Told how many bytes of unfinished requests are held now. */
  readonly held: (octets: number) => void;
  /** The client waits for this word before it sends the body. */
  readonly goOn: () => Promise<void>;
}

/** Takes one request after the other from a connection. */
export class RequestReader {
  readonly #source: RequestSource;
  readonly #chunk = new Uint8Array(READ_SIZE);
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #body = 0;

  constructor(source: RequestSource) {
    this.#source = source;
  }

  /** Whether something of the next request has come. */
  get begun(): boolean {
    return this.#body + this.#bytes.length > 0;
  }

  /** The next request; undefined when the client is done. Throws BadRequest, or what reading throws. */
  async next(): Promise<HttpRequest | undefined> {
    const head = await this.#upTo("\r\n\r\n", MAX_HEAD, "head");
    if (head === undefined) return undefined;
    const [line, ...fields] = head.split("\r\n");
    const [, method, target, minor] = /^([A-Z]+) (\S+) HTTP\/1\.([01])$/.exec(line!) ?? [];
    const path = target === undefined ? undefined : pathOf(target);
    if (method === undefined || path === undefined) {
      throw new BadRequest(400, "The request is not HTTP/1.1", "Send for example: GET /status HTTP/1.1");
    }
    const headers = headersOf(fields);
    if (/^100-continue$/i.test(headers.get("expect") ?? "")) await this.#source.goOn();
    const body = await this.#readBody(headers);
    const asked = headers.get("connection")?.toLowerCase();
    return { method, path, body, keepAlive: minor === "1" ? asked !== "close" : asked === "keep-alive" };
  }

  async #readBody(headers: ReadonlyMap<string, string>): Promise<Uint8Array<ArrayBuffer>> {
    const coding = headers.get("transfer-encoding");
    const length = headers.get("content-length") ?? "0";
    try {
      if (coding !== undefined) {
        if (coding.toLowerCase() === "chunked") return await this.#readChunks();
        throw new BadRequest(400, `Cannot read a body in ${coding}`, "Send it with a content-length");
      }
      if (!/^[0-9]{1,9}$/.test(length)) {
        throw new BadRequest(400, "The content-length is no number", "Send the length of the body in bytes");
      }
      return await this.#exactly(Number(length));
    } finally {
      this.#body = 0;
      this.#source.held(this.#bytes.length);
    }
  }

  async #readChunks(): Promise<Uint8Array<ArrayBuffer>> {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for (;;) {
      const line = await this.#upTo("\r\n", MAX_CHUNK_LINE, "chunk") ?? "";
      const size = /^([0-9a-f]{1,8})[ \t]*(;.*)?$/i.exec(line)?.[1];
      if (size === undefined) {
        throw new BadRequest(400, "A chunk of the body has no size", "Send whole chunks");
      }
      const length = parseInt(size, 16);
      if (length === 0) break;
      const chunk = await this.#exactly(length + 2);
      if (chunk[length] !== CR || chunk[length + 1] !== LF) {
        throw new BadRequest(400, "A chunk of the body is longer than its size", "Send whole chunks");
      }
      parts.push(chunk.subarray(0, length));
      this.#body += length;
    }
    while (await this.#upTo("\r\n", MAX_HEAD, "head")); // trailers
    return joinBytes(parts);
  }

  /** The text before an end mark, which is taken away, too; undefined when the client ends before it begins. */
  async #upTo(mark: "\r\n" | "\r\n\r\n", limit: number, what: string): Promise<string | undefined> {
    for (let from = 0;;) {
      const end = find(this.#bytes, mark, from);
      if (end >= 0 && end <= limit) {
        const text = new TextDecoder("latin1").decode(this.#bytes.subarray(0, end));
        this.#bytes = this.#bytes.subarray(end + mark.length);
        return text;
      }
      if (this.#bytes.length > limit) {
        throw new BadRequest(431, `The request's ${what} is longer than ${limit} bytes`, "Send less");
      }
      from = Math.max(0, this.#bytes.length - mark.length);
      if (await this.#more()) continue;
      if (this.#bytes.length === 0) return undefined;
      throw new BadRequest(400, `The request ends within its ${what}`, "Send whole requests");
    }
  }

  async #exactly(length: number): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#body + length > MAX_BODY) {
      throw new BadRequest(
        413,
        `The request body is too long: limit is ${MAX_BODY} bytes`,
        "Send less at a time",
      );
    }
    while (this.#bytes.length < length) {
      if (!await this.#more()) {
        throw new BadRequest(400, "The request ends within its body", "Send whole requests");
      }
    }
    const part = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return part;
  }

  async #more(): Promise<boolean> {
    const read = await this.#source.read(this.#chunk);
    if (read === null) return false;
    this.#append(this.#chunk.subarray(0, read));
    this.#source.held(this.#body + this.#bytes.length);
    return true;
  }

  /** Takes bytes behind those that are there. Room grows by doubling, so that many small pieces are copied seldom. */
  #append(piece: Uint8Array): void {
    const before = this.#bytes;
    const length = before.length + piece.length;
    const hasRoom = before.byteOffset + length <= before.buffer.byteLength;
    const room = hasRoom ? before.buffer : new ArrayBuffer(Math.max(2 * length, READ_SIZE));
    this.#bytes = new Uint8Array(room, hasRoom ? before.byteOffset : 0, length);
    if (!hasRoom) this.#bytes.set(before);
    this.#bytes.set(piece, before.length);
  }
}

function find(bytes: Uint8Array, mark: string, from: number): number {
  for (let at = bytes.indexOf(CR, from); at >= 0; at = bytes.indexOf(CR, at + 1)) {
    if (bytes[at + 1] !== LF) continue;
    if (mark.length === 2 || bytes[at + 2] === CR && bytes[at + 3] === LF) return at;
  }
  return -1;
}

function pathOf(target: string): string | undefined {
  return URL.parse(target, "http://meshnet")?.pathname;
}

function headersOf(fields: readonly string[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const field of fields) {
    const [, name, value] = /^([^\s:]+):[ \t]*(.*?)[ \t]*$/.exec(field) ?? [];
    if (name === undefined) {
      throw new BadRequest(400, "A header of the request has no name", "Send Name: value");
    }
    headers.set(name.toLowerCase(), value!);
  }
  return headers;
}
