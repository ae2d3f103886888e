/** What the control socket can have looked at. What does the work is loaded when somebody asks. */
import type { DoctorApi } from "../../control/doctor_routes.ts";
import { type Ip, parseIp } from "../../core/addr.ts";
import type { AllocatorStatus } from "../../ipam/status.ts";
import type { FirewallState } from "../../control/status.ts";
import type { Clock } from "../../core/ports.ts";
import type { Router } from "../../mesh/router_shell.ts";
import type { DataplaneHandle } from "../threads/dataplane_client.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { LookupAnswer } from "../../control/name_types.ts";
import type { RunningFacts } from "../checks/running_checks.ts";
import type { Config } from "../config/config.ts";
import { ownerAmong } from "./owner_among.ts";
import type { PathParts } from "./paths.ts";

/** What it is made of. */
export interface DoctorParts extends RunningFacts {
  readonly config: Config;
  readonly lookUpName: (request: { readonly name: string }) => LookupAnswer;
  readonly paths: Omit<PathParts, "left" | "lookUp" | "ownerOf">;
  /** undefined: addresses are not allocated. */
  readonly ipam: { readonly shell: { status(): AllocatorStatus } } | undefined;
  readonly router: Pick<Router, "snapshot">;
  readonly dataplane: Pick<DataplaneHandle, "report">;
  /** What this host's firewall does to the mesh. */
  readonly firewall: () => FirewallState;
  readonly clock: Clock;
}

/** Serves it. */
export function doctorApi(parts: DoctorParts): DoctorApi {
  const { ipam, lookUpName, paths } = parts;
  return {
    async doctor() {
      const { diagnose } = await import("./doctor.ts");
      return await diagnose(parts);
    },
    async check({ host }) {
      const { checkHost } = await import("./check_host.ts");
      const { knownHosts } = await import("./known_hosts.ts");
      return await checkHost(host, { config: parts.config, clock: parts.clock, daemon: knownHosts(parts) });
    },
    async path(request) {
      const { findPath } = await import("./paths.ts");
      const { leftOf } = await import("./known_hosts.ts");
      return await findPath(request, {
        ...paths,
        lookUp: (name) => addressesOf(name, lookUpName),
        left: () => leftOf(parts),
        ownerOf: (ip) => ipam && ownerAmong(ipam.shell.status(), ip),
      });
    },
  };
}

/** The addresses of a name; none where there is no such name, or names are off. */
function addressesOf(name: string, lookUpName: DoctorParts["lookUpName"]): readonly Ip[] {
  try {
    return lookUpName({ name }).records.flatMap(({ record }) => parseIp(record) ?? []);
  } catch (error) {
    if (error instanceof MeshnetError) return [];
    throw error;
  }
}
