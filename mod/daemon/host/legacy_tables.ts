/** How this process reaches the tables of iptables-legacy. */
import { XtablesSocket } from "../../../ffi/xtables_socket.ts";
import type { LegacyParts } from "../../firewall/legacy_shell.ts";
import { readTextIfReadable } from "../../sys/files.ts";

/** The file that all who change these tables lock. */
export const XTABLES_LOCK = "/run/xtables.lock";

/** In this process's network namespace. */
export const LEGACY_TABLES: LegacyParts = {
  open: (family) => new XtablesSocket(family),
  names: (family) =>
    (readTextIfReadable(`/proc/net/${family}_tables_names`) ?? "").split("\n").filter(Boolean),
  lock() {
    const file = openLock();
    if (file === undefined) return { [Symbol.dispose]: () => {} };
    if (file.tryLockSync(true)) return file; // closing it lets go of the lock
    file.close();
    return undefined;
  },
};

/** undefined: it is not there and cannot be made, as in a service to which /run is read-only. Then nobody else has locked
 * it, and the kernel still refuses a table that is not the one that was read. */
function openLock(): Deno.FsFile | undefined {
  for (const create of [false, true]) {
    try {
      return Deno.openSync(XTABLES_LOCK, { read: true, write: create, create, mode: 0o600 });
    } catch {
      continue;
    }
  }
  return undefined;
}
