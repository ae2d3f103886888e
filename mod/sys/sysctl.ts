/** Kernel settings below /proc/sys. */
import { readTextIfThere } from "./files.ts";

/** Runs a synchronous piece of work with this thread inside a network namespace. */
export type InNamespace = <T>(path: string, work: () => T) => T;

/**
 * Settings in any network namespace: /proc/sys/net shows that of the thread which looks, and synchronous file calls are
 * made by the calling thread.
 */
export class ProcSysctl {
  /** `inNamespace` enters a namespace for one synchronous stretch; `root` is /proc/sys except in tests. */
  constructor(readonly inNamespace: InNamespace, readonly root = "/proc/sys") {}

  /** The value without its line end; undefined when there is no such setting, or none that this process may see, as in
   * a container without /proc/sys. */
  read(namespacePath: string | undefined, key: string): string | undefined {
    return this.#inside(namespacePath, () => {
      try {
        return readTextIfThere(`${this.root}/${key}`)?.trimEnd();
      } catch (thrown) {
        if (thrown instanceof Deno.errors.PermissionDenied || thrown instanceof Deno.errors.NotADirectory) {
          return undefined;
        }
        throw thrown;
      }
    });
  }

  /** Writes a value. Throws when that is not allowed or there is no such setting. */
  write(namespacePath: string | undefined, key: string, value: string): void {
    this.#inside(
      namespacePath,
      () => Deno.writeTextFileSync(`${this.root}/${key}`, value, { create: false }),
    );
  }

  #inside<T>(namespacePath: string | undefined, work: () => T): T {
    return namespacePath === undefined ? work() : this.inNamespace(namespacePath, work);
  }
}
