/** A small HTTP/1.1 server on stream sockets. Whatever its clients do, connections, memory and time are bounded, and slow
 * ones do not block others. */
import { messageOf } from "../core/errors.ts";
import { MemoryBudget } from "../core/memory_budget.ts";
import type { Logger } from "../core/ports.ts";
import { answer, encodeAnswer, type Endpoints, failure, HELD_END, type HttpAnswer } from "./http_answer.ts";
import { BadRequest, type HttpRequest, MAX_BODY, RequestReader } from "./http_request.ts";

/** Bounds of a server. */
export interface HttpLimits {
  /** Connections at once. Another one takes the place of the one that has been waiting for its request for longest. */
  readonly connections: number;
  /** Time in which a request must have come, and in which its answer must have been taken, in milliseconds. */
  readonly patienceMs: number;
  /** Whether a client that has nothing to ask may stay. One that is sent away may just be asking: what it sends then is lost,
   * and not every client can send it again. */
  readonly idleStay: boolean;
  /** Bytes that unfinished requests hold together: the one that holds most is cut off. */
  readonly requests: number;
  /** Bytes of answers that are not taken yet, together. */
  readonly answers: number;
}

const MIB = 1024 * 1024;
/** That many clients at once are many. */
const BUSY = 64;
const LIMITS: HttpLimits = {
  ...{ connections: 256, patienceMs: 10_000, idleStay: false },
  ...{ requests: 4 * MIB, answers: 64 * MIB },
};
/** Head and body of a request, and a little of the next. */
const MAX_REQUEST = MAX_BODY + 32 * 1024;
/** Time that a waiting client has for itself before another may take its place, in milliseconds. */
const GRACE_MS = 1_000;
/** Pause after a failure to accept, in milliseconds: descriptors may have been used up. */
const ACCEPT_PAUSE_MS = 100;
/** Time in which a refusal must have been taken, in milliseconds. */
const REFUSAL_MS = 1_000;

/** `waiting` for a request that has not come whole yet; `refused`: it is told why, and then closed. */
type Phase = "waiting" | "answering" | "held" | "refused";

class Client {
  phase: Phase = "waiting";
  /** Since when it waits, on performance's clock. */
  since: number = performance.now();
  timer: ReturnType<typeof setTimeout> | undefined;
  /** The next request, where it is awaited already. */
  ahead: Promise<HttpRequest | undefined> | undefined;
  #closed = false;

  constructor(readonly connection: Deno.Conn) {}

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.connection.write(bytes.subarray(at));
  }

  /** What it had time for is done. */
  inTime(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  close(): void {
    clearTimeout(this.timer);
    if (!this.#closed) this.connection.close();
    this.#closed = true;
  }

  /** Says why, and closes: at once when that has been taken, soon in any case. */
  async refuse(why: HttpAnswer): Promise<void> {
    this.phase = "refused";
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.close(), REFUSAL_MS);
    await this.write(encodeAnswer(why, false)).catch(() => {});
    this.close();
  }
}

/** A signal that aborts when the client leaves: its next request is awaited while this one is answered. */
function watch(client: Client, reader: RequestReader): AbortSignal {
  const gone = new AbortController();
  client.ahead ??= reader.next();
  client.ahead.then((next) => next === undefined && gone.abort(), () => gone.abort());
  return gone.signal;
}

/** Serves endpoints on any number of listeners. Disposing it ends everything, held answers too. */
export class HttpServer implements AsyncDisposable {
  readonly #endpoints: Endpoints;
  readonly #logger: Logger;
  readonly #limits: HttpLimits;
  readonly #listeners = new Set<Deno.Listener>();
  /** In the order in which they began to wait. */
  readonly #clients = new Set<Client>();
  /** Called when a client goes, while another waits for its place. */
  #left: (() => void) | undefined;
  #busy = false;
  readonly #quiet: () => void;
  /** What goes on, and for which client. */
  readonly #running = new Map<Promise<void>, Client | undefined>();
  readonly #budget: MemoryBudget<"requests" | "answers", Client>;

