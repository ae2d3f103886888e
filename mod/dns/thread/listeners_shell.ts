/** The addresses on which names are answered: opened, closed, and tried again where that failed. */
import { formatEndpoint } from "../../core/addr.ts";
import { ERRNO } from "../../core/errno.ts";
import { errnoOf, messageOf } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { DnsEndpoint, DnsListener } from "../service_types.ts";
import type { ListenerPort, QueryPort, Sockets } from "./socket_ports.ts";
import { heldBack } from "../records/words.ts";

/** What cannot be had is tried again after so long. */
const AGAIN_MS = 2_000;

/** What listening is made of. */
export interface ListenersOptions {
  readonly clock: Clock;
  readonly sockets: Pick<Sockets, "openTcp" | "openUdp" | "ownerOf">;
  /** Begins to answer on an address; disposing ends it, and closes both sockets. */
  readonly answerOn: (udp: QueryPort, tcp: ListenerPort) => Disposable;
  /** Takes the state of all, whenever one has changed. */
  readonly changed: (listeners: readonly DnsListener[]) => void;
}

/** An address that could not be had. */
interface Waiting {
  readonly listener: DnsListener;
  readonly errno: number | undefined;
}

/** See the file. */
export class Listeners implements Disposable {
  readonly #around: ListenersOptions;
  readonly #open = new Map<string, Disposable>();
  readonly #waiting = new Map<string, Waiting>();
  #endpoints: readonly DnsEndpoint[] = [];
  #againAt = Infinity;
  #told = "";

  constructor(around: ListenersOptions) {
    this.#around = around;
  }

  /** Listens on these and on no others; tries those again that could not be had. */
  set(endpoints: readonly DnsEndpoint[]): void {
    this.#endpoints = endpoints;
    this.#waiting.clear(); // what is told of them is found anew
    const wanted = new Set(endpoints.map(keyOf));
    for (const [name, listener] of this.#open) {
      if (wanted.has(name)) continue;
      this.#open.delete(name);
      listener[Symbol.dispose]();
    }
    this.#try();
  }

  /** Earliest time at which wake() has something to do. */
  nextWake(): number {
    return this.#againAt;
  }

  /** Does what is due. */
  wake(): void {
    if (this.#around.clock.now() >= this.#againAt) this.#try();
  }

  /** What has become of each. */
  states(): readonly DnsListener[] {
    return this.#endpoints.map((endpoint) =>
      this.#waiting.get(keyOf(endpoint))?.listener ?? { endpoint, state: "listening" }
    );
  }

  /** Closes all. */
  [Symbol.dispose](): void {
    for (const listener of this.#open.values()) listener[Symbol.dispose]();
    this.#open.clear();
  }

  #try(): void {
    const { changed, clock } = this.#around;
    for (const endpoint of this.#endpoints) {
      const name = keyOf(endpoint);
      if (this.#open.has(name)) continue;
      try {
        this.#open.set(name, this.#openOne(endpoint));
        this.#waiting.delete(name);
      } catch (thrown) {
        const errno = errnoOf(thrown);
        // Who has a port is looked for once: that takes long, and questions wait meanwhile.
        if (errno !== undefined && errno === this.#waiting.get(name)?.errno) continue;
        const listener = { endpoint, state: "waiting", ...this.#why(endpoint, thrown) } as const;
        this.#waiting.set(name, { listener, errno });
      }
    }
    this.#againAt = this.#waiting.size > 0 ? clock.now() + AGAIN_MS : Infinity;
    const states = this.states();
    const told = JSON.stringify(states);
    if (told === this.#told) return;
    this.#told = told;
    changed(states);
  }

  #openOne(endpoint: DnsEndpoint): Disposable {
    const { answerOn, sockets } = this.#around;
    using undo = new DisposableStack();
    const open = answerOn(undo.use(sockets.openUdp(endpoint)), undo.use(sockets.openTcp(endpoint)));
    undo.move();
    return open;
  }

  #why(
    endpoint: DnsEndpoint,
    thrown: unknown,
  ): { readonly reason: string; readonly hint: string | undefined } {
    const errno = errnoOf(thrown);
    /** What to do about --dns-listen helps nobody where it did not name the address. */
    const chosen = (held: ReturnType<typeof heldBack>) =>
      endpoint.netns === undefined ? held : { ...held, hint: undefined };
    if (errno === ERRNO.EADDRINUSE) {
      return chosen(heldBack({ kind: "taken", endpoint, by: this.#around.sockets.ownerOf(endpoint) }));
    }
    if (errno === ERRNO.EADDRNOTAVAIL) return chosen(heldBack({ kind: "no-address", endpoint }));
    if (errno === ERRNO.EACCES) return heldBack({ kind: "not-permitted", endpoint });
    return { reason: messageOf(thrown), hint: undefined };
  }
}

function keyOf(endpoint: DnsEndpoint): string {
  return `${formatEndpoint(endpoint)} ${endpoint.netns ?? ""}`;
}
