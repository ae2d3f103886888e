/** The name server's real thread on loopback, servers that it asks, and clients that ask it. */
import assert from "node:assert/strict";
import dgram from "node:dgram";
import net from "node:net";
import { Wakeup } from "../../../ffi/poll.ts";
import { QuerySocket } from "../../../ffi/query_socket.ts";
import type { Endpoint, Ip } from "../../../mod/core/addr.ts";
import { ERRNO } from "../../../mod/core/errno.ts";
import type { MeshnetError } from "../../../mod/core/errors.ts";
import type { LogFields, Logger } from "../../../mod/core/ports.ts";
import { type NameService, startNameService } from "../../../mod/daemon/threads/names_client.ts";
import type { DnsListener, NameServiceConfig } from "../../../mod/dns/service_types.ts";
import { encodeName } from "../../../mod/wire/dns/dns_text.ts";
import type { DnsEntry } from "../../../mod/wire/dns/dns_gossip.ts";
import { peer } from "../dns/bench.ts";
import { query, type Question } from "../dns/server_bench.ts";
import { freePort as freeTcpPort } from "../free_port.ts";
import { decodeReference, encodeReference, type ReferenceMessage } from "../wire/dns/dns_packet.ts";

export const LOOPBACK = "127.0.0.1" as Ip;
/** A thread from the sources is compiled first, and the machine may be busy. */
const PATIENCE_MS = 120_000;

Wakeup.create()[Symbol.dispose](); // opens the C library, once for the process
new QuerySocket({ ip: LOOPBACK, port: 0 })[Symbol.dispose]();