  constructor(
    endpoints: Endpoints,
    { limits, logger, quiet = () => {} }: {
      readonly logger: Logger;
      /** Called when the last client has gone after a time with many: their memory can be given back. */
      readonly quiet?: () => void;
      readonly limits?: Partial<HttpLimits>;
    },
  ) {
    this.#quiet = quiet;
    this.#endpoints = endpoints;
    this.#logger = logger;
    this.#limits = { ...LIMITS, ...limits };
    const { answers, requests } = this.#limits;
    this.#budget = new MemoryBudget({
      requests: { total: requests, each: MAX_REQUEST },
      answers: { total: answers, each: answers },
    });
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#clients.size;
  }

  /** Takes connections of a listener, and owns it from now on. */
  serve(listener: Deno.Listener): void {
    this.#listeners.add(listener);
    this.#run(this.#accept(listener), undefined);
  }

  /** Takes no more connections of a listener, and closes it; of all listeners if none is named. */
  stopListening(...listeners: readonly Deno.Listener[]): void {
    for (const listener of listeners.length > 0 ? listeners : [...this.#listeners]) {
      if (this.#listeners.delete(listener)) listener.close();
    }
    if (this.#listeners.size > 0) return;
    for (const client of this.#clients) if (client.phase === "waiting") client.close();
  }

  /** Closes everything. Answers that are on their way are cut off; held ones get their end. Does not wait for what is
   * being done for a request. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stopListening();
    for (const client of [...this.#clients]) {
      if (client.phase === "held") await client.write(HELD_END).catch(() => {});
      client.close();
    }
    const ending = [...this.#running].filter(([, client]) => client?.phase !== "answering");
    await Promise.all(ending.map(([running]) => running));
  }

  #run(work: Promise<void>, client: Client | undefined): void {
    const running = work.catch((error) => {
      this.#logger.error("control request failed", { reason: messageOf(error) });
    }).finally(() => this.#running.delete(running));
    this.#running.set(running, client);
  }

  async #accept(listener: Deno.Listener): Promise<void> {
    let failed = false;
    while (this.#listeners.has(listener)) {
      try {
        const connection = await listener.accept();
        failed = false;
        if (this.#clients.size >= this.#limits.connections) await this.#room();
        this.#welcome(connection);
      } catch (error) {
        if (!this.#listeners.has(listener)) return;
        if (!failed) this.#logger.error("cannot accept a connection", { reason: messageOf(error) });
        failed = true;
        this.#oldestWaiting()?.close(); // gives back a descriptor
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      }
    }
  }

  /** Waits until a client goes, or the one that waits longest has had its time. Others stay in the kernel's queue. */
  async #room(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#left = resolve;
    const waited = performance.now() - (this.#oldestWaiting()?.since ?? performance.now());
    const timer = setTimeout(resolve, Math.max(0, GRACE_MS - waited));
    await promise;
    clearTimeout(timer);
    this.#left = undefined;
  }

  #welcome(connection: Deno.Conn): void {
    const client = new Client(connection);
    if (this.#clients.size >= this.#limits.connections) {
      const oldest = this.#oldestWaiting();
      if (oldest === undefined) {
        return void client.refuse(failure(503, {
          message: "The daemon is answering too many requests",
          hint: "Try again later",
        }));
      }
      this.#leave(oldest);
    }
    this.#clients.add(client);
    this.#busy ||= this.#clients.size >= BUSY;
    this.#run(this.#converse(client), client);
  }

  #oldestWaiting(): Client | undefined {
    return this.#clients.values().find((client) => client.phase === "waiting");
  }

  async #converse(client: Client): Promise<void> {
    const reader = new RequestReader({
      read: (into) => client.connection.read(into),
      held: (octets) => {
        const begins = client.phase === "waiting" && client.timer === undefined && octets > 0;
        if (begins) this.#limitTime(client, () => this.#tooSlow(client));
        this.#hold("requests", client, octets);
      },
      goOn: () => client.write(new TextEncoder().encode("HTTP/1.1 100 Continue\r\n\r\n")),
    });
    try {
      while (await this.#exchange(client, reader));
    } catch (error) {
      if (error instanceof BadRequest) {
        await client.refuse(
          failure(error.status, { code: "usage/bad-option", message: error.message, hint: error.hint }),
        );
      } // else the client has gone, or was closed here
    } finally {
      this.#leave(client);
    }
  }

  #leave(client: Client): void {
    this.#clients.delete(client);
    this.#budget.release(client);
    client.close();
    this.#left?.();
    if (this.#clients.size > 0 || !this.#busy) return;
    this.#busy = false;
    this.#quiet();
  }

  /** One request and its answer. Whether another may follow. */
  async #exchange(client: Client, reader: RequestReader): Promise<boolean> {
    if (!this.#limits.idleStay || reader.begun) {
      this.#limitTime(client, () => reader.begun ? this.#tooSlow(client) : client.close());
    }
    const ahead = client.ahead ?? reader.next();
    client.ahead = undefined;
    const request = await ahead;
    client.inTime();
    if (request === undefined || client.phase === "refused") return false;
    client.phase = "answering";
    const found = await answer(request, this.#endpoints, {
      failed: (error) =>
        this.#logger.error("control request failed", { path: request.path, reason: messageOf(error) }),
      gone: () => watch(client, reader),
    });
    const keepAlive = request.keepAlive && !found.holds && this.#listeners.size > 0;
    const bytes = encodeAnswer(found, keepAlive);
    this.#hold("answers", client, bytes.length);
    this.#limitTime(client, () => client.close());
    await client.write(bytes);
    client.inTime();
    this.#budget.release(client);
    if (found.holds) {
      client.phase = "held";
      while (await (client.ahead ?? reader.next())) client.ahead = undefined; // until either side ends it
    }
    client.phase = "waiting";
    client.since = performance.now();
    this.#clients.delete(client); // to the end of those that wait
    this.#clients.add(client);
    return keepAlive;
  }

  #limitTime(client: Client, late: () => void): void {
    clearTimeout(client.timer); // one that began with bytes read ahead
    client.timer = setTimeout(late, this.#limits.patienceMs);
  }

  #tooSlow(client: Client): void {
    const seconds = this.#limits.patienceMs / 1000;
    void client.refuse(
      failure(408, { message: `The request did not come within ${seconds} s`, hint: "Send it at once" }),
    );
  }

  #hold(pool: "requests" | "answers", client: Client, octets: number): void {
    for (const greediest of this.#budget.hold(pool, client, octets)) {
      void greediest.refuse(failure(503, {
        message: "The request was cut off: too many come at once",
        hint: "Try again later",
      }));
    }
  }
}
