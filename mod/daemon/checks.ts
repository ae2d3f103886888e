/** What must hold on this host before the daemon changes anything: a list, so that `up` can stop at the first fault and
 * others can show them all. */
import type { MeshnetError } from "../core/errors.ts";

/** One thing that must hold. */
export interface Check {
  /** What is looked at, in a few words: `rights of this process`. */
  readonly name: string;
  /** The fault, as a sentence with its fix; undefined when all is well. Changes nothing, and may throw a MeshnetError
   * instead of returning it. */
  find(): MeshnetError | undefined | void | Promise<MeshnetError | undefined>;
}

/** What a check found. */
export interface Fault {
  /** The name of the check. */
  readonly check: string;
  /** A MeshnetError, or what went wrong while looking. */
  readonly error: unknown;
}

/** Makes the checks in order and yields each fault as it is found. A check may rely on what those before it left. */
export async function* findFaults(checks: readonly Check[]): AsyncGenerator<Fault, void, void> {
  for (const check of checks) {
    try {
      const error = await check.find();
      if (error !== undefined) yield { check: check.name, error };
    } catch (error) {
      yield { check: check.name, error };
    }
  }
}

/** Throws the error of the first fault, without making the checks behind it. */
export async function refuseFaults(checks: readonly Check[]): Promise<void> {
  for await (const { error } of findFaults(checks)) throw error;
}
