/** Messages and gossip on their way to the shell: sealed, counted, and held back while a connection is busy. */
import { concatBytes } from "../../core/bytes.ts";
import type { Millis } from "../../core/time.ts";
import type { GossipEngine } from "../gossip/gossip.ts";
import type { SocketId } from "../mesh_ids.ts";
import type { RouterEffect } from "../router_types.ts";
import { BUSY, type Connection } from "./connection.ts";
import type { ConnectionMemory, Evicted } from "./connection_memory.ts";
import type { ConnectionTable } from "./connection_table.ts";

/** What a writer is made of. */
export interface ConnectionWriterOptions {
  readonly table: ConnectionTable;
  readonly memory: ConnectionMemory;
  readonly engine: Pick<GossipEngine, "drained" | "ready" | "take">;
  readonly emit: (effect: RouterEffect) => void;
  /** Ends connections that hold too much. */
  readonly evict: (evicted: readonly Evicted[], now: Millis) => void;
}

/** Writes to connections. */
export class ConnectionWriter {
  /** Messages lost because they were longer than a connection may carry. */
  unsendable = 0;

  /** A writer for all connections of a table. */
  constructor(readonly options: ConnectionWriterOptions) {}

  /** The shell wrote bytes. */
  written(socket: SocketId, count: number): void {
    const connection = this.options.table.bySocket(socket);
    if (connection === undefined) return;
    const wasBusy = connection.queued >= BUSY;
    connection.queued = Math.max(0, connection.queued - count);
    this.options.memory.queued(connection);
    if (wasBusy && connection.queued < BUSY) this.options.engine.drained();
  }

  /** Gives waiting gossip to the connections that can take it. */
  flush(now: Millis): void {
    const { engine, table } = this.options;
    for (const id of engine.ready()) {
      const connection = table.byId(id);
      if (connection === undefined) continue;
      const parts: Uint8Array[] = [];
      let size = 0;
      while (connection.queued + size < BUSY) {
        const message = engine.take(id);
        if (message === undefined) break;
        if (!this.#fits(connection, message)) continue;
        const bytes = connection.encode(message);
        parts.push(bytes);
        size += bytes.length;
      }
      this.write(connection, parts, now);
    }
  }

  /** Sends a message. */
  send(connection: Connection, message: Uint8Array, now: Millis): void {
    if (this.#fits(connection, message)) this.write(connection, [connection.encode(message)], now);
  }

  /** Whether a message may be sent; one that grew too long on its way through us is lost, as its receiver would close. */
  #fits(connection: Connection, message: Uint8Array): boolean {
    if (message.length <= connection.maxMessage) return true;
    this.unsendable++;
    return false;
  }

  /** Writes what is encoded already. */
  write(connection: Connection, parts: readonly Uint8Array[], now: Millis): void {
    if (connection.stage === "gone" || parts.length === 0) return;
    const data = parts.length === 1 ? parts[0]! : concatBytes(...parts);
    connection.queued += data.length;
    this.options.emit({ kind: "write", socket: connection.origin.socket, data });
    this.options.evict(this.options.memory.queued(connection), now);
  }
}
