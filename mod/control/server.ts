/** The control socket: HTTP over a Unix socket that only root, or the socket's group, may open. */
import { MeshnetError, messageOf } from "../core/errors.ts";
import { CONTROL_SOCKET } from "../core/options.ts";
import type { Logger } from "../core/ports.ts";
import { HttpServer } from "./http_server.ts";
import { type ControlApi, controlEndpoints } from "./routes.ts";
import {
  checkReplaceable,
  listenAtFile,
  removeQuietly,
  type SocketFile,
  watchFolder,
} from "./socket_file.ts";

/** Time from a change in the run folder to the look at it, in milliseconds: whoever removes the folder comes to an end. */
const SETTLE_MS = 300;
/** Time after which a socket that could not be made again is tried again, in milliseconds. */
const RETRY_MS = 30_000;

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
  let file = listenAtFile(path);
  server.serve(file.listener);
  const keeper = keepThere({
    runDir,
    isThere: () => file.isThere(),
    checkReplaceable: () => checkReplaceable(path),
    makeAgain() {
      Deno.mkdirSync(runDir, { recursive: true });
      const gone: SocketFile = file;
      file = listenAtFile(path);
      server.serve(file.listener);
      server.stopListening(gone.listener);
      logger.warn("the control socket was removed, and is made again", { path });
    },
    failed: (error) => {
      logger.error("the control socket was removed, and cannot be made again", {
        path,
        reason: messageOf(error),
      });
    },
  });
  const stopListening = () => {
    keeper[Symbol.dispose]();
    file.remove();
    server.stopListening();
  };
  return {
    stopListening,
    async [Symbol.asyncDispose]() {
      stopListening();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Makes the socket again when it is removed or replaced, or the whole run folder. Another program's socket stays. */
function keepThere({ checkReplaceable, failed, isThere, makeAgain, runDir }: {
  readonly runDir: string;
  readonly isThere: () => boolean;
  readonly checkReplaceable: () => Promise<void>;
  readonly makeAgain: () => void;
  readonly failed: (error: unknown) => void;
}): Disposable {
  let over = false;
  let broken = false;
  let watcher: Deno.FsWatcher | undefined;
  let settling: ReturnType<typeof setTimeout> | undefined;
  let retrying: ReturnType<typeof setTimeout> | undefined;
  const lookSoon = () => {
    if (!over) settling ??= setTimeout(() => void look(), SETTLE_MS);
  };
  const look = async () => {
    settling = undefined;
    if (isThere()) return;
    clearTimeout(retrying);
    try {
      await checkReplaceable();
      if (over || isThere()) return;
      makeAgain();
      broken = false;
      watch(); // the folder may be another one
    } catch (error) {
      if (over) return;
      if (!broken) failed(error);
      broken = true;
      clearTimeout(retrying); // of a look that failed at the same time
      retrying = setTimeout(() => void look(), RETRY_MS);
    }
  };
  const watch = () => {
    close(watcher);
    watcher = watchFolder(runDir, lookSoon);
    lookSoon(); // it may have gone before anybody watched, and Deno may miss what happens in the first moments
  };
  watch();
  return {
    [Symbol.dispose]() {
      over = true;
      clearTimeout(settling);
      clearTimeout(retrying);
      close(watcher);
    },
  };
}

function close(watcher: Deno.FsWatcher | undefined): void {
  try {
    watcher?.close();
  } catch { /* it ended by itself */ }
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
