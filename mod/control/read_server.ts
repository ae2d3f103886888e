/** The socket of operators who are not root: it answers questions and changes nothing. */
import { messageOf } from "../core/errors.ts";
import { STATUS_SOCKET } from "../core/options.ts";
import type { Logger } from "../core/ports.ts";
import type { Endpoints } from "./http_answer.ts";
import { HttpServer } from "./http_server.ts";
import { type ControlApi, controlEndpoints } from "./routes.ts";
import { serveAtFile } from "./served_socket.ts";

/** Clients at once. */
const CONNECTIONS = 32;

/** Opens `status.sock` in the run folder for members of a group; undefined where that cannot be, which the log says. */
export function startReadServer(
  api: ControlApi,
  { group, logger, runDir }: { readonly group: number; readonly logger: Logger; readonly runDir: string },
): Disposable | undefined {
  const server = new HttpServer(readEndpoints(controlEndpoints(api)), {
    logger,
    limits: { connections: CONNECTIONS },
  });
  try {
    const served = serveAtFile(server, `${runDir}/${STATUS_SOCKET}`, { logger, what: "status", group });
    return {
      [Symbol.dispose]() {
        served.stopListening();
        void server[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    void server[Symbol.asyncDispose]();
    logger.warn("no socket for the group", {
      reason: messageOf(error),
      hint: `without CAP_CHOWN the daemon must be a member: SupplementaryGroups=${group} in its unit`,
    });
    return undefined;
  }
}

/** Those that only tell something. */
export function readEndpoints(all: Endpoints): Endpoints {
  return Object.fromEntries(Object.entries(all).filter(([, { method }]) => method === "GET"));
}
