/** What can be said of a host whose daemon does not answer: for bug reports. */
import type { StoppedFile, StoppedReport } from "../control/api_types.ts";
import type { HistoryReport } from "../control/history_types.ts";
import { MeshnetError } from "../core/errors.ts";
import { CONTROL_SOCKET, DEFAULT_CONFIG_FILE, STATUS_SOCKET } from "../core/options.ts";
import { VERSION } from "../core/version.ts";
import { STORE_FILE } from "../sys/store.ts";
import { type Flags, loadConfig, loadFolders } from "./config/config.ts";
import { diagnoseStopped } from "./doctor/doctor.ts";
import { hostFacts } from "./host/host_facts.ts";
import { leftHistory } from "./left_history.ts";

/** `flags`: those of `up`. `why`: what the daemon was asked in vain with. Changes nothing. */
export async function stoppedReport(flags: Flags, why: MeshnetError): Promise<StoppedReport> {
  return {
    status: null,
    why: why.message,
    version: VERSION,
    config: await orElse(async () => (await loadConfig(flags)).origins, null),
    host: hostFacts(),
    files: await orElse(() => filesOf(flags), []),
    history: await orElse<readonly HistoryReport[]>(async () => await leftHistory(flags) ?? [], []),
    doctor: await diagnoseStopped(flags, why),
  };
}

/** What cannot be read is named by the doctor. */
async function orElse<T>(look: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof MeshnetError) return otherwise;
    throw error;
  }
}

async function filesOf(flags: Flags): Promise<readonly StoppedFile[]> {
  const { runDir, stateDir } = await loadFolders(flags);
  const state = ["", "-wal", "-shm"].map((end) => `${stateDir}/${STORE_FILE}${end}`);
  const file = typeof flags["config"] === "string" ? flags["config"] : DEFAULT_CONFIG_FILE;
  const paths = [
    file,
    stateDir,
    ...state,
    runDir,
    `${runDir}/${CONTROL_SOCKET}`,
    `${runDir}/${STATUS_SOCKET}`,
  ];
  return paths.flatMap((path) => {
    try {
      const { isFile, mode, size } = Deno.lstatSync(path);
      return [{
        path,
        size: isFile ? size : null,
        mode: ((mode ?? 0) & 0o7777).toString(8).padStart(4, "0"),
      }];
    } catch {
      return []; // it is not there
    }
  });
}
