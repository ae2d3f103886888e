/** Who has a port of this network namespace. */
import type { PortHolder } from "../../doctor/check_causes.ts";
import { readTextIfReadable } from "../../sys/files.ts";
import { ownerOf } from "./socket_owner.ts";

/** A TCP socket that listens, and a UDP socket that hears of everybody, as the kernel's tables write their states. */
const HOLDS: Readonly<Record<"tcp" | "udp", string>> = { tcp: "0A", udp: "07" };

/** The program that has a port, over UDP or TCP, as people know it: `dnsmasq (process 812)`; undefined when it cannot be
 * seen. A socket of IPv6 may hold the port of IPv4 as well. */
export function portOwner(
  port: number,
  family: "ipv4" | "ipv6",
  read: (path: string) => string | undefined = readTextIfReadable,
): string | undefined {
  return portHolder(port, family, read)?.name;
}

/** The same, with its process id; `transports`: over which it may be. */
export function portHolder(
  port: number,
  family: "ipv4" | "ipv6",
  read: (path: string) => string | undefined = readTextIfReadable,
  transports: readonly ("udp" | "tcp")[] = ["udp", "tcp"],
): PortHolder | undefined {
  for (const transport of transports) {
    for (const table of family === "ipv4" ? [transport, `${transport}6`] : [`${transport}6`, transport]) {
      for (const inode of holdersIn(read(`/proc/net/${table}`) ?? "", port, HOLDS[transport])) {
        const pid = ownerOf({ inode })?.pid;
        if (pid === undefined) continue;
        const name = read(`/proc/${pid}/comm`)?.trim();
        return {
          pid,
          name: name === undefined || name === "" ? `process ${pid}` : `${name} (process ${pid})`,
        };
      }
    }
  }
  return undefined;
}

/** Inodes of the sockets that hold a port. */
function holdersIn(table: string, port: number, state: string): readonly string[] {
  const end = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return table.split("\n").slice(1).flatMap((line) => {
    const [, local, , is, , , , , , inode] = line.trim().split(/\s+/);
    return local?.endsWith(end) === true && is === state && inode !== undefined ? [inode] : [];
  });
}
