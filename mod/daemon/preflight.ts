/** What must hold before the daemon changes anything on this host. */
import { ERRNO } from "../core/errno.ts";
import { MeshnetError, messageOf } from "../core/errors.ts";
import type { Ip } from "../core/addr.ts";
import { CONTROL_SOCKET } from "../core/options.ts";

/** Capabilities that the daemon cannot do without, by bit (linux/capability.h). */
const NEEDED: readonly (readonly [bit: bigint, name: string, use: string])[] = [
  [12n, "CAP_NET_ADMIN", "to make interfaces and the datapath"],
  [13n, "CAP_NET_RAW", "to announce addresses"],
  [21n, "CAP_SYS_ADMIN", "to enter the namespaces of containers"],
];

/** What is checked. */
export interface PreflightOptions {
  /** TCP port of the mesh. */
  readonly port: number;
  /** Address to listen on; undefined: all. */
  readonly host: Ip | undefined;
  readonly runDir: string;
  /** Throws a MeshnetError that says why when this kernel has no usable datapath; changes nothing. Tells whether traffic
   * in user space is among what will be used. */
  probeDatapath(): { readonly userSpace: boolean };
  /** Opens a UDP socket on the mesh's port; throws a MeshnetError. */
  openUdp(): Disposable;
}

/** Checks everything, the cheapest first. Throws the MeshnetError of the first thing that is wrong. */
export async function preflight(options: PreflightOptions): Promise<void> {
  checkCapabilities(Deno.readTextFileSync("/proc/self/status"));
  await checkNoOtherRouter(options.runDir);
  checkPortFree(options.port, options.host);
  if (options.probeDatapath().userSpace) checkUdpPortFree(options);
}

/** Throws "up/not-permitted" unless the process of this /proc/N/status has the capabilities. */
export function checkCapabilities(status: string): void {
  const effective = /^CapEff:\s*([0-9a-f]{1,16})$/m.exec(status)?.[1];
  if (effective === undefined) {
    throw new MeshnetError(
      "up/not-permitted",
      "Cannot see this process's capabilities: /proc/self/status has no CapEff",
      {
        hint: "Mount /proc",
      },
    );
  }
  const has = BigInt(`0x${effective}`);
  const missing = NEEDED.filter(([bit]) => (has >> bit & 1n) === 0n);
  if (missing.length === 0) return;
  const list = missing.map(([, name, use]) => `${name} (${use})`).join(", ");
  throw new MeshnetError("up/not-permitted", `Cannot run without ${list}`, {
    hint: "Run meshnet as root, or as a service that has these capabilities",
  });
}

/** Throws "up/already-running" when a router answers at the control socket of the run folder. */
export async function checkNoOtherRouter(runDir: string): Promise<void> {
  const path = `${runDir}/${CONTROL_SOCKET}`;
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch {
    return; // nobody there, or a socket that a killed router left behind
  }
  throw new MeshnetError("up/already-running", `Cannot start: another router answers at ${path}`, {
    hint:
      "Stop it with `meshnet down`; or, for a second router in another network namespace, give this one its own " +
      "--run-dir and --state-dir",
  });
}

/** Throws "up/already-running" while another router works in this network namespace, whatever its folders and port are:
 * both would fight for one datapath. Holds the namespace until disposed of; the kernel lets go of it with the process. */
export function claimNamespace(datapath: string): Disposable {
  try {
    return Deno.listen({ transport: "unix", path: `\0meshnet/${datapath}` }); // abstract names are per namespace
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.AddrInUse)) throw thrown;
    throw new MeshnetError(
      "up/already-running",
      "Cannot start: another router works in this network namespace already",
      {
        hint: `Find it with: ss -xlp | grep @meshnet/; stop it with \`meshnet down\` and its --run-dir`,
        cause: thrown,
      },
    );
  }
}

/** Throws "up/port-taken" when nobody could listen on the port, "usage/bad-option" when the address is not ours. */
export function checkPortFree(port: number, host: Ip | undefined): void {
  const where = host === undefined ? `port ${port}` : `${host} port ${port}`;
  try {
    Deno.listen({ transport: "tcp", hostname: host ?? "0.0.0.0", port }).close();
  } catch (thrown) {
    if (thrown instanceof Deno.errors.AddrNotAvailable) {
      throw new MeshnetError(
        "usage/bad-option",
        `Cannot listen on ${host}: this host does not have that address`,
        {
          hint: "List the addresses of this host with `ip addr`",
          cause: thrown,
        },
      );
    }
    const taken = thrown instanceof Deno.errors.AddrInUse;
    const why = taken ? "another program uses it" : messageOf(thrown);
    throw new MeshnetError("up/port-taken", `Cannot listen on TCP ${where}: ${why}`, {
      hint: `See who does with: ss -ltnp 'sport = :${port}'; or choose another port with --port`,
      cause: thrown,
    });
  }
}

/** Throws "up/port-taken" when traffic in user space could not have its UDP port. */
export function checkUdpPortFree(
  { host, openUdp, port }: Pick<PreflightOptions, "host" | "openUdp" | "port">,
): void {
  try {
    openUdp()[Symbol.dispose]();
  } catch (thrown) {
    const taken = thrown instanceof MeshnetError && thrown.errno === ERRNO.EADDRINUSE;
    const where = host === undefined ? `port ${port}` : `${host} port ${port}`;
    throw new MeshnetError(
      "up/port-taken",
      `Cannot use UDP ${where}: ${taken ? "another program uses it" : messageOf(thrown)}`,
      {
        hint: `See who does with: ss -lunp 'sport = :${port}'; or choose another port with --port`,
        cause: thrown,
      },
    );
  }
}
