/** What the control socket serves: paths, methods, and requests with checked fields. */
import { MeshnetError } from "../core/errors.ts";
import type {
  AttachAnswer,
  AttachRequest,
  ConnectRequest,
  DaemonAnswer,
  ForgetRequest,
  FullReport,
  StatusReport,
  StopAnswer,
  TargetsAnswer,
} from "./api_types.ts";
import type { Endpoints } from "./http_answer.ts";

const MAX_ITEMS = 1024;
const MAX_TEXT = 4096;

/** What the daemon can be asked to do. Methods throw MeshnetError, which becomes the answer. */
export interface ControlApi {
  /** The state of everything, assembled now. */
  status(): StatusReport | Promise<StatusReport>;
  /** Everything for a bug report, without secrets. */
  report(): FullReport | Promise<FullReport>;
  /** Which process this is and where it works. */
  daemon(): DaemonAnswer;
  /** Adds targets. */
  connect(request: ConnectRequest): TargetsAnswer | Promise<TargetsAnswer>;
  /** Takes targets away; connections stay. */
  forget(request: ForgetRequest): TargetsAnswer | Promise<TargetsAnswer>;
  /** Attaches a namespace, or gives it more addresses. */
  attach(request: AttachRequest): AttachAnswer | Promise<AttachAnswer>;
  /** Takes addresses or the whole interface away. */
  detach(request: AttachRequest): AttachAnswer | Promise<AttachAnswer>;
  /** Begins an orderly stop. */
  stop(): StopAnswer;
}

/** The endpoints of a daemon. */
export function controlEndpoints(api: ControlApi): Endpoints {
  return {
    "/status": { method: "GET", handle: () => api.status() },
    "/report": { method: "GET", handle: () => api.report() },
    "/daemon": { method: "GET", handle: () => api.daemon() },
    "/connect": {
      method: "POST",
      handle(body) {
        const fields = readFields(body, ["targets", "replace"]);
        return api.connect({ targets: readTexts(fields, "targets"), replace: readFlag(fields, "replace") });
      },
    },
    "/forget": {
      method: "POST",
      handle: (body) => api.forget({ targets: readTexts(readFields(body, ["targets"]), "targets") }),
    },
    "/attach": { method: "POST", handle: (body) => api.attach(readAttach(body)) },
    "/detach": { method: "POST", handle: (body) => api.detach(readAttach(body)) },
    // Its end tells the client that the daemon has ended.
    "/stop": { method: "POST", handle: () => api.stop(), holds: true },
  };
}

function refuse(message: string, hint: string): never {
  throw new MeshnetError("usage/bad-option", message, { hint });
}

function readFields(body: unknown, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    refuse("The request body is not an object", `Send an object with ${known.join(", ")}`);
  }
  const unknown = Object.keys(body).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    refuse(
      `The request has an unknown field: ${unknown.slice(0, 64)}`,
      `Known fields are ${known.join(", ")}`,
    );
  }
  return body as Record<string, unknown>;
}

function readTexts(fields: Readonly<Record<string, unknown>>, name: string): readonly string[] {
  const value = fields[name] ?? [];
  const good = Array.isArray(value) && value.length <= MAX_ITEMS && value.every(isText);
  return good
    ? value
    : refuse(`The field ${name} is not a list of texts`, `Send up to ${MAX_ITEMS} short texts`);
}

function readFlag(fields: Readonly<Record<string, unknown>>, name: string): boolean {
  const value = fields[name] ?? false;
  return typeof value === "boolean"
    ? value
    : refuse(`The field ${name} is not true or false`, "Send true or false");
}

function readAttach(body: unknown): AttachRequest {
  const fields = readFields(body, ["target", "addresses"]);
  const target = fields["target"];
  if (!isText(target)) refuse("The field target is missing", "Send netns:NAME, pid:N or a path as target");
  return { target, addresses: readTexts(fields, "addresses") };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= MAX_TEXT;
}
