/** Two hosts of one name, as cloned machines are: the one that is new takes another name. */
import type { RouterConfig } from "../router_types.ts";
import type { Connection } from "./connection.ts";

/** Announced by hosts that can take another name. */
export const RENAME_EXTENSION = "rename1";

/** A message with this tag alone: another living peer has your name. Only to those who announce RENAME_EXTENSION, as
 * others know no such tag (spec mesh.md 4.3 has 0 to 7). */
export const NAME_TAKEN = 0x6d;

/** Whether this host can take another name, which ends with its first working connection. */
export class Naming {
  #free: boolean;
  #gone = false;

  constructor(readonly config: Pick<RouterConfig, "canRename" | "uid">) {
    this.#free = config.canRename ?? false;
  }

  /** Whether we can take another name. */
  get free(): boolean {
    return this.#free;
  }

  /** A connection works; whether that settles our name just now. */
  settle(): boolean {
    const settles = this.#free;
    this.#free = false;
    return settles;
  }

  /** Whether we give way to the remote that has our name, or of which a third says so; true once. Of two that can, the
   * one with the higher UID does: both ends see it so. */
  givesWay(connection: Connection, { itself }: { readonly itself: boolean }): boolean {
    if (!this.#free || this.#gone) return false;
    const { extensions, uid } = connection.introduced!.remote;
    const both = itself && (extensions?.includes(RENAME_EXTENSION) ?? false);
    return this.#gone = !both || this.config.uid > uid;
  }
}

/** Whether the remote of a connection would like to be told that its name is taken. */
export function canRename(connection: Connection): boolean {
  return connection.introduced!.remote.extensions?.includes(RENAME_EXTENSION) ?? false;
}
