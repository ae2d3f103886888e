/** A network of TCP connections with faults: delays, stalls, resets, partitions, hosts that go silent. */
import { type Endpoint, formatEndpoint } from "../../mod/core/addr.ts";
import type { DialFailure } from "../../mod/mesh/router_types.ts";
import type { VirtualClock } from "./clock.ts";
import type { SeededRandom } from "./random.ts";

/** What the network does to those who use it. */
export interface Faults {
  /** One-way delay of a packet, milliseconds. */
  readonly delay: readonly [low: number, high: number];
  /** Probability that a piece is lost and sent again, which holds up all that follows it. */
  readonly loss: number;
  /** Probability that a piece arrives in several parts. */
  readonly cut: number;
}

/** What a connection tells the node at one of its ends. */
export interface EndHandlers {
  data(bytes: Uint8Array): unknown;
  written(count: number): unknown;
  closed(reason: string): void;
}

/** A node that listens. */
export interface Listener {
  /** A connection came in; returns what handles it. */
  accept(end: End, from: Endpoint): EndHandlers;
}

/** One end of a connection. */
export class End {
  handlers: EndHandlers | undefined;
  other!: End;
  /** Whether the process at this end still has it. */
  open = true;
  /** Nothing sent from here arrives before this. */
  clear = 0;
  /** What arrives at this end waits for the process to accept the connection, or for the partition to end. */
  readonly held: (() => void)[] = [];

  constructor(readonly network: Network, readonly local: Endpoint, readonly remote: Endpoint) {}

  /** Sends bytes to the other end, in order. */
  write(bytes: Uint8Array): void {
    this.network.send(this, bytes);
  }
  /** Closes; the other end learns of it after all that was sent before. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    this.network.finish(this, "the peer closed the connection");
  }
}

const DIAL_TIMEOUT = 10_000;
const RETRANSMIT = [200, 1_000] as const;
/** When a system asks for a connection, milliseconds after the dial began. */
const SYN_AT = [0, 1_000, 3_000, 7_000] as const;

/** Connects listeners by address. */
export class Network {
  readonly #listeners = new Map<string, Listener>();
  readonly #ends = new Set<End>();
  readonly #groups = new Map<string, number>();
  readonly #down = new Set<string>();
  readonly #retired = new Set<string>();
  #port = 20_000;
  /** Pieces and bytes sent so far. */
  messages = 0;
  bytes = 0;

  constructor(readonly clock: VirtualClock, readonly random: SeededRandom, public faults: Faults) {}

  /** Both ends of all connections. */
  get ends(): Iterable<End> {
    return this.#ends;
  }

  listen(address: Endpoint, listener: Listener): void {
    const key = formatEndpoint(address);
    this.#listeners.set(key, listener);
    this.#down.delete(address.ip);
  }

