/** What outlives the process: the store, and who this host is. */
import { listLinks } from "../../attach/mod.ts";
import { ensureFolder } from "../../sys/files.ts";
import { type Identity, loadIdentity, readSystemIds } from "../../sys/identity.ts";
import { openStore, type SqliteStore } from "../../sys/store.ts";
import type { Config } from "../config/config.ts";
import { History } from "../history.ts";
import { leftToOriginal } from "../left_to_original.ts";
import { openNetlinkIn } from "../host/netlink.ts";
import { DATAPATH } from "../host/ovs_host.ts";
import type { Base } from "./open_base.ts";

/** The open state. Disposing it closes the store. */
export interface State extends Disposable {
  readonly store: SqliteStore;
  readonly identity: Identity;
  /** What happened lately. */
  readonly history: History;
  /** Whether the folder was new although the kernel has a network of an earlier run. */
  readonly wasLost: boolean;
}

/** Opens the store, and reads or makes this host's identity. */
export async function openState(
  config: Pick<Config, "name" | "runDir" | "stateDir">,
  { faults, logger, random, told }: Pick<Base, "faults" | "logger" | "random" | "told">,
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
  const left: string[] = [];
  const identity = await loadIdentity(store, {
    ...{ name: config.name, ids: readSystemIds(), random },
    moved(from) {
      const present = interfacesHere();
      const all = leftToOriginal(store, { from, leg: DATAPATH, isThere: (name) => present.has(name) });
      left.push(...all.targets);
      return all.records;
    },
  });
  if (identity.gaveUp !== undefined) {
    logger.warn("this machine is a copy of another, it got a new name", {
      peer: identity.name,
      was: identity.gaveUp,
      left: left.join(" ") || "nothing was attached",
      reason: "addresses, and what is attached there but not here, stay the other's",
    });
  }
  const history = undo.use(openHistory(store, { faults, logger, told }));
  const held = undo.move();
  return { store, identity, history, wasLost, [Symbol.dispose]: () => held[Symbol.dispose]() };
}

/** The history hears of the log from now on, until it is disposed of. */
function openHistory(
  store: SqliteStore,
  { faults, logger, told }: Pick<Base, "faults" | "logger" | "told">,
): History {
  const history = new History({
    ...{ store, logger, now: Date.now, elapsed: () => performance.now() },
    later(run, ms) {
      const timer = setTimeout(faults.guard("write the history", run), ms);
      return () => clearTimeout(timer);
    },
  });
  told.take = (event, fields) => history.note(event, fields);
  return history;
}

/** Whether the kernel has a datapath or a bridge of ours. A first start only asks. */
function hasNetwork(): boolean {
  return interfacesHere().has(DATAPATH);
}

function interfacesHere(): ReadonlySet<string> {
  using socket = openNetlinkIn({ protocol: "route" });
  return new Set(listLinks(socket).map(({ name }) => name));
}