/** Rejects when something takes too long, so that a test ends that waits for what never comes. */
export function soon<T>(what: string, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${what} took more than ${PATIENCE_MS} ms`)), PATIENCE_MS);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Two sockets on one port of loopback that nobody else has, UDP and TCP. */
export class Taken implements AsyncDisposable {
  readonly udp = dgram.createSocket("udp4");
  /** It reads what comes, and hears when a connection ends. */
  readonly tcp = net.createServer((socket) => void socket.on("error", () => {}).resume());
  #open = true;

  async listen(): Promise<Endpoint> {
    const { ip, port } = freePort();
    await new Promise<void>((resolve) => this.udp.bind(port, ip, resolve));
    await new Promise<void>((resolve, reject) => {
      this.tcp.once("error", reject);
      this.tcp.listen(port, ip, resolve);
    });
    return { ip, port };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await new Promise<void>((resolve) => this.udp.close(resolve));
    await new Promise((resolve) => this.tcp.close(resolve));
  }
}

/** A port that is free on UDP and TCP. */
export function freePort(): Endpoint {
  for (;;) {
    const endpoint = { ip: LOOPBACK, port: freeTcpPort(LOOPBACK) };
    try {
      new QuerySocket(endpoint)[Symbol.dispose]();
      return endpoint;
    } catch (thrown) {
      if ((thrown as MeshnetError).errno !== ERRNO.EADDRINUSE) throw thrown;
    }
  }
}

/** A server of others' names; `answer` makes its answers, undefined: it says nothing. */
export class OtherServer extends Taken {
  readonly asked: string[] = [];

  constructor(readonly answer: (name: string, transport: string) => ReferenceMessage | undefined) {
    super();
    this.udp.on("message", (bytes, { port }) => {
      const reply = this.#reply(bytes, "udp");
      if (reply !== undefined) this.udp.send(reply, port, LOOPBACK);
    });
    this.tcp.on("connection", (socket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        const reply = this.#reply(bytes.subarray(2), "tcp");
        if (reply === undefined) return;
        socket.write(Uint8Array.of(reply.length >>> 8, reply.length & 255));
        socket.end(reply);
      });
    });
  }

  #reply(bytes: Uint8Array, transport: string): Uint8Array | undefined {
    const { id, questions } = decodeReference(bytes);
    this.asked.push(`${questions[0]!.name} ${transport}`);
    const answer = this.answer(questions[0]!.name, transport);
    return answer && encodeReference({ type: "response", id, questions, ...answer });
  }
}

/** The thread, with what it tells. */
export class NamesTrial implements AsyncDisposable {
  readonly logged: string[] = [];
  readonly service: NameService;
  /** What was told of targets that are probed, in order. */
  readonly health: string[] = [];
  readonly #entries: DnsEntry[] = [];
  #told: readonly DnsListener[] = [];
  #more = Promise.withResolvers<void>();

  constructor(config: Partial<NameServiceConfig> = {}) {
    const log = Object.fromEntries(
      ["debug", "info", "warn", "error"].map((level) => [
        level,
        (event: string, fields?: LogFields) => this.logged.push(`${event}: ${fields?.["reason"]}`),
      ]),
    ) as unknown as Logger;
    this.service = startNameService({
      config: {
        ...{ self: peer(1), domain: "mesh.internal.", ttl: undefined, order: "balanced" as const },
        ...{ plainCap: undefined, stubs: [], resolvConf: "/nowhere", patienceMs: 5_000 },
        ...config,
      },
      entries: () => this.#entries,
      createWakeup: () => Wakeup.create(),
      log,
      guard: (_, work) => work,
      patienceMs: PATIENCE_MS,
      onHealth: (id, health) => {
        this.health.push(`${id} ${health.healthy}${health.healthy ? "" : `: ${health.reason}`}`);
        this.#more.resolve();
      },
      onListeners: (listeners) => {
        this.#told = listeners;
        this.#more.resolve();
      },
    });
  }

  #know(entry: DnsEntry): void {
    this.#entries.push(entry);
    this.service.watch(undefined, entry);
  }

  /** A name with an address of this host's. */
  add(hostname: string, addr: number, container = "c1"): void {
    this.#know({
      ...{ container, origin: peer(1), hostname, type: 1, addr, rdata: "", version: 0, tombstone: 0 },
      unhealthy: false,
    });
  }

  /** An alias. */
  addAlias(hostname: string, target: string): void {
    this.#know({
      ...{ container: "weave:extern", origin: peer(1), hostname, type: 5, addr: 0, version: 0, tombstone: 0 },
      ...{ rdata: encodeName(target).toHex(), unhealthy: false },
    });
  }

  /** Waits until the state of all listeners is like this. */
  async until(holds: (listeners: readonly DnsListener[]) => boolean): Promise<readonly DnsListener[]> {
    while (!holds(this.#told)) {
      await soon("listening", this.#more.promise);
      this.#more = Promise.withResolvers();
    }
    return this.#told;
  }

  /** Waits until so much was told of targets. */
  async healthOf(count: number): Promise<readonly string[]> {
    await this.until(() => this.health.length >= count);
    return this.health;
  }

  /** Waits until this was told of a target. What is probed often may have been found slow before. */
  async tells(what: string | RegExp): Promise<void> {
    const isThat = (line: string) => typeof what === "string" ? line === what : what.test(line);
    await this.until(() => this.health.some(isThat)).catch((late) => {
      throw new Error(`Not told: ${what}, but:\n${this.health.join("\n")}`, { cause: late });
    });
  }

  /** Listens on a free port. */
  async listen(): Promise<Endpoint> {
    const endpoint = freePort();
    this.service.listen([endpoint]);
    await this.until((all) => all.length === 1 && all[0]!.state === "listening");
    return endpoint;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service.stop();
    assert.deepEqual(this.logged, []);
  }
}

/** Asks over UDP once. */
export async function askUdp(
  server: Endpoint,
  question: Question,
  id = 4711,
): Promise<Required<ReferenceMessage>> {
  const socket = dgram.createSocket(server.ip.includes(":") ? "udp6" : "udp4");
  try {
    const heard = new Promise<Uint8Array>((resolve) => socket.once("message", resolve));
    socket.send(query(question, { id }), server.port, server.ip);
    return decodeReference(await soon(`answer about ${question.name}`, heard));
  } finally {
    socket.close();
  }
}

/** The data of the answers, in short. */
export function dataOf({ answers, rcode }: Required<ReferenceMessage>): string {
  return `${rcode} ${answers.map(({ data }) => data)}`.trim();
}
