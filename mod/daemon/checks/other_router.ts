/** Whether another router works here already: at this run folder, or in this network namespace. */
import { MeshnetError } from "../../core/errors.ts";
import { CONTROL_SOCKET } from "../../core/options.ts";

/** "up/already-running" when a router answers at the control socket of the run folder. */
export async function routerAnswers(runDir: string): Promise<MeshnetError | undefined> {
  const path = `${runDir}/${CONTROL_SOCKET}`;
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch {
    return undefined; // nobody there, or a socket that a killed router left behind
  }
  return new MeshnetError("up/already-running", `Cannot start: another router answers at ${path}`, {
    hint:
      "Stop it with `meshnet down`; or, for a second router in another network namespace, give this one its own " +
      "--run-dir and --state-dir",
  });
}
