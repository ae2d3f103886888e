/** Endpoints that joined, and of which nobody has said whose they are: their event got lost. Then the engine is asked for
 * all containers. */

/** An engine that starts a hundred containers at once says nothing of one for so long, in milliseconds. */
const LOOK_MS = 20_000;
/** So often all containers are asked for because of one endpoint. */
const LOOKS = 3;
/** Endpoints that are waited for. */
const MAX_ENDPOINTS = 10_000;

/** What it is made of. */
export interface JoinedEndpointsParts {
  /** The endpoints whose containers are known. */
  readonly known: () => ReadonlySet<string>;
  /** Says of endpoints whether there is the pair of each, from one look at all. */
  readonly lookAtPairs: () => (endpoint: string) => boolean;
  /** Whether answers about containers are waited for: that of an endpoint may be among them. */
  readonly isLooking: () => boolean;
  /** Has the engine asked for all containers. */
  readonly listAgain: () => void;
  /** Runs work once, so many milliseconds from now. */
  readonly later: (ms: number, work: () => void) => void;
}

/** See the file. */
export class JoinedEndpoints {
  readonly #parts: JoinedEndpointsParts;
  /** How often the engine may be asked because of each. */
  readonly #looks = new Map<string, number>();
  #isPlanned = false;

  constructor(parts: JoinedEndpointsParts) {
    this.#parts = parts;
  }

  /** An endpoint joins. */
  joined(endpoint: string): void {
    if (this.#looks.size < MAX_ENDPOINTS) this.#looks.set(endpoint, LOOKS);
    this.#plan();
  }

  /** An endpoint has left. */
  left(endpoint: string): void {
    this.#looks.delete(endpoint);
  }

  #plan(): void {
    if (this.#isPlanned || this.#looks.size === 0) return;
    this.#isPlanned = true;
    this.#parts.later(LOOK_MS, () => {
      this.#isPlanned = false;
      this.#look();
    });
  }

  #look(): void {
    if (this.#looks.size === 0) return;
    if (this.#parts.isLooking()) return this.#plan();
    const known = this.#parts.known();
    const isThere = this.#parts.lookAtPairs();
    for (const [endpoint, looks] of [...this.#looks]) {
      if (looks === 0 || known.has(endpoint) || !isThere(endpoint)) this.#looks.delete(endpoint);
      else this.#looks.set(endpoint, looks - 1);
    }
    if (this.#looks.size === 0) return;
    this.#parts.listAgain();
    this.#plan();
  }
}
