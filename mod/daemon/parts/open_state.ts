/** What outlives the process: the store, and who this host is. */
import { ensureFolder } from "../../sys/files.ts";
import { type Identity, loadIdentity, readSystemIds } from "../../sys/identity.ts";
import { openStore, type SqliteStore } from "../../sys/store.ts";
import type { Config } from "../config.ts";
import type { Base } from "./open_base.ts";

/** The open state. Disposing it closes the store. */
export interface State extends Disposable {
  readonly store: SqliteStore;
  readonly identity: Identity;
}

/** Opens the store, and reads or makes this host's identity. */
export async function openState(
  config: Pick<Config, "name" | "runDir" | "stateDir">,
  { logger, random }: Pick<Base, "logger" | "random">,
): Promise<State> {
  using undo = new DisposableStack();
  ensureFolder(config.runDir);
  const store = undo.use(openStore(config.stateDir));
  const identity = await loadIdentity(store, { name: config.name, ids: readSystemIds(), random });
  if (identity.gaveUp !== undefined) {
    logger.warn("this machine is a copy of another, it got a new name", {
      peer: identity.name,
      was: identity.gaveUp,
    });
  }
  const held = undo.move();
  return { store, identity, [Symbol.dispose]: () => held[Symbol.dispose]() };
}
