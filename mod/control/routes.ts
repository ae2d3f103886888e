/** What the control socket serves: paths, methods, and requests with checked fields. */
import type { HistoryReport } from "./history_types.ts";
import type {
  AddressesAnswer,
  AllocateRequest,
  ClaimRequest,
  ExposeAnswer,
  ExposeRequest,
  HideRequest,
  HolderReport,
  ImportAnswer,
  ImportRequest,
  ReleaseRequest,
  RemovePeersAnswer,
  RemovePeersRequest,
  WaitAnswer,
  WaitRequest,
} from "./address_types.ts";
import type {
  AttachAnswer,
  AttachRequest,
  ConnectRequest,
  DaemonAnswer,
  DetachRequest,
  DockerAnswer,
  ForgetRequest,
  FullReport,
  StatusReport,
  StopAnswer,
  TargetsAnswer,
} from "./api_types.ts";
import { type DoctorApi, doctorEndpoints } from "./doctor_routes.ts";
import type { LookupAnswer, LookupRequest, NameAnswer, NameReport, NameRequest } from "./name_types.ts";
import {
  isText,
  readFields,
  readFlag,
  readOptional,
  readTexts,
  refuse,
  refuseLong,
  type RequestFields,
} from "./fields.ts";
import type { Endpoints } from "./http_answer.ts";

const MAX_HOLDER = 256;
/** Characters of it that a refusal repeats. */
const MAX_SHOWN = 64;

type Gone = () => AbortSignal;

/** What the daemon can be asked to do. Methods throw MeshnetError, which becomes the answer. */
export interface ControlApi extends DoctorApi {
  /** The state of everything, assembled now. */
  status(): StatusReport | Promise<StatusReport>;
  /** Everything for a bug report, without secrets. */
  report(): FullReport | Promise<FullReport>;
  /** Which process this is and where it works. */
  daemon(): DaemonAnswer;
  /** Where clients of the engine are served. */
  docker(): DockerAnswer;
  /** Adds targets. */
  connect(request: ConnectRequest): TargetsAnswer | Promise<TargetsAnswer>;
  /** Takes targets away; connections stay. */
  forget(request: ForgetRequest): TargetsAnswer | Promise<TargetsAnswer>;
  /** Attaches a namespace, or gives it more addresses. `gone` watches the client; so for all that may wait. */
  attach(request: AttachRequest, gone: Gone): AttachAnswer | Promise<AttachAnswer>;
  /** Takes addresses or the whole interface away. */
  detach(request: DetachRequest): AttachAnswer | Promise<AttachAnswer>;
  /** Has this host take part in the network. */
  expose(request: ExposeRequest, gone: Gone): Promise<ExposeAnswer>;
  /** Takes its addresses away again. */
  hide(request: HideRequest): Promise<ExposeAnswer>;
  /** Who holds which addresses. */
  holders(): readonly HolderReport[];
  /** Allocates an address. */
  allocate(request: AllocateRequest, gone: Gone): Promise<AddressesAnswer>;
  /** Takes a certain address. */
  claim(request: ClaimRequest, gone: Gone): Promise<AddressesAnswer>;
  /** Gives addresses back. */
  release(request: ReleaseRequest): Promise<AddressesAnswer>;
  /** What a backup says. */
  exportAddresses(): unknown;
  /** Takes a backup in. */
  importAddresses(request: ImportRequest, gone: Gone): Promise<ImportAnswer>;
  /** Waits until it is agreed who owns which addresses. */
  prime(request: WaitRequest, gone: Gone): Promise<WaitAnswer>;
  /** Takes over what hosts own that are gone for good. */
  removePeers(request: RemovePeersRequest, gone: Gone): Promise<RemovePeersAnswer>;
  /** Hands this host's share of the addresses to others: it goes for good. */
  leave(): Promise<WaitAnswer>;
  /** What happened lately, oldest first. */
  history(): readonly HistoryReport[];
  /** All names of the mesh. */
  names(): readonly NameReport[];
  /** Gives a name records. */
  addName(request: NameRequest): NameAnswer;
  /** Takes records of a name away. */
  removeName(request: NameRequest): NameAnswer;
  /** What is answered for a name. */
  lookUpName(request: LookupRequest): LookupAnswer;
  /** Begins an orderly stop. `forGood`: what this host gave the network goes at once, as its containers are cut off. */
  stop(request: { readonly forGood: boolean }): StopAnswer;
}

