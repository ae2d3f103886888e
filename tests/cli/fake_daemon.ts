/** A daemon that answers with an example, for tests of commands. */
import type { StatusReport } from "../../mod/control/api_types.ts";
import type { ControlApi } from "../../mod/control/routes.ts";
import type { HistoryReport } from "../../mod/control/history_types.ts";
import type { NameReport } from "../../mod/control/name_types.ts";
import { startControlServer } from "../../mod/control/server.ts";
import { EXAMPLE } from "../unit/control/example_status.ts";
import { meshnet, withFolder } from "./run_meshnet.ts";

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
/** What it was asked to do, in order. */
export const asked: unknown[] = [];
const answered = (holder: string) => Promise.resolve({ holder, addresses: ["10.32.0.7/12"] });
const FAILED = { check: "http:80/ready", healthy: false, forMs: 12_400, reason: "HTTP status 503" } as const;

const USUAL = { trouble: null, keptMs: null } as const;

/** What it knows of names. */
export const NAMES: readonly NameReport[] = [
  {
    ...{ name: "web", type: "A", record: "10.32.0.1", container: "netns:web", healthy: false },
    ...{ peer: "8a:3e:11:02:9c:01", nickname: "host1", health: FAILED, answered: true, ...USUAL },
  },
  {
    ...{ name: "web", type: "A", record: "10.32.0.9", container: "netns:b", healthy: false },
    ...{ peer: "8a:3e:11:02:9c:02", nickname: "", health: null, answered: true, ...USUAL },
  },
  {
    ...{ name: "db", type: "A", record: "10.32.0.2", container: "db", healthy: false },
    ...{ peer: "8a:3e:11:02:9c:01", nickname: "host1", health: null, answered: false },
    ...{ trouble: "paused", keptMs: null },
  },
  {
    ...{ name: "db", type: "A", record: "10.32.0.3", container: "db2", healthy: true },
    ...{ peer: "8a:3e:11:02:9c:03", nickname: "host3", health: null, answered: true },
    ...{ trouble: null, keptMs: 41_700 },
  },
  {
    ...{ name: "h1.host", type: "A", record: "10.32.0.8", container: "meshnet:host", healthy: true },
    ...{ peer: "8a:3e:11:02:9c:01", nickname: "host1", health: null, answered: true, ...USUAL },
  },
  {
    ...{
      name: "www",
      type: "CNAME",
      record: "cname:web.mesh.internal.",
      container: "weave:extern",
      healthy: true,
    },
    ...{ peer: "8a:3e:11:02:9c:02", nickname: "", health: null, answered: true, ...USUAL },
  },
];
const QUIET = { nickname: null, target: null, address: null, overlay: null, reason: null, leftOut: 0 };
/** What happened lately. */
export const HISTORY: readonly HistoryReport[] = [
  { ...QUIET, at: "2026-01-31T12:00:00.000Z", event: "started", peer: null },
  {
    ...QUIET,
    ...{ at: "2026-01-31T12:00:01.500Z", event: "connected", peer: "8a:3e:11:02:9c:02" },
    ...{ nickname: "host2", address: "192.0.2.2:6783" },
  },
  {
    ...QUIET,
    ...{ at: "2026-01-31T12:00:02.500Z", event: "overlay", peer: "8a:3e:11:02:9c:02", leftOut: 3 },
    ...{
      nickname: "host2",
      address: "192.0.2.2:6783",
      overlay: "sleeve",
      reason: "no fastdp: UDP 6784 is blocked",
    },
  },
  { ...QUIET, at: "2026-01-31T13:00:00.000Z", event: "attached", peer: null, target: "netns:web" },
  {
    ...QUIET,
    ...{ at: "2026-01-31T14:00:00.000Z", event: "disconnected", peer: "8a:3e:11:02:9c:02" },
    ...{ nickname: "host2", address: "192.0.2.2:6783", reason: "nothing was heard for 60 s" },
  },
];
const exposedAs = (...addresses: string[]) =>
  Promise.resolve({
    addresses: ["10.2.1.254/24"],
    exposed: addresses.map((address) => ({ address, masquerade: true })),
    names: addresses.length === 0 ? [] : ["h1.host", "a"],
    warnings: addresses.length === 0 ? [] : ["w"],
  });
