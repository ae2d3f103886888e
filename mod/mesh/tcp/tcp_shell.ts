/** TCP streams as the router uses them: dialled from a chosen address, written in order, read as they come. */
import { type Endpoint, formatEndpoint, type Ip, isIpv4, parseIp } from "../../core/addr.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import { DIAL_TIMEOUT } from "../dialing/dial_advice.ts";
import type { DialFailure } from "../router_types.ts";

/** What a stream reports; nothing after `end`. */
export interface StreamHandlers {
  /** The receiver may keep the bytes. */
  data(bytes: Uint8Array): void;
  /** The remote closed, or the connection broke: a sentence without full stop. `silent`: the remote's system did not answer
   * any more. */
  end(reason: string, silent?: boolean): void;
}

/** One TCP connection. */
export interface Stream {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** Begins to read. */
  start(handlers: StreamHandlers): void;
  /** Writes all bytes; rejects when the connection is gone. One call at a time. */
  write(bytes: Uint8Array): Promise<void>;
  /** Closes at once; reports nothing more. */
  close(): void;
}

/** A dial that failed. */
export class DialError extends Error {
  override readonly name = "DialError";
  constructor(readonly failure: DialFailure, message: string) {
    super(message);
  }
}

const SMALL_READ = 2 * 1024;
const LARGE_READ = 64 * 1024;

/** A stream over a connection of Deno. */
export class DenoStream implements Stream {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  #closed = false;

  constructor(readonly conn: Deno.TcpConn) {
    this.local = endpointOf(conn.localAddr.hostname, conn.localAddr.port);
    this.remote = endpointOf(conn.remoteAddr.hostname, conn.remoteAddr.port);
    conn.setNoDelay(true);
    conn.setKeepAlive(true);
  }

  start(handlers: StreamHandlers): void {
    void this.#read(handlers);
  }

  async #read(handlers: StreamHandlers): Promise<void> {
    // Two hundred idle connections must not hold two hundred large buffers.
    let buffer = new Uint8Array(SMALL_READ);
    try {
      for (;;) {
        const count = await this.conn.read(buffer);
        if (this.#closed) return;
        if (count === null) return handlers.end("the peer closed the connection");
        handlers.data(buffer.slice(0, count));
        const size = count === buffer.length ? LARGE_READ : count < SMALL_READ ? SMALL_READ : buffer.length;
        if (size !== buffer.length) buffer = new Uint8Array(size);
      }
    } catch (error) {
      if (!this.#closed) handlers.end(brokenBy(error), isSilence(error));
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.conn.write(bytes.subarray(at));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.conn.close();
    } catch {
      // It was closed by the system already: nothing is left to be freed.
    }
  }
}

/** Dials `address`, from the local address `from` if there is one. Throws a DialError. */
export async function dial(
  address: Endpoint,
  options: { readonly from: Ip | undefined; readonly signal: AbortSignal },
): Promise<Stream> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), DIAL_TIMEOUT);
  const clear = () => clearTimeout(timer);
  options.signal.addEventListener("abort", clear, { once: true });
  const signal = AbortSignal.any([options.signal, timeout.signal]);
  try {
    if (options.from !== undefined) {
      if (isIpv4(options.from) !== isIpv4(address.ip)) {
        throw new DialError("other", `--host ${options.from} is of another address family`);
      }
      const { dialFrom } = await import("./tcp_node_shell.ts");
      return await dialFrom(address, { from: options.from, signal });
    }
    return new DenoStream(await Deno.connect({ hostname: address.ip, port: address.port, signal }));
  } catch (error) {
    if (error instanceof DialError) throw error;
    throw timeout.signal.aborted ? new DialError("timeout", "timed out") : dialErrorOf(error);
  } finally {
    clear();
    options.signal.removeEventListener("abort", clear);
  }
}

/** The addresses of a host name, as the system's resolver gives them, or the reason for which there are none. */
export async function lookUp(host: string): Promise<readonly Ip[] | string> {
  const dns = await import("node:dns/promises");
  try {
    const found = await dns.lookup(host, { all: true });
    return found.map(({ address }) => parseIp(address)).filter((ip) => ip !== undefined);
  } catch (error) {
    return `the name ${host} has no address: check its spelling and this host's DNS (${messageOf(error)})`;
  }
}

/** An address as the system reports it; IPv4 in an IPv6 socket becomes IPv4. */
export function endpointOf(hostname: string | undefined, port: number | undefined): Endpoint {
  return { ip: parseIp((hostname ?? "").replace(/%.*$/, "")) ?? "0.0.0.0" as Ip, port: port ?? 0 };
}

/** Why an open connection broke, in words. */
export function brokenBy(error: unknown): string {
  const message = messageOf(error);
  if (/reset|broken pipe|aborted/i.test(message)) {
    return "the connection was reset: the peer stopped or dropped it";
  }
  if (/timed? ?out/i.test(message)) {
    return "the connection timed out: the host or the network between is down";
  }
  return `the connection broke: ${message}`;
}

/** Whether a connection broke because the remote's system does not answer: it is dead, or the network between. */
export function isSilence(error: unknown): boolean {
  const { failure } = dialErrorOf(error);
  return failure === "timeout" || failure === "unreachable";
}

/** Sorts a failed dial by what to advise. */
export function dialErrorOf(error: unknown): DialError {
  const message = messageOf(error);
  const failure: DialFailure = /refused/i.test(message)
    ? "refused"
    : /timed? ?out/i.test(message)
    ? "timeout"
    : /unreach|no route/i.test(message)
    ? "unreachable"
    : "other";
  return new DialError(failure, message);
}

/** Listens on an address, or on all of both families. Throws "up/port-taken". */
export function listen(host: Ip | undefined, port: number): Deno.TcpListener {
  if (host !== undefined) return listenOn(host, port);
  try {
    return Deno.listen({ hostname: "::", port });
  } catch {
    return listenOn("0.0.0.0", port); // without IPv6 in the kernel; a taken port shows again
  }
}

/** Whether a connection could not be accepted because its other end had reset it. A stranger can do that as often as he
 * likes: it is no fault of this host, and others must not wait for it. */
export function wasReset(error: unknown): boolean {
  return error instanceof Deno.errors.NotConnected || error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.ConnectionReset;
}

function listenOn(hostname: string, port: number): Deno.TcpListener {
  try {
    return Deno.listen({ hostname, port });
  } catch (cause) {
    const where = formatEndpoint({ ip: hostname as Ip, port });
    const hint = cause instanceof Deno.errors.AddrInUse
      ? `Another program uses TCP port ${port}: stop it, or give another --port.`
      : "Check --host and --port.";
    throw new MeshnetError("up/port-taken", `Cannot listen on ${where}: ${messageOf(cause)}`, {
      hint,
      cause,
    });
  }
}
