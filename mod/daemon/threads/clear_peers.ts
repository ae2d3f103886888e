/** With whom this host may exchange frames in clear, compared with what an earlier run allowed. Flows outlive the
 * process: those of a run without a password must not carry frames in clear past one that has a password. */
import { type Cidr, formatCidr } from "../../core/addr.ts";
import { messageOf } from "../../core/errors.ts";
import type { Logger, Store } from "../../core/ports.ts";

/** Key of the store: networks, with commas. */
const CLEAR_KEY = "daemon/clear";
/** Without a password: with everybody. */
const EVERYBODY: readonly string[] = ["0.0.0.0/0", "::/0"];

/** What changes between two runs. */
export interface ClearPeers {
  /** Whether an earlier run allowed more than this one, or nobody knows what it allowed. */
  readonly distrusts: boolean;
  /** The data plane runs, and what this run does not allow has gone. */
  settled(): void;
}

/** Compares, and remembers what this run allows beyond the earlier one. */
export function comparePeers(
  { password, trustedSubnets }: {
    readonly password: Uint8Array | undefined;
    readonly trustedSubnets: readonly Cidr[];
  },
  { store, log }: { readonly store: Store; readonly log: Logger },
): ClearPeers {
  const allowed = password === undefined ? EVERYBODY : trustedSubnets.map(formatCidr).sort();
  const record = store.get(CLEAR_KEY);
  const earlier = record === undefined ? undefined : record.split(",").filter((text) => text !== "");
  const both = [...new Set([...earlier ?? [], ...allowed])].sort();
  const remember = (networks: readonly string[]) => {
    const text = networks.join(",");
    if (text === store.get(CLEAR_KEY)) return;
    try {
      store.put(CLEAR_KEY, text);
    } catch (thrown) { // on a full disk, say
      log.warn("cannot remember who may send in clear", { reason: messageOf(thrown) });
    }
  };
  if (earlier !== undefined) remember(both);
  return {
    distrusts: password !== undefined && (earlier === undefined || both.length > allowed.length),
    settled: () => remember(allowed),
  };
}
