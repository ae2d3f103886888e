/** What outlives the process: the store, and who this host is. */
import { listLinks } from "../../attach/mod.ts";
import { ensureFolder } from "../../sys/files.ts";
import { type Identity, loadIdentity, readSystemIds } from "../../sys/identity.ts";
import { openStore, type SqliteStore } from "../../sys/store.ts";
import type { Config } from "../config/config.ts";
import { openNetlinkIn } from "../host/netlink.ts";
import { DATAPATH } from "../host/ovs_host.ts";
import type { Base } from "./open_base.ts";

/** The open state. Disposing it closes the store. */
export interface State extends Disposable {
  readonly store: SqliteStore;
  readonly identity: Identity;
  /** Whether the folder was new although the kernel has a network of an earlier run. */
  readonly wasLost: boolean;
}

/** Opens the store, and reads or makes this host's identity. */
export async function openState(
  config: Pick<Config, "name" | "runDir" | "stateDir">,
  { logger, random }: Pick<Base, "logger" | "random">,
): Promise<State> {
  using undo = new DisposableStack();
  ensureFolder(config.runDir);
  const store = undo.use(openStore(config.stateDir));
  const wasLost = store.list("").length === 0 && hasNetwork();
  if (wasLost) {
    logger.warn("the state folder is new, but this host has a network of an earlier run", {
      folder: config.stateDir,
      reason: "what that run remembered is not known: if the folder was lost, restore it and start again",
    });
  }
  const identity = await loadIdentity(store, { name: config.name, ids: readSystemIds(), random });
  if (identity.gaveUp !== undefined) {
    logger.warn("this machine is a copy of another, it got a new name", {
      peer: identity.name,
      was: identity.gaveUp,
    });
  }
  const held = undo.move();
  return { store, identity, wasLost, [Symbol.dispose]: () => held[Symbol.dispose]() };
}

/** Whether the kernel has a datapath or a bridge of ours. A first start only asks. */
function hasNetwork(): boolean {
  using socket = openNetlinkIn({ protocol: "route" });
  return listLinks(socket).some((link) => link.name === DATAPATH);
}
