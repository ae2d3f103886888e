/** `meshnet rmpeer` */
import type { RemovePeersAnswer, RemovePeersRequest } from "../../control/address_types.ts";
import type { CommandRun } from "../command.ts";
import { json } from "../daemon_call.ts";
import { count } from "../render.ts";
import { callAndTell, waitsForConsent } from "../telling.ts";
import { waitRequest } from "../wait_request.ts";

/** Takes over from hosts that are gone for good. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const { answerMs: timeoutMs, wait } = waitRequest(invocation);
  const body: RemovePeersRequest = { peers: invocation.args, ...wait };
  const request = { method: "POST", path: "/rmpeer", body, timeoutMs } as const;
  const answer = await callAndTell<RemovePeersAnswer>(request, { invocation, io, waitsFor: waitsForConsent });
  if (invocation.on("json")) return io.out(json(answer));
  const { addresses } = answer;
  io.out(
    addresses === 0
      ? "Nothing to take over here: they own no addresses, or another host has taken them over.\n"
      : `This host took over ${addresses} ${addresses === 1 ? "address" : "addresses"} of ${
        count(answer.peers.length, "host")
      }.\n`,
  );
};
