/** A change of the direct targets, and what it will leave. */
import { parseDialTarget } from "./target.ts";

/** What becomes of the direct targets, in this order. */
export interface TargetChange {
  /** Texts of targets to forget; connections stay. */
  readonly forget?: readonly string[];
  /** Texts of targets to add, or to try again. */
  readonly connect?: readonly string[];
  /** Whether all others are forgotten. */
  readonly replace?: boolean;
}

/** The direct targets after a change: what `forget()` and then `connect()` of a Connector make of them. */
export function targetsAfter(direct: readonly string[], change: TargetChange): readonly string[] {
  const { connect = [], forget = [], replace = false } = change;
  const kept = direct.filter((key) => !forget.includes(key) && (!replace || connect.includes(key)));
  return [...new Set([...kept, ...connect.filter((text) => parseDialTarget(text).ok)])];
}
