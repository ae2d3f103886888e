/** The client of the control socket: one HTTP/1.1 request over a Unix socket, light enough for every command. */
import { CONTROL_SOCKET, STATUS_SOCKET } from "../core/options.ts";
import { type ErrorCode, MeshnetError, messageOf, systemReason } from "../core/errors.ts";
import type { ErrorAnswer } from "./api_types.ts";

/** Pause before another try when the daemon has too many clients, in milliseconds. */
const BUSY_PAUSE_MS = 50;
const MAX_ANSWER = 64 * 1024 * 1024;

/** How to reach the daemon and how long to wait for it. */
export interface ClientOptions {
  /** Folder of the control socket. */
  readonly runDir: string;
  /** Milliseconds until the whole answer must have come. */
  readonly timeoutMs: number;
}

/** One request; `body` is sent as JSON. */
export interface ControlRequest {
  /** As the path wants it. */
  readonly method: "GET" | "POST";
  /** For example `/status`. */
  readonly path: string;
  /** Absent for GET. */
  readonly body?: unknown;
}

/**
 * Sends a request and returns the parsed answer; what an older daemon does not say is empty in it. Throws MeshnetError `control/not-running` when nobody listens,
 * `control/request-failed` when talking fails, or the error that the daemon answered with.
 */
export async function callDaemon<T>(request: ControlRequest, options: ClientOptions): Promise<T> {
  const connection = await connectFor(request, options);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    connection.close();
  }, options.timeoutMs);
  try {
    await writeAll(connection, encodeRequest(request));
    const answer = parseAnswer(await readToEnd(connection));
    const { completed } = await import("./older_answer.ts");
    return completed(request.path, answer) as T;
  } catch (cause) {
    if (cause instanceof MeshnetError) throw cause;
    throw new MeshnetError(
      "control/request-failed",
      timedOut
        ? `The daemon did not answer within ${options.timeoutMs / 1000} s`
        : `Cannot talk to the daemon: ${messageOf(cause)}`,
      {
        hint:
          "Look at its log; if it hangs, `systemctl restart meshnet`, or kill it and run `meshnet up` again: " +
          "containers keep talking meanwhile",
        cause,
      },
    );
  } finally {
    clearTimeout(timer);
    try {
      connection.close();
    } catch { /* closed by the timer */ }
  }
}

/** Questions of people who may only ask go to a socket of their own. */
async function connectFor({ method }: ControlRequest, options: ClientOptions): Promise<Deno.UnixConn> {
  try {
    return await connect(`${options.runDir}/${CONTROL_SOCKET}`, options);
  } catch (error) {
    if (method !== "GET" || !(error instanceof MeshnetError) || !isDenied(error.cause)) throw error;
    return await connect(`${options.runDir}/${STATUS_SOCKET}`, options).catch(() => {
      throw error;
    });
  }
}

function isDenied(cause: unknown): boolean {
  return cause instanceof Deno.errors.PermissionDenied || cause instanceof Deno.errors.NotCapable;
}

async function connect(path: string, { runDir, timeoutMs }: ClientOptions): Promise<Deno.UnixConn> {
  try {
    for (const end = performance.now() + timeoutMs;;) {
      try {
        return await Deno.connect({ transport: "unix", path });
      } catch (cause) {
        // The daemon's queue of clients is full: it takes hundreds in a second.
        if (!(cause instanceof Deno.errors.WouldBlock) || performance.now() > end) throw cause;
        await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS));
      }
    }
  } catch (cause) {
    if (isDenied(cause)) {
      throw new MeshnetError("control/request-failed", `Cannot open ${path}: permission denied`, {
        hint:
          "Run the command as root; with `meshnet up --socket-group GROUP` members of that group may look",
        cause,
      });
    }
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.ConnectionRefused) {
      throw new MeshnetError("control/not-running", `The daemon is not running (nobody listens on ${path})`, {
        hint: startHint(runDir),
        cause,
      });
    }
    throw new MeshnetError("control/request-failed", `Cannot open ${path}: ${systemReason(cause)}`, {
      hint: "Give the folder that `meshnet up` was started with, by --run-dir or MESHNET_RUN_DIR",
      cause,
    });
  }
}

function startHint(runDir: string): string {
  const option = runDir === "/run/meshnet" ? "" : ` --run-dir ${runDir}`;
  return `Start it as root with \`meshnet up${option}\`, or \`systemctl start meshnet\` where it is a service; ` +
    "if it runs with another --run-dir, give that or set MESHNET_RUN_DIR";
}

function encodeRequest(request: ControlRequest): Uint8Array {
  const encoder = new TextEncoder();
  const body = request.body === undefined ? new Uint8Array(0) : encoder.encode(JSON.stringify(request.body));
  const head = encoder.encode(
    `${request.method} ${request.path} HTTP/1.1\r\nhost: meshnet\r\nconnection: close\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
  );
  const whole = new Uint8Array(head.length + body.length);
  whole.set(head);
  whole.set(body, head.length);
  return whole;
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

async function readToEnd(connection: Deno.Conn): Promise<Uint8Array> {
  let whole = new Uint8Array(16 * 1024);
  let length = 0;
  while (true) {
    if (length === whole.length) {
      if (length >= MAX_ANSWER) throw new Error(`the answer is longer than ${MAX_ANSWER} bytes`);
      const longer = new Uint8Array(length * 2);
      longer.set(whole);
      whole = longer;
    }
    const read = await connection.read(whole.subarray(length));
    if (read === null) return whole.subarray(0, length);
    length += read;
  }
}

/** The JSON value of a complete HTTP answer; throws the MeshnetError that an error answer describes. */
export function parseAnswer(bytes: Uint8Array): unknown {
  const text = new TextDecoder("latin1").decode(bytes); // one character a byte: offsets are byte offsets
  const split = text.indexOf("\r\n\r\n");
  const status = Number(/^HTTP\/1\.[01] ([0-9]{3})/.exec(text)?.[1] ?? NaN);
  if (split < 0 || Number.isNaN(status)) {
    throw new MeshnetError("control/request-failed", "The daemon closed the connection without an answer", {
      hint: "It may be stopping; look at its log",
    });
  }
  const chunked = /\r\ntransfer-encoding: *chunked\r\n/i.test(text.slice(0, split + 2));
  const body = chunked ? joinChunks(bytes, text, split + 4) : bytes.subarray(split + 4);
  if (status === 204) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(body));
  } catch (cause) {
    throw new MeshnetError("control/request-failed", `The daemon's answer is not JSON: status is ${status}`, {
      cause,
    });
  }
  if (status < 400) return value;
  const error = value as Partial<ErrorAnswer>;
  throw new MeshnetError(
    (error.code ?? "control/request-failed") as ErrorCode,
    error.message ?? `The daemon refused the request: status is ${status}`,
    { hint: error.hint ?? undefined },
  );
}

/** The data of a chunked body; ends at the last whole chunk. */
function joinChunks(bytes: Uint8Array, text: string, start: number): Uint8Array {
  const body = new Uint8Array(bytes.length - start);
  let length = 0;
  for (let at = start;;) {
    const end = text.indexOf("\r\n", at);
    const size = parseInt(text.slice(at, end), 16);
    if (end < 0 || !(size > 0) || end + 2 + size > bytes.length) return body.subarray(0, length);
    body.set(bytes.subarray(end + 2, end + 2 + size), length);
    length += size;
    at = end + 2 + size + 2;
  }
}
