/** What the control socket answers: paths, methods, checked bodies, and errors as JSON. */
import { type ErrorCode, MeshnetError, messageOf } from "../core/errors.ts";
import { MemoryBudget } from "../core/memory_budget.ts";
import { closest } from "../core/suggest.ts";
import type {
  AttachAnswer,
  AttachRequest,
  ConnectRequest,
  DaemonAnswer,
  ErrorAnswer,
  ForgetRequest,
  FullReport,
  StatusReport,
  StopAnswer,
  TargetsAnswer,
} from "./api_types.ts";

/** Largest accepted request body in bytes. */
export const MAX_BODY = 64 * 1024;
/** What requests that are still coming may hold together, bytes. */
const MAX_BODIES = 4 * 1024 * 1024;
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

interface Route {
  readonly method: "GET" | "POST";
  readonly handle: (api: ControlApi, body: unknown) => unknown;
}

const ROUTES: Readonly<Record<string, Route>> = {
  "/status": { method: "GET", handle: (api) => api.status() },
  "/report": { method: "GET", handle: (api) => api.report() },
  "/daemon": { method: "GET", handle: (api) => api.daemon() },
  "/connect": {
    method: "POST",
    handle: (api, body) => {
      const fields = readFields(body, ["targets", "replace"]);
      return api.connect({ targets: readTexts(fields, "targets"), replace: readFlag(fields, "replace") });
    },
  },
  "/forget": {
    method: "POST",
    handle: (api, body) => api.forget({ targets: readTexts(readFields(body, ["targets"]), "targets") }),
  },
  "/attach": { method: "POST", handle: (api, body) => api.attach(readAttach(body)) },
  "/detach": { method: "POST", handle: (api, body) => api.detach(readAttach(body)) },
  "/stop": { method: "POST", handle: (api) => api.stop() },
};

/** Connections whose answer goes on until the process ends, or somebody closes them here. */
export type HeldAnswers = Set<ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>>;

/** A request body that is still coming. */
interface Body {
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  /** Others needed the room more. */
  cut: boolean;
}

/** What bodies of a server's requests hold. */
export type Bodies = MemoryBudget<"bodies", Body>;

/** The budget of one server. */
export function bodiesOf(total: number = MAX_BODIES): Bodies {
  return new MemoryBudget({ bodies: { total, each: MAX_BODY } });
}

/** Answers one request; never throws. */
export async function answer(
  request: Request,
  api: ControlApi,
  { held, bodies }: { readonly held: HeldAnswers; readonly bodies: Bodies },
): Promise<Response> {
  const path = new URL(request.url).pathname;
  const route = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
  if (route === undefined) {
    const near = closest(path, Object.keys(ROUTES));
    return failure(404, "control/request-failed", `No such path: ${path}`, near && `Did you mean ${near}?`);
  }
  if (request.method !== route.method) {
    const refused = failure(
      405,
      "control/request-failed",
      `Cannot ${request.method} ${path}`,
      `Use ${route.method}`,
    );
    refused.headers.set("allow", route.method);
    return refused;
  }
  try {
    const body = route.method === "POST" ? await readBody(request, bodies) : undefined;
    const value = await route.handle(api, body);
    return path === "/stop" ? answerAndHold(value, held) : Response.json(value);
  } catch (error) {
    if (error instanceof MeshnetError) {
      return failure(statusOf(error.code), error.code, error.message, error.hint);
    }
    return failure(500, "control/request-failed", `The request failed: ${messageOf(error)}`, undefined);
  }
}

/** An answer whose connection stays open for as long as the process lives: its end tells that all is over. */
function answerAndHold(value: unknown, held: HeldAnswers): Response {
  const line = new TextEncoder().encode(JSON.stringify(value) + "\n");
  let own: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (stream) => {
      held.add(own = stream);
      stream.enqueue(line);
    },
    cancel: () => void held.delete(own), // who asked has gone
  });
  return new Response(body, { headers: { "content-type": "application/json" } });
}

function failure(status: number, code: ErrorCode, message: string, hint: string | undefined): Response {
  return Response.json({ code, message, hint: hint ?? null } satisfies ErrorAnswer, { status });
}

function statusOf(code: ErrorCode): number {
  switch (code) {
    case "usage/bad-option":
    case "usage/bad-target":
    case "usage/bad-address":
    case "attach/bad-target":
    case "attach/bad-address":
    case "attach/no-address":
      return 400;
    case "attach/not-attached":
    case "peer/unknown":
      return 404;
    default:
      return 500;
  }
}

function refuse(message: string, hint: string): never {
  throw new MeshnetError("usage/bad-option", message, { hint });
}

async function readBody(request: Request, bodies: Bodies): Promise<unknown> {
  if (request.body === null) return {};
  const body: Body = { reader: request.body.getReader(), cut: false };
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { value } = await body.reader.read();
      if (body.cut) refuse("The request body was cut off: too many come at once", "Try again later");
      if (value === undefined) break;
      parts.push(value);
      length += value.length;
      if (length > MAX_BODY) {
        refuse(`The request body is too long: limit is ${MAX_BODY} bytes`, "Send less at a time");
      }
      for (const greediest of bodies.hold("bodies", body, length)) {
        greediest.cut = true;
        void greediest.reader.cancel().catch(() => {}); // its own reading goes on from here, and refuses
      }
    }
  } finally {
    bodies.release(body);
  }
  if (length === 0) return {};
  const text = await new Blob(parts as Uint8Array<ArrayBuffer>[]).text();
  try {
    return JSON.parse(text);
  } catch (cause) {
    refuse(`The request body is not JSON: ${messageOf(cause)}`, "Send a JSON object");
  }
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
