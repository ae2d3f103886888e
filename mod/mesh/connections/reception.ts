/** What becomes of a connection whose remote has said who it is. */
import type { RouterConfig } from "../router_types.ts";
import { MAX_PEERS, type Topology } from "../topology/topology.ts";
import type { Millis } from "../../core/time.ts";
import type { Connection, ConnectionEnd } from "./connection.ts";
import { cloneAdvice, type ConnectionTable } from "./connection_table.ts";
import { canRename } from "./rename.ts";

/** What is to happen with an introduced connection. */
export type Reception =
  | { readonly kind: "add"; readonly replaces: Connection | undefined }
  /** `probe`: a connection that may be dead and should be written to, which shows it at once. */
  | { readonly kind: "refuse"; readonly end: ConnectionEnd; readonly probe?: Connection | undefined }
  /** Both ends drew equal numbers: both connections go. */
  | { readonly kind: "drop-both"; readonly existing: Connection; readonly end: ConnectionEnd };

/** What the decision looks at. */
export interface ReceptionContext {
  readonly config: Pick<RouterConfig, "name" | "uid">;
  readonly table: ConnectionTable;
  readonly topology: Pick<Topology, "get" | "size">;
}

/** Decides about an introduced connection; changes nothing. */
export function receive(connection: Connection, around: ReceptionContext, now: Millis): Reception {
  const { config, table, topology } = around;
  const introduced = connection.introduced!;
  const { name, uid } = introduced.remote;
  const { expected, welcome } = connection.origin;
  if (name === config.name) {
    const self = uid === config.uid;
    const reason = self ? "this address leads to this host itself" : cloneAdvice(name);
    const never = self || !canRename(connection); // who can take another name is worth another try
    return {
      kind: "refuse",
      end: { reason, kind: "clone", orderly: true, never, silent: self, level: never ? "warn" : "info" },
    };
  }
  const known = topology.get(name) !== undefined || name === expected;
  if (!known && (!welcome || topology.size >= MAX_PEERS)) {
    const reason = welcome
      ? `more than ${MAX_PEERS} peers are known: remove some`
      : `another peer than expected answers: ${name} is not part of this mesh yet`;
    return { kind: "refuse", end: { reason, kind: welcome ? "full" : "unknown-peer", orderly: true } };
  }
  const admission = table.admit(connection, now);
  switch (admission.kind) {
    case "add":
      return admission;
    case "drop-both": {
      const reason = "two connections of the same number met: both are made anew";
      return {
        kind: "drop-both",
        existing: admission.existing,
        end: { reason, kind: "duplicate", orderly: true },
      };
    }
    case "refuse": {
      const { reason, clone, probe } = admission;
      const kind = clone ? "clone" : "duplicate";
      return { kind: "refuse", end: { reason, kind, orderly: true, level: clone ? "warn" : "debug" }, probe };
    }
  }
}
