/** The control socket: HTTP over a Unix socket that only root, or the socket's group, may open. */
import { MeshnetError, messageOf } from "../core/errors.ts";
import { CONTROL_SOCKET } from "../core/options.ts";
import type { Logger } from "../core/ports.ts";
import { HttpServer } from "./http_server.ts";
import { type ControlApi, controlEndpoints } from "./routes.ts";
import { removeQuietly } from "./socket_file.ts";
import { serveAtFile } from "./served_socket.ts";

/** A listening control socket. Disposing it closes it and every connection. */
export interface ControlServer extends AsyncDisposable {
  /** Refuses new requests and removes the socket, but lets answers that wait for the end of the process be. */
  stopListening(): void;
}

/** Opens `control.sock` in the run folder, which must exist, and keeps it there. Throws `up/already-running` when a daemon
 * answers there. */
export async function startControlServer(
  api: ControlApi,
  { connections = 256, logger, quiet, runDir }: {
    readonly runDir: string;
    readonly logger: Logger;
    /** Clients at once. */
    readonly connections?: number;
    /** Called when the last client has gone after a time with many. */
    readonly quiet?: () => void;
  },
): Promise<ControlServer> {
  const path = `${runDir}/${CONTROL_SOCKET}`;
  await removeStaleSocket(path);
  const server = new HttpServer(controlEndpoints(api), {
    logger,
    limits: { connections },
    ...(quiet === undefined ? {} : { quiet }),
  });
  const { stopListening } = serveAtFile(server, path, { logger, what: "control" });
  return {
    stopListening,
    async [Symbol.asyncDispose]() {
      stopListening();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Removes a socket that nobody serves any more. */
async function removeStaleSocket(path: string): Promise<void> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    if (error instanceof Deno.errors.ConnectionRefused) return removeQuietly(path);
    throw new MeshnetError("up/not-permitted", `Cannot use ${path}: ${messageOf(error)}`, {
      hint: "Run as root, or give another folder with --run-dir",
      cause: error,
    });
  }
  throw new MeshnetError("up/already-running", `Another router answers on ${path}`, {
    hint: "Stop it with `meshnet down`, or give this one its own --run-dir",
  });
}
