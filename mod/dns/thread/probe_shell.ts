/** Probing targets: a connection from inside the target's own network namespace, so that no host needs a way there. */
import { isUsedUp } from "../../core/errno.ts";
import { errnoOf } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { type HealthCheck, type HealthEffect, HealthWatch, type ProbedTarget } from "./health.ts";
import type { ConnectionPort, Handlers, Sockets } from "./socket_ports.ts";

/** What probing is made of. */
export interface ProbingOptions {
  readonly clock: Clock;
  readonly handlers: Handlers;
  readonly sockets: Pick<Sockets, "connectIn">;
  /** A target answers, or no longer does. */
  readonly changed: (target: string, healthy: boolean) => void;
}

/** The status line is in the first octets: `HTTP/1.1 200`. */
const STATUS = /^HTTP\/1\.[01] [23][0-9][0-9]/;
const STATUS_OCTETS = 12;

/** See the file. */
export class Probing implements Disposable {
  readonly #around: ProbingOptions;
  readonly #watch = new HealthWatch();
  readonly #targets = new Map<string, ProbedTarget>();
  readonly #open = new Map<number, ConnectionPort>();
  readonly #buffer = new Uint8Array(1_024);

  constructor(around: ProbingOptions) {
    this.#around = around;
  }

  /** Begins to probe a target, or probes it in another way. */
  set(id: string, target: ProbedTarget): void {
    this.#targets.set(id, target);
    this.#perform(this.#watch.add(id, target.pace, this.#around.clock.now()));
  }

  /** Probes a target no more. */
  remove(id: string): void {
    if (this.#targets.delete(id)) this.#perform(this.#watch.remove(id));
  }

  /** Earliest time at which wake() has something to do. */
  nextWake(): number {
    return this.#watch.nextWake();
  }

  /** Does what is due. */
  wake(): void {
    this.#perform(this.#watch.wake(this.#around.clock.now()));
  }

  /** Closes what is open. */
  [Symbol.dispose](): void {
    for (const probe of [...this.#open.keys()]) this.#close(probe);
  }

  #perform(effects: readonly HealthEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "state") this.#around.changed(effect.target, effect.healthy);
      else if (effect.kind === "cancel") this.#close(effect.probe);
      else this.#begin(effect.target, effect.probe);
    }
  }

  #begin(id: string, probe: number): void {
    const { handlers, sockets } = this.#around;
    const { check, ip, netns } = this.#targets.get(id)!;
    let socket: ConnectionPort;
    try {
      socket = sockets.connectIn(netns, { ip, port: check.port });
    } catch (thrown) {
      if (isUsedUp(errnoOf(thrown) ?? 0)) return this.#watch.skip(id, probe); // this host's trouble
      return this.#end(id, probe, false); // its namespace is gone, or there is no way in it
    }
    this.#open.set(probe, socket);
    handlers.watch(socket.fd, () => this.#connected(id, probe, check), true);
  }

  #connected(id: string, probe: number, check: HealthCheck): void {
    const socket = this.#open.get(probe)!;
    const request = check.kind === "tcp" ? "" : requestFor(socket, check.path);
    if (socket.write(new TextEncoder().encode(request)) !== request.length) {
      return this.#end(id, probe, false);
    }
    if (check.kind === "tcp") return this.#end(id, probe, true);
    const { handlers } = this.#around;
    let head = "";
    handlers.forget(socket.fd);
    handlers.watch(socket.fd, () => {
      const count = socket.read(this.#buffer);
      if (count === -1) return;
      head += String.fromCharCode(...this.#buffer.subarray(0, Math.max(0, count)));
      if (count <= 0 || head.length >= STATUS_OCTETS) this.#end(id, probe, STATUS.test(head));
    });
  }

  #end(id: string, probe: number, good: boolean): void {
    this.#close(probe);
    this.#perform(this.#watch.result(id, probe, good, this.#around.clock.now()));
  }

  #close(probe: number): void {
    const socket = this.#open.get(probe);
    if (socket === undefined) return;
    this.#open.delete(probe);
    this.#around.handlers.forget(socket.fd);
    socket[Symbol.dispose]();
  }
}

function requestFor({ remote: { ip, port } }: ConnectionPort, path: string): string {
  const host = ip.includes(":") ? `[${ip}]` : ip;
  return `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nUser-Agent: meshnet\r\nConnection: close\r\n\r\n`;
}
