/** Whether this process has the rights that it needs. */
import { MeshnetError } from "../../core/errors.ts";

/** Capabilities that the daemon cannot do without, by bit (linux/capability.h). */
const NEEDED: readonly (readonly [bit: bigint, name: string, use: string])[] = [
  [12n, "CAP_NET_ADMIN", "to make interfaces and the datapath"],
  [13n, "CAP_NET_RAW", "to announce addresses"],
  [21n, "CAP_SYS_ADMIN", "to enter the namespaces of containers"],
];

/** The text of /proc/PID/status, of this process unless another one is given; undefined where it cannot be read. */
export function processStatus(pid = Deno.pid): string | undefined {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/status`);
  } catch {
    return undefined;
  }
}

/** "up/not-permitted" unless the process of this /proc/N/status has the capabilities. */
export function missingCapabilities(status: string | undefined): MeshnetError | undefined {
  const effective = /^CapEff:\s*([0-9a-f]{1,16})$/m.exec(status ?? "")?.[1];
  if (effective === undefined) {
    const why = status === undefined ? "/proc/self/status cannot be read" : "/proc/self/status has no CapEff";
    return new MeshnetError("up/not-permitted", `Cannot see this process's capabilities: ${why}`, {
      hint: "Mount /proc: mount -t proc proc /proc",
    });
  }
  const has = BigInt(`0x${effective}`);
  const missing = NEEDED.filter(([bit]) => (has >> bit & 1n) === 0n);
  if (missing.length === 0) return undefined;
  const list = missing.map(([, name, use]) => `${name} (${use})`).join(", ");
  return new MeshnetError("up/not-permitted", `Cannot run without ${list}`, {
    hint: "Run meshnet as root, or as a service that has these capabilities",
  });
}
