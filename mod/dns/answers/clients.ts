/** Who asks: from the source of a query to the addresses by which the client sorts its answers. */
import { type ClientAddress, MAX_POSSIBLE, type PossibleClients } from "./choice.ts";

/** A container, or the host itself. */
export interface DnsClient {
  /** All addresses in the mesh, in the order in which its kernel prefers them. */
  readonly addresses: readonly ClientAddress[];
  /** Other addresses from which its queries may come: those of the container engine's networks. */
  readonly sources: readonly number[];
}

/** All clients of this host. */
export class ClientTable {
  readonly #clients = new Map<string, DnsClient>();
  #bySource: Map<number, PossibleClients> | undefined;
  #anybody: PossibleClients = [];

  /** Adds a client, or replaces what is known of it. */
  set(id: string, client: DnsClient): void {
    this.#clients.set(id, client);
    this.#bySource = undefined;
  }

  /** Forgets a client. */
  remove(id: string): void {
    this.#clients.delete(id);
    this.#bySource = undefined;
  }

  /** Who may have sent from a source: who has that address, else anybody of this host. */
  of(source: number): PossibleClients {
    this.#bySource ??= this.#index();
    return this.#bySource.get(source) ?? this.#anybody;
  }

  /** Whether a source is a client of this host. */
  has(source: number): boolean {
    this.#bySource ??= this.#index();
    return this.#bySource.has(source);
  }

  #index(): Map<number, PossibleClients> {
    const bySource = new Map<number, PossibleClients>();
    for (const { addresses, sources } of this.#clients.values()) {
      for (const source of new Set([...addresses.map(({ addr }) => addr), ...sources])) {
        bySource.set(source, [...bySource.get(source) ?? [], addresses]);
      }
    }
    const all = [...this.#clients.values()].map(({ addresses }) => addresses);
    this.#anybody = all.length <= MAX_POSSIBLE ? all : [];
    return bySource;
  }
}
