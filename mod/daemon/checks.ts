/** What must hold on this host: one list, of which `up` makes a part and stops at the first fault, and `meshnet doctor`
 * makes all that can be made and shows every fault. */

/** When a check is made. */
export type Moment =
  /** By `up`, before it changes anything. */
  | "start"
  /** By the doctor, where no daemon runs. */
  | "stopped"
  /** By the doctor, in the daemon. */
  | "running";

/** What is wrong, for people. A MeshnetError is one. */
export interface Finding {
  /** A sentence without full stop. */
  readonly message: string;
  /** What to do about it, where the message does not say so. */
  readonly hint?: string | null | undefined;
}

/** What a check gives: nothing when all is well. */
export type Found = Finding | readonly Finding[] | undefined | void;

/** One thing that must hold. */
export interface Check {
  /** What is looked at, in a few words: `rights of this process`. */
  readonly name: string;
  /** When it is made. Those of "start" give a MeshnetError. */
  readonly at: readonly Moment[];
  /** Finds the fault, or the faults, each with its fix. Changes nothing, and may throw instead. */
  find(): Found | Promise<Found>;
}

/** What a check found. */
export interface Fault {
  /** The name of the check. */
  readonly check: string;
  /** A Finding, or what went wrong while looking. */
  readonly error: unknown;
}

/** The checks that are made at a moment, in their order. */
export function checksAt(moment: Moment, checks: readonly Check[]): readonly Check[] {
  return checks.filter(({ at }) => at.includes(moment));
}

/** Makes the checks in order and yields each fault as it is found. A check may rely on what those before it left. */
export async function* findFaults(checks: readonly Check[]): AsyncGenerator<Fault, void, void> {
  for (const check of checks) {
    try {
      const found = await check.find();
      const all = found === undefined ? [] : Array.isArray(found) ? found : [found];
      for (const error of all) yield { check: check.name, error };
    } catch (error) {
      yield { check: check.name, error };
    }
  }
}

/** Throws the error of the first fault, without making the checks behind it. */
export async function refuseFaults(checks: readonly Check[]): Promise<void> {
  for await (const { error } of findFaults(checks)) throw error;
}