/** What it does. */
export const api: ControlApi = {
  status: () => EXAMPLE,
  report: () => ({ status: EXAMPLE, config: {}, host: {}, details: {} }),
  docker: () => ({ proxy: ["unix:///run/meshnet/docker.sock"] }),
  daemon: () => ({ pid: 1, stateDir: "/nonexistent", netns: "net:[1]" }),
  doctor: () => Promise.resolve({ healthy: true, daemon: true, faults: [], checks: ["connections"] }),
  check: ({ host }) => Promise.resolve({ host, address: null, peer: null, good: true, lines: [] }),
  path: (request) => (
    asked.push(request),
      Promise.resolve({ from: null, to: null, ms: null, hops: [], reached: true, verdict: "" })
  ),
  connect: (request) => (asked.push(request), { targets: request.targets }),
  forget: (request) => (asked.push(request), { targets: [] }),
  attach: (
    request,
  ) => (asked.push(request), { ...request, attachment: EXAMPLE.attachments[0]!, warnings: ["w"] }),
  detach: (request) => (asked.push(request), { ...request, attachment: null, warnings: [] }),
  expose: (request) => (asked.push(request), exposedAs("10.2.1.254/24")),
  hide: (request) => (asked.push(request), exposedAs()),
  holders: () => [
    {
      holder: "netns:web",
      name: null,
      attached: true,
      addresses: ["10.32.0.1/12"],
      names: ["web", "www.shop"],
      ...{ health: FAILED, trouble: null },
    },
    {
      ...{ holder: `container:${"4f".repeat(32)}`, name: "db", attached: true },
      ...{ addresses: ["10.32.0.2/12"], names: ["db"], health: null, trouble: "paused" },
    },
    {
      holder: "printer",
      name: null,
      attached: false,
      addresses: ["10.32.0.2/12", "10.32.1.1/24"],
      names: [],
      ...{ health: null, trouble: null },
    },
  ],
  allocate: (request) => (asked.push(request), answered(request.holder)),
  claim: (request) => (asked.push(request), answered(request.holder)),
  release: (request) => (asked.push(request), answered(request.holder)),
  exportAddresses: () => ({ format: "meshnet addresses" }),
  importAddresses: (request) => (
    asked.push(request),
      Promise.resolve({
        shares: true,
        restored: 2,
        left: [{ holder: "c", address: "10.32.0.3/12", why: "why" }],
        gone: ["02:00:00:00:00:03", "02:00:00:00:00:04"],
      })
  ),
  prime: (request) => (asked.push(request), Promise.resolve({ done: true })),
  removePeers: (request) => (asked.push(request), Promise.resolve({ peers: request.peers, addresses: 512 })),
  leave: () => Promise.resolve({ done: true }),
  history: () => HISTORY,
  names: () => NAMES,
  addName: (request) => (asked.push(request), { name: "web.mesh.internal", records: request.records }),
  removeName: (request) => (asked.push(request), { name: "web.mesh.internal", records: [] }),
  lookUpName: (request) => (asked.push(request), { name: "web.mesh.internal", records: NAMES.slice(0, 2) }),
  stop: () => ({ pid: 1, peersThroughDaemon: 0, answeredNames: false }),
};

/** Runs `test` beside a daemon that answers with the example, or with the states that are given, one after the other. */
export function withDaemon(
  test: (run: (...args: string[]) => ReturnType<typeof meshnet>, runDir: string) => Promise<void>,
  ...states: readonly StatusReport[]
): Promise<void> {
  let answers = 0;
  const status = () => states[Math.min(answers++, states.length - 1)] ?? EXAMPLE;
  return withFolder(async (runDir) => {
    await using _server = await startControlServer({ ...api, status }, { runDir, logger: quiet });
    await test((...args) => meshnet(args, { MESHNET_RUN_DIR: runDir }), runDir);
  });
}
