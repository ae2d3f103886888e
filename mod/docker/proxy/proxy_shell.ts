/** The engine's API once more, for clients that know nothing of networks: what they create is on the mesh before it starts.
 * Networks of meshnet's driver get their addresses from meshnet. Everything else goes through as it comes. */
import { messageOf } from "../../core/errors.ts";
import type { Faults } from "../../core/faults.ts";
import type { Logger } from "../../core/ports.ts";
import { creator, type CreatorParts } from "./creator_shell.ts";
import { planNetwork, withMeshAddress } from "./create_request.ts";
import { type EngineAnswer, EngineCalls } from "./engine_calls_shell.ts";
import { decodeExact, encodeExact } from "./exact_json.ts";
import { BodyReader } from "./http_body.ts";
import {
  bodyLength,
  decodeHead,
  encodeClosing,
  encodeClosingAnswer,
  encodeRefusal,
  headerOf,
  headLength,
  MAX_HEAD,
  type RequestHead,
} from "./http_head.ts";
import { type ByteStream, closeQuietly, finish, relay, writeAll } from "./relay_shell.ts";

/** Connections at once; each takes another one to the engine. */
const MAX_CLIENTS = 512;
/** Time in which a request must have come as far as the proxy needs it, in milliseconds. */
const PATIENCE_MS = 30_000;
/** Pause after a failure to accept, in milliseconds: descriptors may have been used up. */
const ACCEPT_PAUSE_MS = 100;
const READ_SIZE = 16 * 1024;
const GO_ON = new TextEncoder().encode("HTTP/1.1 100 Continue\r\n\r\n");

/** What it is made of. */
export interface ProxyParts {
  /** Path of the engine's socket. */
  readonly socket: string;
  /** How containers are put on the mesh; undefined: they are not. */
  readonly creating: CreatorParts | undefined;
  /** Whether an answer about a container shows its address of the mesh as its own. */
  readonly showMesh: boolean;
  /** Clients at once, where descriptors are few. */
  readonly clients: number;
  readonly faults: Pick<Faults, "guard" | "later">;
  readonly logger: Logger;
}

/** A request that the proxy cannot read. */
class Refused extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** Serves clients. Disposing it takes no more of them; those that are there are carried on. */
export class DockerProxy implements Disposable {
  readonly #parts: ProxyParts;
  readonly #calls: EngineCalls;
  readonly #create: ReturnType<typeof creator> | undefined;
  readonly #listeners = new Set<Deno.Listener>();
  #clients = 0;

  constructor(parts: ProxyParts) {
    this.#parts = parts;
    this.#calls = new EngineCalls(parts.socket);
    this.#create = parts.creating && creator(parts.creating, this.#calls);
  }

  /** Clients that are there. */
  get clients(): number {
    return this.#clients;
  }

