/** What hosts know of names. */
import { callDaemon } from "../../../mod/control/client.ts";
import type { LookupAnswer } from "../../../mod/control/name_types.ts";
import { slowness } from "./pace.ts";
import type { Host } from "./world.ts";

/** What a host knows of a name; nothing where it knows none. */
export async function lookUp({ runDir }: Host, name: string): Promise<readonly string[]> {
  try {
    const request = { method: "POST", path: "/dns/lookup", body: { name } } as const;
    const { records } = await callDaemon<LookupAnswer>(request, { runDir, timeoutMs: 30_000 * slowness() });
    return records.map(({ record }) => record).sort();
  } catch (error) {
    if ((error as { code?: string }).code === "dns/not-found") return [];
    throw error;
  }
}
