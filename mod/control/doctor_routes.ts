/** What can be asked to find faults, and how. */
import type { CheckReport, CheckRequest, DoctorReport, PathReport, PathRequest } from "./doctor_types.ts";
import { readFields, readFlag, readOptional, readText, type RequestFields } from "./fields.ts";
import type { Endpoints } from "./http_answer.ts";

/** What the daemon can be asked to look at. */
export interface DoctorApi {
  /** Looks at host and mesh, and names what is wrong. */
  doctor(): Promise<DoctorReport>;
  /** Looks at the way to another host. */
  check(request: CheckRequest): Promise<CheckReport>;
  /** Follows the way to an address, a name or a host. */
  path(request: PathRequest): Promise<PathReport>;
}

/** Its endpoints. */
export function doctorEndpoints(api: DoctorApi): Endpoints {
  return {
    "/doctor": { method: "GET", handle: () => api.doctor() },
    "/check": {
      method: "POST",
      handle: (body) =>
        api.check({ host: readText(readFields(body, ["host"]), "host", "Send a host as host") }),
    },
    "/path": {
      method: "POST",
      handle(body) {
        const fields: RequestFields = readFields(body, ["to", "from", "probe"]);
        const to = readText(fields, "to", "Send an address, a name or a host as to");
        return api.path({ to, from: readOptional(fields, "from"), probe: readFlag(fields, "probe") });
      },
    },
  };
}
