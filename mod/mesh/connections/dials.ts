/** Dials under way: what they are for, until they have led to a connection or failed. */
import type { ConnectorEffect } from "../dialing/connector_types.ts";
import type { AttemptId } from "../mesh_ids.ts";
import type { RouterEffect } from "../router_types.ts";

/** A dial that the connection maker wants. */
type WantedDial = ConnectorEffect & { readonly kind: "dial" };

/** All dials under way; `emit` takes what is to be done for them. */
export class Dials {
  readonly #under = new Map<AttemptId, WantedDial>();

  /** There are none. */
  constructor(readonly emit: (effect: RouterEffect) => void) {}

  /** Carries out what the connection maker wants. */
  begin(effect: ConnectorEffect): void {
    if (effect.kind === "dial") {
      this.#under.set(effect.attempt, effect);
      this.emit({ kind: "dial", attempt: effect.attempt, address: effect.address });
    } else {
      if (effect.kind === "abandon") this.#under.delete(effect.attempt);
      this.emit(effect);
    }
  }

  /** Whether a dial is under way. */
  has(attempt: AttemptId): boolean {
    return this.#under.has(attempt);
  }

  /** Removes a dial that is over, and returns it. */
  take(attempt: AttemptId): WantedDial | undefined {
    const dial = this.#under.get(attempt);
    this.#under.delete(attempt);
    return dial;
  }
}
