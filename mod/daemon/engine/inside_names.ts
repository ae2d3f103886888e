/** Names for containers in networks of an engine: their questions to the engine's own name server are answered in their
 * namespaces. First somebody listens there, then the kernel brings the questions; never the other way round. */
import { messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/ports.ts";
import type { NameService } from "../threads/names_client.ts";

const LOOPBACK = 127;
/** An engine makes a namespace first, and then its loopback. What fails is tried again after so long, doubled up to the
 * longest; from the time `tellMs` on it is a problem. */
const AGAIN = { firstMs: 5, longestMs: 5_000, tellMs: 1_000 } as const;

/** What is needed of others. */
export interface InsideNamesParts {
  readonly service: Pick<NameService, "serveInside">;
  /** Brings questions in a namespace to us, until it is disposed. */
  readonly redirect: (namespacePath: string) => Disposable;
  /** Runs work once, so many milliseconds from now. */
  readonly later: (ms: number, work: () => void) => void;
  readonly log: Pick<Logger, "warn">;
}

/** See the file. */
export class InsideNames {
  readonly #parts: InsideNamesParts;
  /** By path; with what brings the questions, once somebody listens. */
  readonly #places = new Map<string, Disposable | undefined>();
  /** Those whose container is in other networks of the engine, too. */
  readonly #shared = new Set<string>();
  readonly #problems = new Map<string, string>();
  /** After how long it is tried again, by path. */
  readonly #waits = new Map<string, number>();

  constructor(parts: InsideNamesParts) {
    this.#parts = parts;
  }

  /** Why questions are not answered somewhere, a sentence without full stop; undefined: they are. */
  get problem(): string | undefined {
    return this.#problems.values().next().value;
  }

  /** Answers in a namespace until the result is disposed. */
  answer(path: string): Disposable {
    this.#places.set(path, undefined);
    this.#tell(path);
    return {
      [Symbol.dispose]: () => {
        this.#places.get(path)?.[Symbol.dispose]();
        this.#places.delete(path);
        this.#shared.delete(path);
        this.#problems.delete(path);
        this.#waits.delete(path);
        this.#parts.service.serveInside(path, undefined);
      },
    };
  }

  /** Whether a namespace's container is in other networks of the engine, too: then their names come first. */
  shares(path: string, isShared: boolean): void {
    if (isShared === this.#shared.has(path)) return;
    if (isShared) this.#shared.add(path);
    else this.#shared.delete(path);
    if (this.#places.has(path)) this.#tell(path);
  }

  #tell(path: string): void {
    const place = { source: sourceIn(path), engineFirst: this.#shared.has(path) };
    this.#parts.service.serveInside(path, place, (problem) => this.#heard(path, problem));
  }

  #heard(path: string, problem: string | undefined): void {
    if (!this.#places.has(path)) return;
    if (problem !== undefined) {
      this.#places.get(path)?.[Symbol.dispose]();
      this.#places.set(path, undefined);
      return this.#failed(path, problem);
    }
    if (this.#places.get(path) !== undefined) return;
    try {
      this.#places.set(path, this.#parts.redirect(path));
      this.#problems.delete(path);
      this.#waits.delete(path);
    } catch (thrown) {
      this.#failed(path, messageOf(thrown));
    }
  }

  #failed(path: string, reason: string): void {
    const waitMs = this.#waits.get(path) ?? AGAIN.firstMs;
    this.#waits.set(path, Math.min(2 * waitMs, AGAIN.longestMs));
    this.#parts.later(waitMs, () => {
      if (this.#waits.has(path)) this.#tell(path);
    });
    if (waitMs < AGAIN.tellMs) return;
    if (![...this.#problems.values()].includes(reason)) {
      this.#parts.log.warn("containers of the engine find no names", { path, reason });
    }
    this.#problems.set(path, reason);
  }
}

/** What stands for the source of questions in a namespace: all come from its loopback. Which one it is nobody sees. */
export function sourceIn(path: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < path.length; i++) hash = Math.imul(hash ^ path.charCodeAt(i), 0x01000193);
  return LOOPBACK * 2 ** 24 + (hash >>> 8);
}
