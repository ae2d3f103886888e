/** The control socket, on top of all other parts. */
import { releaseMemory } from "../../../ffi/memory.ts";
import { startReadServer } from "../../control/read_server.ts";
import { startControlServer } from "../../control/server.ts";
import { messageOf } from "../../core/errors.ts";
import type { Config } from "../config/config.ts";
import { openFileLimit } from "../checks/limits.ts";
import { controlApi, type ControlParts } from "../control_api.ts";
import type { Base } from "./open_base.ts";

/** Clients of the control socket at once, where the limit of open files is not low: then a quarter of that. */
const MAX_CLIENTS = 256;

/** Opens it. Disposing what it returns stops listening; an answer to /stop stays open until the process has ended. */
export async function openControl(
  config: Config,
  { base, ...parts }: Omit<ControlParts, "clock" | "config"> & { readonly base: Base },
): Promise<Disposable> {
  const api = controlApi({ ...parts, config, clock: base.clock });
  const { logger } = base;
  const quiet = () => {
    try {
      releaseMemory();
    } catch (error) {
      logger.debug("cannot give memory back", { reason: messageOf(error) });
    }
  };
  const server = await startControlServer(api, {
    ...{ runDir: config.runDir, logger, quiet },
    connections: Math.min(MAX_CLIENTS, Math.floor(openFileLimit() / 4)),
  });
  const { runDir, socketGroup: group } = config;
  const readers = group === undefined ? undefined : startReadServer(api, { group, logger, runDir });
  return {
    [Symbol.dispose]() {
      readers?.[Symbol.dispose]();
      server.stopListening();
    },
  };
}
