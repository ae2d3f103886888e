/** `deno task bench sleeve`: user-space links against each other, the kernel's and those of others, round by round. */
import { EXTENSION } from "../../mod/overlay/ports/sleeve_port.ts";
import { type Bars, measure, type Round, type Row, serve, summarise } from "./sleeve_measure.ts";
import * as rivals from "./sleeve_rivals.ts";

const ROUNDS = 5;
/** What the others are measured in. */
const UNIT = "nebula";

interface Entry {
  readonly name: string;
  readonly open: () => Promise<rivals.Candidate>;
  readonly bars?: Bars;
}

/** Without this extension a link between our own falls back to the cipher of the original. */
const NO_GCM = { MESHNET_WITHOUT: EXTENSION.gcm };
const password = "a password for the bench";
/** Another executable, to be measured beside the one that was built. */
const before = Deno.env.get("MESHNET_BEFORE");
const earlier: readonly Entry[] = before === undefined ? [] : [
  {
    name: "before: meshnet sleeve, plain",
    open: () => rivals.sleeve("oldplain", { program: [before] }),
  },
  {
    name: "before: meshnet sleeve, AES-GCM",
    open: () => rivals.sleeve("oldgcm", { password, program: [before] }),
  },
];
const ENTRIES: readonly Entry[] = [
  ...earlier,
  { name: "bare veth", open: rivals.bareCable },
  { name: "kernel VXLAN + bridge", open: rivals.kernelTunnel },
  { name: "meshnet ebpf", open: rivals.ebpf },
  {
    name: "meshnet sleeve, plain",
    open: () => rivals.sleeve("plain", {}),
    bars: { tcpOfNebula: 6, cpu: 4, likeNebula: true },
  },
  {
    name: "meshnet sleeve, AES-GCM",
    open: () => rivals.sleeve("gcm", { password }),
    bars: { tcpOfNebula: 4.5 },
  },
  {
    name: "meshnet sleeve, NaCl",
    open: () => rivals.sleeve("nacl", { password, environment: NO_GCM }),
    bars: { tcpOfNebula: 3 },
  },
  { name: UNIT, open: rivals.nebula },
  { name: "wireguard-go", open: rivals.wireguardGo },
  { name: "tinc", open: rivals.tinc },
];

/** Measures and gives what to print; `only` chooses candidates whose name contains one of the words. */
export async function compareSleeve(
  only: readonly string[] = [],
  rounds: number = ROUNDS,
): Promise<
  { readonly table: string; readonly missed: readonly string[]; readonly failed: readonly string[] }
> {
  await using stack = new AsyncDisposableStack();
  const failed: string[] = [];
  const open: { entry: Entry; candidate: rivals.Candidate; rounds: (Round | undefined)[] }[] = [];
  for (
    const entry of ENTRIES.filter(({ name }) => only.length === 0 || only.some((word) => name.includes(word)))
  ) {
    try {
      const candidate = stack.use(await entry.open());
      stack.use(serve(candidate));
      open.push({ entry, candidate, rounds: [] });
    } catch (error) {
      failed.push(`${entry.name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  for (let round = 0; round < rounds; round++) {
    // Another one begins each time, so that none always follows the same.
    for (let i = 0; i < open.length; i++) {
      const { entry, candidate, rounds: done } = open[(round + i) % open.length]!;
      try {
        done[round] = await measure(candidate);
        console.log(`round ${round + 1}, ${entry.name}: ${JSON.stringify(done[round], shorten)}`);
      } catch (error) {
        done[round] = undefined;
        failed.push(`${entry.name}, round ${round + 1}: ${error instanceof Error ? error.message : error}`);
      }
    }
  }
  const rows: Row[] = open.filter(({ rounds }) => rounds.some((round) => round !== undefined))
    .map(({ entry, rounds }) => ({ name: entry.name, bars: entry.bars ?? {}, rounds }));
  return { ...summarise(rows, UNIT), failed };
}

function shorten(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(4)) : value;
}
