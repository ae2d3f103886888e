/** From a request to its answer: paths, methods, JSON bodies, and errors as JSON. Knows nothing of what is served. */
import { type ErrorCode, MeshnetError, messageOf } from "../core/errors.ts";
import { closest } from "../core/suggest.ts";
import type { ErrorAnswer } from "./api_types.ts";
import type { HttpRequest } from "./http_request.ts";

/** What is served at a path. */
export interface Served {
  readonly method: "GET" | "POST";
  /** Gives what is answered as JSON. A MeshnetError that it throws becomes the answer. `body` is the JSON of a POST, and
   * an empty object where nothing was sent. Whoever waits for something asks `gone`, whose signal aborts when the client
   * leaves. */
  handle(body: unknown, gone: () => AbortSignal): unknown;
  /** The answer's connection stays open until the server is disposed of, or the process ends. */
  readonly holds?: boolean;
}

/** What a server serves, by path. */
export type Endpoints = Readonly<Record<string, Served>>;

/** An answer before it is put into bytes. */
export interface HttpAnswer {
  readonly status: number;
  /** Besides those of every answer. */
  readonly headers: Readonly<Record<string, string>>;
  /** JSON. */
  readonly text: string;
  readonly holds: boolean;
}

/** Answers one request; never throws. `failed` is told of errors that nobody foresaw, `gone` watches the client. */
export async function answer(
  { body, method, path }: Pick<HttpRequest, "body" | "method" | "path">,
  endpoints: Endpoints,
  { failed, gone }: { readonly failed: (error: unknown) => void; readonly gone: () => AbortSignal },
): Promise<HttpAnswer> {
  const endpoint = Object.hasOwn(endpoints, path) ? endpoints[path] : undefined;
  if (endpoint === undefined) {
    const near = closest(path, Object.keys(endpoints));
    return failure(404, { message: `No such path: ${path}`, hint: near && `Did you mean ${near}?` });
  }
  if (method !== endpoint.method) {
    const refused = failure(405, { message: `Cannot ${method} ${path}`, hint: `Use ${endpoint.method}` });
    return { ...refused, headers: { allow: endpoint.method } };
  }
  try {
    const value = await endpoint.handle(endpoint.method === "POST" ? parseBody(body) : undefined, gone);
    return { status: 200, headers: {}, text: JSON.stringify(value), holds: endpoint.holds === true };
  } catch (error) {
    if (error instanceof MeshnetError) return failure(statusOf(error.code), error);
    failed(error);
    return failure(500, { message: `The request failed: ${messageOf(error)}` });
  }
}

/** An answer that says what is wrong. */
export function failure(
  status: number,
  { code = "control/request-failed", hint, message }: {
    readonly code?: ErrorCode;
    readonly message: string;
    readonly hint?: string | undefined;
  },
): HttpAnswer {
  const text = JSON.stringify({ code, message, hint: hint ?? null } satisfies ErrorAnswer);
  return { status, headers: {}, text, holds: false };
}

/** The bytes of an answer. One that holds its connection has no end yet: send HELD_END when it may end. */
export function encodeAnswer(
  { headers, holds, status, text }: HttpAnswer,
  keepAlive: boolean,
): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const body = encoder.encode(holds ? `${text}\n` : text);
  const fields = {
    "content-type": "application/json",
    ...(holds ? { "transfer-encoding": "chunked" } : { "content-length": String(body.length) }),
    ...(keepAlive ? {} : { connection: "close" }),
    ...headers,
  };
  const head = `HTTP/1.1 ${status} ${status < 400 ? "OK" : "Refused"}\r\n` +
    Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`).join("") + "\r\n";
  const [before, after] = holds ? [`${body.length.toString(16)}\r\n`, "\r\n"] : ["", ""];
  const [start, end] = [encoder.encode(head + before), encoder.encode(after)];
  const whole = new Uint8Array(start.length + body.length + end.length);
  whole.set(start);
  whole.set(body, start.length);
  whole.set(end, start.length + body.length);
  return whole;
}

/** The end of an answer that held its connection. */
export const HELD_END: Uint8Array<ArrayBuffer> = new TextEncoder().encode("0\r\n\r\n");

function statusOf(code: ErrorCode): number {
  if (code.startsWith("usage/")) return 400;
  switch (code) {
    case "attach/bad-target":
    case "attach/bad-address":
    case "attach/no-address":
    case "dns/bad-name":
    case "ipam/bad-backup":
    case "ipam/bad-subnet":
    case "ipam/out-of-range":
      return 400;
    case "attach/not-attached":
    case "ipam/not-found":
    case "dns/not-found":
    case "dns/off":
    case "ipam/off":
    case "peer/unknown":
      return 404;
    case "attach/in-use":
    case "dns/conflict":
    case "ipam/in-use":
    case "ipam/owned-by-other":
    case "ipam/owners-missing":
    case "ipam/peer-connected":
    case "ipam/peers-missing":
    case "ipam/ring-exists":
      return 409;
    case "engine/unreachable":
      return 503;
    default:
      return 500;
  }
}

function parseBody(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return {};
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new MeshnetError("usage/bad-option", `The request body is not JSON: ${messageOf(cause)}`, {
      hint: "Send a JSON object",
    });
  }
}
