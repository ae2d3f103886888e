/** What connections make us hold: unfinished messages of strangers and of peers, and bytes that slow readers leave. */
import { MemoryBudget, type PoolLimits, type PoolUse } from "../../core/memory_budget.ts";
import { type Connection, DROWNED } from "./connection.ts";
import { MAX_FRAME } from "./message_codec.ts";

/** The pools: `strangers` are not introduced yet, `incoming` is of peers, `outgoing` waits to be written. */
export type ConnectionPool = "strangers" | "incoming" | "outgoing";

/** Bounds of all connections together. Strangers have a pool of their own, so they take nothing from peers. */
export const CONNECTION_MEMORY: Readonly<Record<ConnectionPool, PoolLimits>> = {
  strangers: { total: 4 * 1024 * 1024, each: 256 * 1024 },
  incoming: { total: 64 * 1024 * 1024, each: MAX_FRAME + 1024 * 1024 },
  outgoing: { total: 128 * 1024 * 1024, each: DROWNED },
};

/** A connection that must end, and why: a sentence without full stop. */
export interface Evicted {
  readonly connection: Connection;
  readonly reason: string;
}

/** The memory budget of a router's connections. The caller must end the connections that are returned. */
export class ConnectionMemory {
  readonly #budget: MemoryBudget<ConnectionPool, Connection>;

  constructor(limits: Readonly<Record<ConnectionPool, PoolLimits>> = CONNECTION_MEMORY) {
    this.#budget = new MemoryBudget(limits);
  }

  /** Octets of a remote were taken in: part of a message may be waiting for its rest. */
  received(connection: Connection): readonly Evicted[] {
    if (connection.stage === "gone") return [];
    const pool = connection.stage === "greeting" ? "strangers" : "incoming";
    if (pool === "incoming") this.#budget.hold("strangers", connection, 0);
    return this.#name(pool, this.#budget.hold(pool, connection, connection.held));
  }

  /** Octets were given to the shell, or written by it. */
  queued(connection: Connection): readonly Evicted[] {
    if (connection.stage === "gone") return [];
    return this.#name("outgoing", this.#budget.hold("outgoing", connection, connection.queued));
  }

  /** A connection has gone, and all that was kept for it. */
  release(connection: Connection): void {
    this.#budget.release(connection);
  }

  /** What is held, and how many connections it has cost. */
  use(): Readonly<Record<ConnectionPool, PoolUse>> {
    return this.#budget.use();
  }

  #name(pool: ConnectionPool, connections: readonly Connection[]): readonly Evicted[] {
    if (connections.length === 0) return [];
    const { total, each } = this.#budget.limits[pool];
    return connections.map((connection) => {
      const alone = (pool === "outgoing" ? connection.queued : connection.held) > each;
      return { connection, reason: WORDS[pool](inWords(alone ? each : total), alone) };
    });
  }
}

/** Reasons are the same for all that suffer one thing, so that the log says it once. */
const WORDS: Readonly<Record<ConnectionPool, (bound: string, alone: boolean) => string>> = {
  strangers: (bound, alone) =>
    alone
      ? `it sends more than ${bound} before it has said who it is`
      : `connections that are being introduced hold ${bound}, and this one most of it`,
  incoming: (bound, alone) =>
    alone
      ? `it sends more than ${bound} without the end of a message`
      : `unfinished messages hold ${bound}, and this connection's most of it: is the network slow or the peer hostile`,
  outgoing: (bound, alone) =>
    alone
      ? `it takes in less than it is sent: ${bound} are waiting`
      : `slow readers make ${bound} wait, and this one most of it`,
};

function inWords(octets: number): string {
  return octets >= 1 << 20 ? `${octets >> 20} MiB` : `${octets >> 10} KiB`;
}
