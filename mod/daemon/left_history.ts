/** The history that the last run has left, where no daemon runs. */
import type { HistoryReport } from "../control/history_types.ts";
import { openStore, STORE_FILE } from "../sys/store.ts";
import { type Flags, loadFolders } from "./config/config.ts";
import { storedHistory } from "./history.ts";

/** Oldest first; undefined where there is no state. Throws MeshnetError where it cannot be read. */
export async function leftHistory(flags: Flags): Promise<readonly HistoryReport[] | undefined> {
  const { stateDir } = await loadFolders(flags);
  try {
    Deno.lstatSync(`${stateDir}/${STORE_FILE}`);
  } catch {
    return undefined; // there is none, or it is not for this user
  }
  using store = openStore(stateDir);
  return storedHistory(store);
}
