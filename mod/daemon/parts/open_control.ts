/** The control socket, on top of all other parts. */
import { releaseMemory } from "../../../ffi/memory.ts";
import { startControlServer } from "../../control/server.ts";
import { messageOf } from "../../core/errors.ts";
import type { Config } from "../config.ts";
import { controlApi, type ControlParts } from "../control_api.ts";
import type { Base } from "./open_base.ts";

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
  const server = await startControlServer(api, { runDir: config.runDir, logger, quiet });
  return { [Symbol.dispose]: () => server.stopListening() };
}
