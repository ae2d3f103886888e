/** The user-space engine alone, beside nebula: `deno run -A tests/bench/sleeve_tap.ts [ROUNDS] [NAME...]`. No mesh and no
 * containers: two hosts, each with a TAP and one process (sleeve_end.ts), so that it shows what the engine can do. Without
 * a built program: `LAB_PROGRAM='["true"]'`. */
import { Container } from "../lab/common/container.ts";
import { Background, exec, FOLDER, ip, until } from "../lab/common/process.ts";
import { World } from "../lab/common/world.ts";
import { measure, type Round, serve, summarise } from "./sleeve_measure.ts";
import { type Candidate, nebula } from "./sleeve_rivals.ts";

const [count = "3", ...only] = Deno.args;
const ENTRIES: readonly { name: string; open: () => Promise<Candidate> }[] = [
  { name: "plain", open: () => engine("plain", "partial") },
  { name: "plain, whole checksums", open: () => engine("plain", "whole") },
  { name: "AES-GCM", open: () => engine("gcm", "partial") },
  { name: "NaCl", open: () => engine("nacl", "partial") },
  { name: "nebula", open: nebula },
];

/** Two ends of a link. */
async function engine(cipher: string, checksums: string): Promise<Candidate> {
  const prefix = `mne${Deno.pid}-${cipher}${checksums[0]}`;
  const world = await World.create({ hosts: 2, direct: true, openvswitch: false, prefix });
  const program = new URL("sleeve_end.ts", import.meta.url).pathname;
  const [one, two] = [world.host(1), world.host(2)];
  const start = (self: number, netns: string, remote: string) => {
    const argv = [
      Deno.execPath(),
      "run",
      "-A",
      "--no-check",
      program,
      String(self),
      remote,
      cipher,
      checksums,
    ];
    return new Background(argv, `${FOLDER}/${netns}/end.log`, { netns });
  };
  const ends = [start(0, one.netns, two.address), start(1, two.netns, one.address)];
  const mtu = cipher === "plain" ? "1438" : "1414";
  for (const [i, { netns }] of world.hosts.entries()) {
    await until("an end is ready", () => ends[i]!.output().includes("ready"));
    await ip([`addr add 10.5.1.${i + 1}/24 dev mesh-tap`, `link set mesh-tap mtu ${mtu} up`], netns);
  }
  const containers = world.hosts.map(({ netns }, i) => {
    const container = new Container(netns);
    container.addresses = [`10.5.1.${i + 1}`];
    return container;
  });
  const dispose = async () => {
    for (const end of ends) end.kill("SIGTERM");
    for (const end of ends) await end.ended();
    await world[Symbol.asyncDispose]();
  };
  const [from, to] = containers as [Container, Container];
  const hosts = world.hosts.map(({ netns }) => netns);
  return { from, to, hosts, daemons: ends.map(({ pid }) => pid), [Symbol.asyncDispose]: dispose };
}

await exec(["mkdir", "-p", FOLDER]);
await using stack = new AsyncDisposableStack();
const rows: { name: string; candidate: Candidate; rounds: Round[] }[] = [];
for (const { name, open } of ENTRIES.filter((entry) => only.length === 0 || only.includes(entry.name))) {
  const candidate = stack.use(await open());
  stack.use(serve(candidate));
  rows.push({ name, candidate, rounds: [] });
}
for (let round = 0; round < Number(count); round++) {
  for (const { name, candidate, rounds } of rows) {
    rounds.push(await measure(candidate));
    console.log(`round ${round + 1}, ${name}: ${JSON.stringify(rounds.at(-1))}`);
  }
}
console.log(summarise(rows.map(({ name, rounds }) => ({ name, rounds, bars: {} })), "nebula").table);