/** The endpoints of a daemon. */
export function controlEndpoints(api: ControlApi): Endpoints {
  return {
    "/status": { method: "GET", handle: () => api.status() },
    "/report": { method: "GET", handle: () => api.report() },
    ...doctorEndpoints(api),
    "/history": { method: "GET", handle: () => api.history() },
    "/daemon": { method: "GET", handle: () => api.daemon() },
    "/docker": { method: "GET", handle: () => api.docker() },
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
    "/attach": {
      method: "POST",
      handle(body, gone) {
        const fields = readFields(body, [
          "target",
          "addresses",
          "names",
          "health",
          "noDns",
          "force",
          ...WAIT,
        ]);
        const flags = { noDns: readFlag(fields, "noDns"), force: readFlag(fields, "force") };
        const health = readOptional(fields, "health");
        const more = { names: readTexts(fields, "names"), ...health === null ? {} : { health }, ...flags };
        return api.attach({ ...readAttach(fields), ...more, ...readWait(fields) }, gone);
      },
    },
    "/detach": {
      method: "POST",
      handle: (body) => api.detach(readAttach(readFields(body, ["target", "addresses"]))),
    },
    "/expose": {
      method: "POST",
      handle(body, gone) {
        const fields = readFields(body, ["addresses", "names", "masquerade", ...WAIT]);
        const texts = { addresses: readTexts(fields, "addresses"), names: readTexts(fields, "names") };
        const masquerade = fields["masquerade"] === undefined || readFlag(fields, "masquerade");
        return api.expose({ ...texts, masquerade, ...readWait(fields) }, gone);
      },
    },
    "/hide": {
      method: "POST",
      handle: (body) => api.hide({ addresses: readTexts(readFields(body, ["addresses"]), "addresses") }),
    },
    "/ps": { method: "GET", handle: () => api.holders() },
    "/ipam/allocate": {
      method: "POST",
      handle(body, gone) {
        const fields = readFields(body, ["holder", "subnet", ...WAIT]);
        const subnet = readOptional(fields, "subnet");
        return api.allocate({ holder: readHolder(fields), subnet, ...readWait(fields) }, gone);
      },
    },
    "/ipam/claim": {
      method: "POST",
      handle(body, gone) {
        const fields = readFields(body, ["holder", "address", ...WAIT]);
        const address = readOptional(fields, "address");
        if (address === null) refuse("The field address is missing", "Send ADDRESS/PREFIX as address");
        return api.claim({ holder: readHolder(fields), address, ...readWait(fields) }, gone);
      },
    },
    "/ipam/release": {
      method: "POST",
      handle(body) {
        const fields = readFields(body, ["holder", "address"]);
        return api.release({ holder: readHolder(fields), address: readOptional(fields, "address") });
      },
    },
    "/ipam/export": { method: "GET", handle: () => api.exportAddresses() },
    "/ipam/import": {
      method: "POST",
      handle(body, gone) {
        const fields = readFields(body, ["backup", "gone"]);
        return api.importAddresses({ backup: fields["backup"], gone: readTexts(fields, "gone") }, gone);
      },
    },
    "/prime": {
      method: "POST",
      handle: (body, gone) => api.prime(readWait(readFields(body, WAIT)), gone),
    },
    "/rmpeer": {
      method: "POST",
      handle(body, gone) {
        const fields = readFields(body, ["peers", ...WAIT]);
        return api.removePeers({ peers: readTexts(fields, "peers"), ...readWait(fields) }, gone);
      },
    },
    "/leave": { method: "POST", handle: () => api.leave() },
    "/dns": { method: "GET", handle: () => api.names() },
    "/dns/add": { method: "POST", handle: (body) => api.addName(readNameRequest(body)) },
    "/dns/remove": { method: "POST", handle: (body) => api.removeName(readNameRequest(body)) },
    "/dns/lookup": {
      method: "POST",
      handle: (body) => api.lookUpName({ name: readNameOf(readFields(body, ["name"])) }),
    },
    // Its end tells the client that the daemon has ended.
    "/stop": {
      method: "POST",
      handle: (body) => api.stop({ forGood: readFlag(readFields(body, ["forGood"]), "forGood") }),
      holds: true,
    },
  };
}

/** Fields of every request that may wait. */
const WAIT = ["noWait", "timeoutMs"];
/** Time-out of a request that names none, and the longest, in milliseconds. */
const PATIENCE_MS = { usual: 60_000, most: 24 * 3_600_000 };

function readWait(fields: RequestFields): WaitRequest {
  const timeoutMs = fields["timeoutMs"] ?? PATIENCE_MS.usual;
  if (typeof timeoutMs === "number" && timeoutMs >= 0 && timeoutMs <= PATIENCE_MS.most) {
    return { noWait: readFlag(fields, "noWait"), timeoutMs };
  }
  return refuse("The field timeoutMs is no time", `Send milliseconds, 0 to ${PATIENCE_MS.most}`);
}

function readHolder(fields: RequestFields): string {
  const holder = fields["holder"];
  // deno-lint-ignore no-control-regex -- control characters are what is refused
  if (isText(holder) && holder.length <= MAX_HOLDER && !/[\x00-\x20\x7f]/.test(holder)) return holder;
  return refuse(
    typeof holder === "string" && holder !== ""
      ? `Cannot use ${JSON.stringify(holder.slice(0, MAX_SHOWN))} as the name of a holder`
      : "The field holder is missing: the name of who gets addresses",
    `Give 1 to ${MAX_HOLDER} characters without blanks`,
  );
}

function readNameOf(fields: RequestFields): string {
  const name = fields["name"];
  refuseLong(name, "name");
  return isText(name) ? name : refuse("The field name is missing", "Send a name such as web as name");
}

function readNameRequest(body: unknown): NameRequest {
  const fields = readFields(body, ["name", "records", "order"]);
  return {
    name: readNameOf(fields),
    records: readTexts(fields, "records"),
    order: readOptional(fields, "order"),
  };
}

function readAttach(fields: RequestFields): DetachRequest {
  const target = fields["target"];
  refuseLong(target, "target");
  if (!isText(target)) refuse("The field target is missing", "Send netns:NAME, pid:N or a path as target");
  return { target, addresses: readTexts(fields, "addresses") };
}
