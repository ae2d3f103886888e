/** `meshnet wait` */
import { reachedPeers } from "../../control/health.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { CommandRun, Invocation } from "../command.ts";
import { count } from "../render.ts";
import { waitRequest } from "../wait_request.ts";
import { waitUntil } from "../waiting.ts";

const MOST_PEERS = 100_000;

/** Waits until the network is as asked. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const wish = { peers: peersOf(invocation), connected: hostsOf(invocation) };
  const { wait: { timeoutMs } } = waitRequest(invocation);
  const report = await waitUntil(wish, { invocation, io, timeoutMs, alsoForDaemon: true });
  io.out(`${count(reachedPeers(report).size, "other host")} reached.\n`);
};

function peersOf(invocation: Invocation): number | undefined {
  const text = invocation.text("peers");
  if (text === undefined) return undefined;
  if (/^[0-9]{1,6}$/.test(text) && Number(text) <= MOST_PEERS) return Number(text);
  throw new MeshnetError("usage/bad-option", `Cannot use --peers: value is ${JSON.stringify(text)}`, {
    hint: `Give the number of other hosts, 0 to ${MOST_PEERS}`,
  });
}

function hostsOf(invocation: Invocation): readonly string[] {
  const text = invocation.text("connected");
  if (text === undefined) return [];
  const hosts = text.split(",").map((host) => host.trim());
  if (!hosts.includes("")) return hosts;
  throw new MeshnetError("usage/bad-option", `Cannot use --connected: value is ${JSON.stringify(text)}`, {
    hint: "Give hosts as `meshnet status targets` or `meshnet status peers` shows them, with commas between",
  });
}
