/** One router in each network namespace. */
import { MeshnetError } from "../core/errors.ts";

/** Throws "up/already-running" while another router works in this network namespace, whatever its folders and port are:
 * both would fight for one datapath. Holds the namespace until disposed of; the kernel lets go of it with the process. */
export function claimNamespace(datapath: string): Disposable {
  try {
    return Deno.listen({ transport: "unix", path: `\0meshnet/${datapath}` }); // abstract names are per namespace
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.AddrInUse)) throw thrown;
    throw new MeshnetError(
      "up/already-running",
      "Cannot start: another router works in this network namespace already",
      {
        hint: `Find it with: ss -xlp | grep @meshnet/; stop it with \`meshnet down\` and its --run-dir`,
        cause: thrown,
      },
    );
  }
}
