/** What the name server's thread needs of the operating system. Nothing here waits but `Readiness.wait`. */
import type { Endpoint, Ip } from "../../core/addr.ts";
import type { DnsEndpoint } from "../service_types.ts";

/** Waits for descriptors. */
export interface Readiness {
  /** Waits for input too, or for room to send. */
  add(fd: number, output?: boolean): void;
  /** Waits for the other from now on. */
  change(fd: number, output: boolean): void;
  /** Forgets a descriptor; before it is closed. */
  remove(fd: number): void;
  /** Waits at most so long; returns how many are ready. */
  wait(timeoutMs: number): number;
  /** One of those that are ready. */
  ready(index: number): number;
}

/** Where a question over UDP came from; only the socket knows what is in it. */
export type Origin = object;

/** Many questions at once over UDP. `question` and `room` are views of fixed memory, valid until the next `receive`. */
export interface QueryPort extends Disposable {
  readonly fd: number;
  readonly capacity: number;
  readonly isIpv4: boolean;
  receive(): number;
  /** Empty where it was longer than any question. */
  question(i: number): Uint8Array<ArrayBuffer>;
  /** The IPv4 address that it came from; over IPv6 a number that stands for the network it came from, 0 for this host. */
  source(i: number): number;
  room(i: number): Uint8Array<ArrayBuffer>;
  /** Queues the answer in `room(i)`; in the order of the questions. */
  reply(i: number, length: number): void;
  flush(): void;
  origin(i: number): Origin;
  replyTo(origin: Origin, answer: Uint8Array): void;
}

/** One connection, or a UDP socket that hears of one other end alone. */
export interface ConnectionPort extends Disposable {
  readonly fd: number;
  readonly remote: Endpoint;
  /** Why it has failed, for people. */
  readonly failure?: string | undefined;
  /** How many octets; 0 at the end, -1 when there is nothing yet, -2 when it has failed. */
  read(into: Uint8Array<ArrayBuffer>): number;
  /** How many octets were taken; -1 when there is no room, -2 when it has failed. */
  write(bytes: Uint8Array<ArrayBuffer>): number;
}

/** Where others connect. */
export interface ListenerPort extends Disposable {
  readonly fd: number;
  /** The next connection; "full": no descriptors or memory left. */
  accept(): ConnectionPort | "full" | undefined;
}

/** A program that runs. */
export interface ProgramPort extends Disposable {
  /** Ready once it has ended. */
  readonly fd: number;
  /** Ready when it has printed something, or will print no more. */
  readonly output: number;
  /** Takes some of what it has printed. False: it will print no more. */
  listen(): boolean;
  /** The last part of what it has printed. */
  readonly printed: string;
  /** How it has ended; undefined while it runs. */
  ended(): { readonly code: number } | { readonly signal: number } | undefined;
  /** Ends it and what it has started. It has ended once `ended` says so. */
  kill(): void;
}

/** Makes sockets, and starts programs. Each throws where it cannot. */
export interface Sockets {
  openUdp(endpoint: DnsEndpoint): QueryPort;
  openTcp(endpoint: DnsEndpoint): ListenerPort;
  connect(transport: "udp" | "tcp", remote: Endpoint): ConnectionPort;
  /** In another network namespace, by its path; over TCP unless it says otherwise, from an address if one is given. */
  connectIn(
    netns: string,
    remote: Endpoint,
    how?: { readonly transport?: "udp" | "tcp"; readonly from?: Ip },
  ): ConnectionPort;
  /** A program of this host, in another network namespace; its environment is this and where programs are found. */
  runIn(
    netns: string,
    words: readonly string[],
    environment: Readonly<Record<string, string>>,
  ): ProgramPort;
  /** Who has a port that is taken, for people: `dnsmasq (process 812)`. */
  ownerOf(endpoint: DnsEndpoint): string | undefined;
}

/** Descriptors, and what is done when each is ready. */
export class Handlers {
  readonly #handlers = new Map<number, () => void>();

  constructor(readonly readiness: Readiness) {}

  /** Calls `ready` whenever there is input, or with `output` room to send. */
  watch(fd: number, ready: () => void, output = false): void {
    this.readiness.add(fd, output);
    this.#handlers.set(fd, ready);
  }

  /** Forgets a descriptor; before it is closed. */
  forget(fd: number): void {
    if (this.#handlers.delete(fd)) this.readiness.remove(fd);
  }

  /** Does what is to be done for a descriptor that is ready; nothing if it was forgotten meanwhile. */
  ready(fd: number): void {
    this.#handlers.get(fd)?.();
  }
}
