/** The control socket: HTTP over a Unix socket that only root, or the socket's group, may open. */
import { MeshnetError, messageOf } from "../core/errors.ts";
import { CONTROL_SOCKET } from "../core/options.ts";
import type { Logger } from "../core/ports.ts";
import { answer, bodiesOf, type ControlApi, type HeldAnswers } from "./routes.ts";

/** A listening control socket. Disposing it closes it and every connection. */
export interface ControlServer extends AsyncDisposable {
  /** Refuses new requests and removes the socket, but lets answers that wait for the end of the process be. */
  stopListening(): void;
}

/** Opens `control.sock` in the run folder, which must exist. Throws `up/already-running` when a daemon answers there. */
export async function startControlServer(
  api: ControlApi,
  options: { readonly runDir: string; readonly logger: Logger },
): Promise<ControlServer> {
  const path = `${options.runDir}/${CONTROL_SOCKET}`;
  await removeStaleSocket(path);
  const end = new AbortController();
  const held: HeldAnswers = new Set();
  const bodies = bodiesOf();
  const umask = Deno.umask(0o117); // the socket must not be open to all for even a moment
  let server: Deno.HttpServer;
  try {
    server = Deno.serve({
      transport: "unix",
      path,
      signal: end.signal,
      onListen: () => {},
      onError: (error) => {
        options.logger.error("control request failed", { reason: messageOf(error) });
        return new Response(null, { status: 500 });
      },
    }, (request) => answer(request, api, { held, bodies }));
  } finally {
    Deno.umask(umask);
  }
  let listening = true;
  return {
    stopListening() {
      if (!listening) return;
      listening = false;
      removeQuietly(path);
      server.shutdown().catch(() => {});
    },
    async [Symbol.asyncDispose]() {
      if (listening) {
        listening = false;
        removeQuietly(path);
        end.abort();
      }
      for (const stream of held) stream.close();
      held.clear();
      await server.finished.catch(() => {});
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

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch { /* it has gone */ }
}
