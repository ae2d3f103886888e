/** Answers of a daemon that is older than the command that asked: what it does not say yet is empty. Pure. */
import type { AttachAnswer, AttachmentReport, StatusReport } from "./api_types.ts";
import type { ExposeAnswer, HolderReport } from "./address_types.ts";
import type { HistoryReport } from "./history_types.ts";
import type { LookupAnswer, NameReport } from "./name_types.ts";

/** What stands in for a part of an answer that is missing: null where the type allows that. A list stands for its items: its one
 * element says what is put into each item that lacks something. */
type Blank<T> = null extends T ? [NonNullable<T>] extends [object] ? OrNull<Blank<NonNullable<T>>> : null
  : T extends readonly (infer Item)[] ? readonly Blank<Item>[]
  : T extends object ? { readonly [Key in keyof T]: Blank<T[Key]> }
  : T;

/** Null where it is missing; where it is there, it may lack something itself. */
class OrNull<T> {
  constructor(readonly blank: T) {}
}

const HEALTH = new OrNull({ check: "", healthy: null, forMs: null, reason: null });

const ATTACHMENT: Blank<AttachmentReport> = {
  ...{ target: "", name: null, interface: "", hostInterface: "", mac: null },
  ...{ addresses: [], names: [], attached: true, problem: null },
};

const EXPOSED = [{ address: "", masquerade: true }] as const;

const CARRIED = { receivedPackets: 0, receivedBytes: 0, sentPackets: 0, sentBytes: 0 };
const TRAFFIC = new OrNull({ fastdp: CARRIED, sleeve: CARRIED });

const STATUS: Blank<StatusReport> = {
  ...{ name: "", nickname: "", formerName: null, version: "", uid: "0", pid: 0, uptimeMs: 0 },
  protocol: { name: "weave", min: 0, max: 0 },
  ...{ port: 0, encryption: false, peerDiscovery: true, trustedSubnets: [], targets: [] },
  targetStates: [{
    ...{ target: "", from: "", state: "", info: "" },
    ...{ address: null, peer: null, retryInMs: null },
  }],
  connections: [{
    ...{
      peer: null,
      nickname: null,
      address: "",
      outbound: false,
      wanted: false,
      state: "pending",
      info: "",
    },
    ...{ overlay: null, mtu: null, peerMtu: null, encrypted: false },
    ...{ rttMs: null, rttAgeMs: null, silentMs: null, traffic: TRAFFIC, retryInMs: null },
  }],
  lost: [{ peer: "", nickname: null, address: "", reason: "", agoMs: 0 }],
  refused: [{ address: "", peer: null, nickname: null, reason: "", count: 1, agoMs: 0 }],
  peers: [{
    ...{ name: "", nickname: "", uid: "0", shortId: null, version: 0 },
    connections: [{ peer: "", nickname: "", address: "", outbound: false, established: false }],
    traffic: TRAFFIC,
  }],
  datapath: { kind: "", noFastdp: null, mtu: null, ports: 0, flows: 0, tooLarge: 0, overruns: 0 },
  firewall: { mode: "off", rules: [], undone: 0, undoneAgoMs: null },
  engine: new OrNull({ socket: "", version: null, api: null, info: "", containers: 0 }),
  attachments: [ATTACHMENT],
  exposed: EXPOSED,
  ipam: new OrNull({
    ...{ range: "", subnet: "", state: "", info: "", addresses: 0, active: 0 },
    owners: [{ peer: "", nickname: "", reachable: true, addresses: 0, free: 0, percent: 0 }],
    waiting: [{ holder: "", wants: "" }],
    inUse: [{ address: "", mac: null, host: null, by: "" }],
    removals: [{ peer: "", nickname: "", heir: null, missing: [] }],
  }),
  dns: new OrNull({
    ...{ domain: "", address: null, order: "balanced", ttl: null, upstream: new OrNull([]), forward: [] },
    servers: new OrNull([{
      ...{
        address: "",
        domain: null,
        state: "unknown",
        answeredAgoMs: null,
        silentMs: null,
        unreachable: false,
      },
    }]),
    listen: [{ address: "", listening: true }],
    counters: new OrNull({
      ...{ queries: 0, answered: 0, unknown: 0, forwarded: 0, cached: 0 },
      ...{ failed: 0, spoofed: 0, malformed: 0, limited: 0, refused: 0 },
    }),
    probed: [{ target: "", check: "", healthy: null, forMs: null, reason: null, trouble: null }],
    ...{ entries: 0, own: 0 },
  }),
  problems: [{ message: "", hint: null }],
};

const HOLDERS: Blank<readonly HolderReport[]> = [
  { holder: "", name: null, attached: true, addresses: [], names: [], health: HEALTH, trouble: null },
];

const HISTORY: Blank<readonly HistoryReport[]> = [{
  ...{ at: "", event: "started", peer: null, nickname: null, target: null },
  ...{ address: null, overlay: null, reason: null, leftOut: 0 },
}];

const NAMES: Blank<readonly NameReport[]> = [{
  ...{ name: "", type: "", record: "", container: "", peer: "", nickname: "" },
  ...{ answered: null, healthy: true, health: HEALTH, trouble: null, keptMs: null },
}];

const LOOKUP: Blank<LookupAnswer> = { name: "", records: NAMES };

const ATTACHED: Blank<AttachAnswer> = {
  ...{ target: "", addresses: [], attachment: new OrNull(ATTACHMENT), warnings: [] },
};

const EXPOSURE: Blank<ExposeAnswer> = { addresses: [], exposed: EXPOSED, names: [], warnings: [] };

/** The answers that commands read; all others are taken as they come. */
const ANSWERS: Readonly<Record<string, unknown>> = {
  "/status": STATUS,
  "/ps": HOLDERS,
  "/history": HISTORY,
  "/dns": NAMES,
  "/dns/lookup": LOOKUP,
  "/attach": ATTACHED,
  "/detach": ATTACHED,
  "/expose": EXPOSURE,
  "/hide": EXPOSURE,
};

/** An answer with what it lacks. What it says stays, also what is not known here: it may come from a newer daemon. */
export function completed(path: string, answer: unknown): unknown {
  const blank = ANSWERS[path];
  return blank === undefined ? answer : fill(blank, answer);
}

function fill(blank: unknown, given: unknown): unknown {
  if (blank instanceof OrNull) return given === undefined || given === null ? null : fill(blank.blank, given);
  if (given === undefined) return isObject(blank) ? fill(blank, {}) : Array.isArray(blank) ? [] : blank;
  if (Array.isArray(blank)) {
    return Array.isArray(given) && blank.length > 0 ? given.map((item) => fill(blank[0], item)) : given;
  }
  if (!isObject(blank) || !isObject(given)) return given;
  return {
    ...given,
    ...Object.fromEntries(Object.entries(blank).map(([key, part]) => [key, fill(part, given[key])])),
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