  /** Clients at once. */
  get most(): number {
    return Math.min(MAX_CLIENTS, this.#parts.clients);
  }

  /** Takes connections of a listener, and owns it from now on. */
  serve(listener: Deno.Listener): void {
    this.#listeners.add(listener);
    this.#parts.faults.later("take connections for the engine", this.#accept(listener));
  }

  /** Takes no more. */
  [Symbol.dispose](): void {
    for (const listener of this.#listeners) listener.close();
    this.#listeners.clear();
    this.#calls[Symbol.dispose]();
  }

  /** Serves one client, whatever it does. */
  async welcome(client: ByteStream): Promise<void> {
    if (this.#clients >= this.most) {
      return await finish(
        client,
        encodeRefusal(503, "meshnet serves too many clients of the engine already"),
      );
    }
    this.#clients++;
    try {
      await this.#serve(client);
    } catch (thrown) {
      const status = thrown instanceof Refused ? thrown.status : 502;
      const reason = thrown instanceof Refused
        ? `meshnet cannot pass the request on: ${thrown.message}`
        : `meshnet cannot reach the engine at ${this.#parts.socket}: ${messageOf(thrown)}`;
      await finish(client, encodeRefusal(status, reason));
    } finally {
      this.#clients--;
    }
  }

  async #accept(listener: Deno.Listener): Promise<void> {
    while (this.#listeners.has(listener)) {
      try {
        const client = await listener.accept();
        this.#parts.faults.later("serve a client of the engine", this.welcome(client));
      } catch (error) {
        if (!this.#listeners.has(listener)) return;
        this.#parts.logger.error("cannot accept a connection", { reason: messageOf(error) });
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      }
    }
  }

  async #serve(client: ByteStream): Promise<void> {
    const late = setTimeout(
      this.#parts.faults.guard("end a slow client of the engine", () => closeQuietly(client)),
      PATIENCE_MS,
    );
    try {
      const found = await readHead(client);
      if (found === undefined) return closeQuietly(client);
      const { head, rest } = found;
      const work = this.#workFor(head);
      if (work !== undefined) {
        const body = await readBody(client, head, rest);
        clearTimeout(late);
        const { body: sent, headers, status } = await work(body);
        return await finish(client, encodeClosingAnswer({ status, headers, body: sent }));
      }
      clearTimeout(late);
      const engine = await Deno.connect({ transport: "unix", path: this.#parts.socket });
      await relay(client, engine, [encodeClosing(head), rest]);
    } finally {
      clearTimeout(late);
    }
  }

  /** What is to be done about a request that is not only passed on. */
  #workFor(head: RequestHead): ((body: Uint8Array<ArrayBuffer>) => Promise<EngineAnswer>) | undefined {
    const { method, path } = head;
    if (method === "POST" && path === "/containers/create" && this.#create !== undefined) {
      const create = this.#create;
      return (body) => create(head, body);
    }
    if (method === "POST" && path === "/networks/create" && this.#parts.creating !== undefined) {
      const { driver } = this.#parts.creating.common;
      return (body) => {
        const read = decodeExact(body);
        const changed = read.ok ? planNetwork(read.value, driver) : undefined;
        return this.#calls.ask({ ...head, body: changed === undefined ? body : encodeExact(changed) });
      };
    }
    if (method === "GET" && /^\/containers\/[^/]+\/json$/.test(path) && this.#parts.showMesh) {
      return async () => this.#shown(await this.#calls.ask(head));
    }
    return undefined;
  }

  #shown(answer: EngineAnswer): EngineAnswer {
    const { creating } = this.#parts;
    const read = answer.status === 200 ? decodeExact(answer.body) : undefined;
    const changed = read?.ok && creating !== undefined
      ? withMeshAddress(read.value, creating.isOurs)
      : undefined;
    return changed === undefined ? answer : { ...answer, body: encodeExact(changed) };
  }
}

/** The head of the next request, and what came behind it; undefined when the client is done. */
async function readHead(
  client: ByteStream,
): Promise<{ readonly head: RequestHead; readonly rest: Uint8Array<ArrayBuffer> } | undefined> {
  let bytes = new Uint8Array(0);
  const buffer = new Uint8Array(READ_SIZE);
  for (;;) {
    const count = await client.read(buffer).catch(() => null);
    if (count === null) {
      if (bytes.length === 0) return undefined;
      throw new Refused(400, "it ends within its head");
    }
    const from = Math.max(0, bytes.length - 3);
    const whole = new Uint8Array(bytes.length + count);
    whole.set(bytes);
    whole.set(buffer.subarray(0, count), bytes.length);
    bytes = whole;
    const length = headLength(bytes, from);
    if ((length ?? bytes.length) > MAX_HEAD) {
      throw new Refused(431, `its head is longer than ${MAX_HEAD} bytes`);
    }
    if (length === undefined) continue;
    const head = decodeHead(bytes.subarray(0, length));
    if (!head.ok) throw new Refused(400, head.reason);
    return { head: head.value, rest: bytes.subarray(length) };
  }
}

/** The whole body of a request, of which `rest` has come. */
async function readBody(
  client: ByteStream,
  head: RequestHead,
  rest: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  const length = bodyLength(head);
  if (!length.ok) throw new Refused(400, length.reason);
  const reader = new BodyReader(length.value);
  if (headerOf(head, "expect")?.toLowerCase() === "100-continue") await writeAll(client, GO_ON);
  const buffer = new Uint8Array(READ_SIZE);
  for (let piece = rest;;) {
    const whole = reader.take(piece);
    if (!whole.ok) throw new Refused(413, whole.reason);
    if (whole.value) return reader.body;
    const count = await client.read(buffer);
    if (count === null) throw new Refused(400, "it ends within its body");
    piece = buffer.subarray(0, count);
  }
}
