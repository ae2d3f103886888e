/** A Store that forgets with the test. */
import type { Store } from "../../mod/core/ports.ts";

/** Keeps records in a map. */
export class MemoryStore implements Store {
  readonly records = new Map<string, string>();
  /** Thrown by every call that writes, while it is set. */
  fails: Error | undefined;
  get(key: string): string | undefined {
    return this.records.get(key);
  }
  put(key: string, value: string): void {
    this.putAll([[key, value]]);
  }
  putAll(records: readonly (readonly [key: string, value: string | undefined])[]): void {
    if (this.fails !== undefined) throw this.fails;
    for (const [key, value] of records) {
      if (value === undefined) this.records.delete(key);
      else this.records.set(key, value);
    }
  }
  remove(key: string): void {
    if (this.fails !== undefined) throw this.fails;
    this.records.delete(key);
  }
  list(prefix: string): readonly (readonly [key: string, value: string])[] {
    return [...this.records].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => a < b ? -1 : 1);
  }
}
