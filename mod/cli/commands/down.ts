/** `meshnet down` */
import type { StopAnswer } from "../../control/api_types.ts";
import type { CommandRun } from "../command.ts";
import { call } from "../daemon_call.ts";

/** Stops the daemon; the answer ends when its process has. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const request = { method: "POST", path: "/stop", body: {}, timeoutMs: 30_000 } as const;
  io.out(stoppedText(await call<StopAnswer>(request, { invocation, io })));
};

/** What goes on without the daemon, and what does not. A daemon of an earlier release does not count. */
export function stoppedText({ answeredNames = false, peersThroughDaemon = 0 }: Partial<StopAnswer>): string {
  const names = "Until `meshnet up`, this host answers no names: look-ups of its containers hang.\n";
  return `${trafficText(peersThroughDaemon)}${answeredNames ? names : ""}`;
}

function trafficText(peers: number): string {
  if (peers === 0) {
    return "Stopped. Containers keep talking: interfaces and kernel flows stay until `meshnet reset`.\n";
  }
  const whom = peers === 1 ? "the peer" : `the ${peers} peers`;
  return `Stopped. Containers of this host keep talking to each other. Those of ${whom} that traffic reached through ` +
    "the daemon (overlay sleeve) are cut off until `meshnet up`.\n";
}