  /** The process at an address ends. `silent`: its host goes with it, so that nobody is told. */
  kill(address: Endpoint, silent: boolean): void {
    this.#listeners.delete(formatEndpoint(address));
    if (silent) this.#down.add(address.ip);
    for (const end of [...this.#ends]) {
      if (end.local.ip !== address.ip || !end.open) continue;
      end.open = false;
      this.#ends.delete(end);
      if (!silent) this.finish(end, "the connection was reset");
    }
  }

  /** Dials; exactly one of the callbacks is called, later, unless the dial is given up by what is returned. */
  dial(from: Endpoint, to: Endpoint, then: {
    readonly done: (end: End) => EndHandlers;
    readonly failed: (failure: DialFailure) => void;
  }): () => void {
    const local = { ip: from.ip, port: this.#port = this.#port < 60_000 ? this.#port + 1 : 20_000 };
    let over = false;
    const fail = (failure: DialFailure) => {
      if (!over) then.failed(failure);
      over = true;
    };
    const ask = () => {
      if (over || !this.reaches(from.ip, to.ip) || this.#down.has(to.ip)) return;
      const listener = this.#listeners.get(formatEndpoint(to));
      if (listener === undefined) return this.clock.after(this.#delay(), () => fail("refused"));
      over = true;
      const [near, far] = [new End(this, local, to), new End(this, to, local)];
      near.other = far;
      far.other = near;
      this.#ends.add(near).add(far);
      this.clock.after(this.#delay(), () => near.open ? this.#attach(near, then.done(near)) : undefined);
      this.clock.after(
        0,
        () => far.open ? this.#attach(far, listener.accept(far, local)) : undefined,
      );
    };
    for (const at of SYN_AT) this.clock.after(at + this.#delay(), ask);
    this.clock.after(DIAL_TIMEOUT, () => fail("timeout"));
    return () => over = true;
  }

  /** An address belongs to nobody any more: what is sent to and from it is lost, and nobody is told. */
  retire(address: Endpoint): void {
    this.#listeners.delete(formatEndpoint(address));
    this.#retired.add(address.ip);
  }

  /** Whether packets pass between two hosts. */
  reaches(a: string, b: string): boolean {
    if (this.#retired.has(a) || this.#retired.has(b)) return false;
    return (this.#groups.get(a) ?? 0) === (this.#groups.get(b) ?? 0);
  }

  /** Splits the network: hosts of different groups do not hear each other. */
  partition(groups: readonly (readonly string[])[]): void {
    this.#groups.clear();
    groups.forEach((hosts, index) => hosts.forEach((host) => this.#groups.set(host, index)));
  }

  /** All hosts hear each other again; what was held up arrives. */
  heal(): void {
    this.#groups.clear();
    for (const end of this.#ends) if (end.handlers !== undefined) this.#release(end);
  }

  /** Both ends see the connection reset; what is under way is lost. */
  reset(end: End): void {
    for (const each of [end, end.other]) {
      if (!each.open) continue;
      each.open = false;
      this.#ends.delete(each);
      this.clock.after(this.#delay(), () => each.handlers?.closed("the connection was reset"));
    }
  }

  /** Nothing sent from this end arrives for a while. */
  stall(end: End, ms: number): void {
    end.clear = Math.max(end.clear, this.clock.now() + ms);
  }

  send(from: End, bytes: Uint8Array): void {
    this.messages++;
    this.bytes += bytes.length;
    for (const piece of this.#cut(bytes)) {
      this.#arrive(from, () => {
        if (from.open) from.handlers?.written(piece.length);
        if (from.other.open) return void from.other.handlers?.data(piece);
        // The process that had the other end is gone: its system answers with a reset, after what it sent before.
        if (!from.open || this.#down.has(from.other.local.ip)) return;
        this.#arrive(from.other, () => {
          if (from.open) this.#gone(from, "the connection was reset");
        });
      });
    }
  }

  /** The end was closed: the other one learns of it in its turn. */
  finish(from: End, reason: string): void {
    this.#ends.delete(from);
    this.#arrive(from, () => {
      if (from.other.open) this.#gone(from.other, reason);
    });
  }

  #gone(end: End, reason: string): void {
    end.open = false;
    this.#ends.delete(end);
    end.handlers?.closed(reason);
  }

  /** Runs `run` when what `from` sends now has arrived, after all that it sent before. */
  #arrive(from: End, run: () => void): void {
    const lost = this.faults.loss > 0 && this.random.chance(this.faults.loss);
    const extra = lost ? this.random.between(...RETRANSMIT) : 0;
    from.clear = Math.max(from.clear, this.clock.now() + this.#delay() + extra);
    const to = from.other;
    this.clock.at(from.clear, () => {
      const waits = to.held.length > 0 || (to.open && to.handlers === undefined) ||
        !this.reaches(from.local.ip, to.local.ip);
      if (waits) to.held.push(run);
      else run();
    });
  }

  #attach(end: End, handlers: EndHandlers): void {
    end.handlers = handlers;
    this.#release(end);
  }

  #release(end: End): void {
    if (!this.reaches(end.local.ip, end.remote.ip)) return;
    for (const run of end.held.splice(0)) run();
  }

  #cut(bytes: Uint8Array): Uint8Array[] {
    if (bytes.length < 2 || this.faults.cut === 0 || !this.random.chance(this.faults.cut)) return [bytes];
    const at = 1 + this.random.below(bytes.length - 1);
    return [bytes.subarray(0, at), bytes.subarray(at)];
  }

  #delay(): number {
    return this.random.between(...this.faults.delay);
  }
}
