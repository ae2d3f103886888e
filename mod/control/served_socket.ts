/** A server at the file of a Unix socket, which is made again when somebody removes it. */
import { messageOf } from "../core/errors.ts";
import type { Logger } from "../core/ports.ts";
import { watchOver } from "./folder_watch.ts";
import type { HttpServer } from "./http_server.ts";
import { checkReplaceable, listenAtFile, type SocketFile } from "./socket_file.ts";

/** Time from a change in the folder to the look at it, in milliseconds: whoever removes the folder comes to an end. */
const SETTLE_MS = 300;
/** Time after which a socket that could not be made again is tried again, in milliseconds. */
const RETRY_MS = 30_000;

/** Serves at a path until it is told to stop, in place of what is there. `what` says which socket it is. Members of `group`
 * may open it, too. */
export function serveAtFile(
  server: Pick<HttpServer, "serve" | "stopListening">,
  path: string,
  { group, logger, what }: { readonly logger: Logger; readonly what: string; readonly group?: number },
): { readonly stopListening: () => void } {
  const folder = path.slice(0, path.lastIndexOf("/"));
  const listen = () => listenAtFile(path, group === undefined ? {} : { group });
  let file = listen();
  server.serve(file.listener);
  const keeper = keepThere({
    folder,
    isThere: () => file.isThere(),
    checkReplaceable: () => checkReplaceable(path),
    makeAgain() {
      Deno.mkdirSync(folder, { recursive: true });
      const gone: SocketFile = file;
      file = listen();
      server.serve(file.listener);
      server.stopListening(gone.listener);
      logger.warn("a socket was removed, and is made again", { socket: what, path });
    },
    failed: (error) => {
      logger.error("a socket was removed, and cannot be made again", {
        socket: what,
        path,
        reason: messageOf(error),
      });
    },
  });
  return {
    stopListening() {
      keeper[Symbol.dispose]();
      file.remove();
      server.stopListening();
    },
  };
}

/** Makes the socket again when it is removed or replaced, or the whole run folder. Another program's socket stays. */
function keepThere({ checkReplaceable, failed, isThere, makeAgain, folder }: {
  readonly folder: string;
  readonly isThere: () => boolean;
  readonly checkReplaceable: () => Promise<void>;
  readonly makeAgain: () => void;
  readonly failed: (error: unknown) => void;
}): Disposable {
  let over = false;
  let broken = false;
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
      watch.renew(); // the folder may be another one
    } catch (error) {
      if (over) return;
      if (!broken) failed(error);
      broken = true;
      clearTimeout(retrying); // of a look that failed at the same time
      retrying = setTimeout(() => void look(), RETRY_MS);
    }
  };
  const watch = watchOver(folder, lookSoon);
  lookSoon(); // it may have gone before anybody watched, and Deno may miss what happens in the first moments
  return {
    [Symbol.dispose]() {
      over = true;
      clearTimeout(settling);
      clearTimeout(retrying);
      watch[Symbol.dispose]();
    },
  };
}
