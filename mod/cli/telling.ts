/** Requests that may wait for other hosts: what they wait for is said meanwhile. */
import type { StatusReport } from "../control/api_types.ts";
import type { ControlRequest } from "../control/client.ts";
import { MeshnetError } from "../core/errors.ts";
import type { Invocation } from "./command.ts";
import { call } from "./daemon_call.ts";
import type { Io } from "./io.ts";
import { peerLabel, printable } from "./render.ts";

/** Whoever has waited for so long wonders. */
const PATIENCE_MS = 2_000;

/** What a request waits for, a sentence without full stop; undefined: nothing that is known. */
export type WaitsFor = (status: StatusReport) => string | undefined;

/** Sends a request. What it waits for goes to standard error after two seconds, and again when it is something else. */
export async function callAndTell<T>(
  request: ControlRequest & { readonly timeoutMs: number },
  around: { readonly invocation: Invocation; readonly io: Io; readonly waitsFor?: WaitsFor },
): Promise<T> {
  const { io, waitsFor = waitsForAddresses } = around;
  let isOver = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let said: string | undefined;
  const look = async (): Promise<void> => {
    const status = await call<StatusReport>({ method: "GET", path: "/status" }, around);
    const reason = waitsFor(status);
    if (isOver) return;
    if (reason !== undefined && reason !== said) io.err(printable(`waiting: ${reason}`) + "\n");
    said = reason;
  };
  const later = () => {
    timer = setTimeout(() => {
      look().catch((error) => {
        if (!(error instanceof MeshnetError)) throw error; // the request itself says what is wrong
      }).finally(() => {
        if (!isOver) later();
      });
    }, PATIENCE_MS);
  };
  later();
  try {
    return await call<T>(request, around);
  } finally {
    isOver = true;
    clearTimeout(timer);
  }
}

/** Why there are no addresses at once. */
function waitsForAddresses({ ipam }: StatusReport): string | undefined {
  return ipam === null || ipam.state === "idle" || ipam.state === "ready" || ipam.info === ""
    ? undefined
    : ipam.info;
}

/** Why hosts that are gone are not taken over from yet. */
export function waitsForConsent(status: StatusReport): string | undefined {
  const called = (peer: string) =>
    peerLabel({ peer, nickname: status.peers.find(({ name }) => name === peer)?.nickname ?? "" });
  const lines = (status.ipam?.removals ?? []).map(({ missing, nickname, peer }) =>
    missing.length === 0
      ? `${nickname || peer} is being taken over from`
      : `${missing.map(called).join(", ")} must agree that ${nickname || peer} is gone for good`
  );
  return lines.length === 0 ? waitsForAddresses(status) : lines.join("; ");
}
