/** Networks that an engine has by our plugin: they go while the daemon still answers the engine. */
import { messageOf } from "../../core/errors.ts";
import { SocketEngine, whyUnreachable } from "../../docker/engine_shell.ts";

/** How long the engine has for all of it, in milliseconds. */
const PATIENCE_MS = 20_000;

/** Removes those that no container is in. `say` gets a line for each, also for those that stay. Does not throw. */
export async function removeEngineNetworks(
  { driver, socket }: { readonly driver: string; readonly socket: string },
  say: (line: string) => void,
): Promise<void> {
  if (await whyUnreachable(socket) !== undefined) return;
  try {
    using engine = new SocketEngine(socket);
    const signal = AbortSignal.timeout(PATIENCE_MS);
    await engine.open(signal);
    for (const { failure, name } of await engine.removeNetworks(driver, signal)) {
      if (failure === undefined) say(`Removed network ${name} of the container engine.`);
      else {
        say(
          `Network ${name} of the container engine stays: ${failure}. Its containers are cut off until \`meshnet up\`; ` +
            `to remove it, run \`meshnet up\`, remove them, and \`docker network rm ${name}\`.`,
        );
      }
    }
  } catch (thrown) {
    say(`Networks of the container engine stay: ${messageOf(thrown)}.`);
  }
}
