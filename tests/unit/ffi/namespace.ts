/** Network namespaces of tests of native code. */
import { command, hasProgram } from "../../../mod/tasks/run.ts";

/** The name of the namespace. */
export const NETNS: string = `meshnet-ffi-test-${Deno.pid}`;

/** Its path. */
export const NETNS_PATH: string = `/run/netns/${NETNS}`;

/** Runs the ip tool; whether it succeeded. */
export function ip(...args: string[]): boolean {
  return command(["ip", ...args], { stdout: "null", stderr: "null" }).outputSync().success;
}

/** Runs in a network namespace of its own; false when there may be none. */
export function withNetns(body: () => void): void {
  if (!hasProgram("ip") || !ip("netns", "add", NETNS)) return;
  try {
    body();
  } finally {
    ip("netns", "del", NETNS);
  }
}

/** Whether this host lets us have namespaces and TAPs. */
export const possible: boolean = Deno.uid() === 0 && hasProgram("ip") && ip("netns", "list") &&
  exists("/dev/net/tun");

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
