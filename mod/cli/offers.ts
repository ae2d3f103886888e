/** The words that shells offer at a Tab and only the daemon knows. Not in the table of commands: only completion scripts
 * ask. */
import type { StatusReport } from "../control/api_types.ts";
import type { NameReport } from "../control/name_types.ts";
import { callDaemon } from "../control/client.ts";
import { DEFAULT_RUN_DIR, envName } from "../core/options.ts";
import type { OFFERED } from "./commands_host.ts";
import type { Io } from "./io.ts";

/** Somebody waits with a finger on the key. */
const TIMEOUT_MS = 2_000;
const MOST = 1_000;
/** Nicknames come from other hosts: what a shell could take for more than a word is not offered. */
const PLAIN = /^[A-Za-z0-9_/][A-Za-z0-9_.:/@-]*$/;

/** Gives the answer to a request of method GET. */
type Get = <T>(path: string) => Promise<T>;

const others = ({ name, peers }: StatusReport) =>
  peers.filter((peer) => peer.name !== name).map((peer) => peer.nickname || peer.name);

const READ: Readonly<
  Record<typeof OFFERED[number], (status: StatusReport, get: Get) => readonly string[] | Promise<string[]>>
> = {
  attached: ({ attachments }) => attachments.map(({ name, target }) => name ?? target),
  targets: ({ targets }) => targets,
  hosts: (status) => [...others(status), ...status.targets],
  places: async (status, get) => {
    const names = status.dns === null ? [] : await get<readonly NameReport[]>("/dns");
    return [...others(status), ...names.map(({ name }) => name)];
  },
  lost: ({ ipam }) =>
    (ipam?.owners ?? []).filter(({ reachable }) => !reachable).map(({ nickname, peer }) => nickname || peer),
};

/** Prints what there is of a kind, a word in a line. Without an answer it prints nothing, and says nothing of it. */
export async function offer(kind: string | undefined, io: Io): Promise<number> {
  const read = kind !== undefined && Object.hasOwn(READ, kind) ? READ[kind as keyof typeof READ] : undefined;
  if (read === undefined) return 0;
  const runDir = io.env(envName("run-dir")) ?? DEFAULT_RUN_DIR;
  try {
    const get: Get = (path) => callDaemon({ method: "GET", path }, { runDir, timeoutMs: TIMEOUT_MS });
    for (const word of wordsOf(await read(await get("/status"), get))) io.out(`${word}\n`);
  } catch { /* a Tab without an answer is no error */ }
  return 0;
}

/** The words that may be offered, each once. */
export function wordsOf(all: readonly string[]): readonly string[] {
  return [...new Set(all)].filter((word) => PLAIN.test(word)).sort().slice(0, MOST);
}
