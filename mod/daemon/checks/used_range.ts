/** Whether this host has given out addresses of a range already: then it goes on to, whatever routes came since. */
import { type Cidr, formatCidr } from "../../core/addr.ts";
import { MeshnetError } from "../../core/errors.ts";
import { STORE_KEY } from "../../ipam/stored.ts";
import { openStore, STORE_FILE } from "../../sys/store.ts";

/** What the state of a stopped daemon says. State that nobody can read says nothing. */
export function usedRange(range: Cidr, stateDir: string): boolean {
  try {
    Deno.lstatSync(`${stateDir}/${STORE_FILE}`);
    using store = openStore(stateDir);
    const ring = store.get(STORE_KEY.ring);
    return ring !== undefined && (JSON.parse(ring) as { range?: unknown }).range === formatCidr(range);
  } catch (thrown) {
    const isNone = thrown instanceof MeshnetError || thrown instanceof Deno.errors.NotFound ||
      thrown instanceof Deno.errors.PermissionDenied || thrown instanceof SyntaxError;
    if (isNone) return false;
    throw thrown;
  }
}
