/** What the Open vSwitch datapath is handed in a running daemon. */
import { DatagramBatch } from "../../../ffi/datagram_batch.ts";
import { NlSocket } from "../../../ffi/nl_socket.ts";
import { inNetns } from "../../../ffi/netns.ts";
import { interfaceIndex } from "../../../ffi/process.ts";
import type { Logger } from "../../core/ports.ts";
import type { OvsAdapters, UpcallSocket } from "../../overlay/ports/datapath_port.ts";
import { LINK_NOTICES, QDISC_NOTICES } from "../../wire/netlink/rtnetlink.ts";
import { NETLINK_CODEC } from "../../wire/netlink/netlink_reply.ts";
import { type NetlinkUse, openNetlinkIn } from "../host/netlink.ts";

/** Room for misses that come faster than they are answered, in octets. */
const UPCALL_BUFFER = 8 * 1024 * 1024;
/** A frame of 64 KiB with its key fits into each. */
const UPCALL_SLOT = 72 * 1024;
const UPCALL_SLOTS = 32;

/** A netlink socket that receives many datagrams at once. */
class BatchedSocket extends NlSocket implements UpcallSocket {
  readonly #batch = new DatagramBatch(UPCALL_SLOTS, UPCALL_SLOT);
  readonly batchSize = UPCALL_SLOTS;

  receiveBatch(): readonly Uint8Array[] {
    return this.#batch.receive(this.fd);
  }
}

/** How many CPUs the kernel may ever use. */
export function possibleCpus(): number {
  try {
    const last = /(\d+)\s*$/.exec(Deno.readTextFileSync("/sys/devices/system/cpu/possible"));
    if (last !== null) return Number(last[1]) + 1;
  } catch {
    // No sysfs: what this process may use has to do.
  }
  return navigator.hardwareConcurrency;
}

/** Sockets in the network namespace at `netns`, or in that of this thread. */
export function ovsAdapters({ log, netns }: { readonly log: Logger; readonly netns?: string }): OvsAdapters {
  const within = <T>(make: () => T): T => netns === undefined ? make() : inNetns(netns, make);
  const open = (use: NetlinkUse) => within(() => openNetlinkIn(use));
  const upcalls = {
    protocol: "generic",
    receiveBuffer: UPCALL_BUFFER,
    ignoreOverrun: true,
    echoErrors: true,
  } as const;
  return {
    openControl: () => open({ protocol: "generic" }),
    openUpcalls: () => within(() => new BatchedSocket({ ...upcalls, codec: NETLINK_CODEC })),
    openNotices: (groups) => open({ protocol: "generic", groups }),
    openLinkNotices: () => open({ protocol: "route", groups: [LINK_NOTICES, QDISC_NOTICES] }),
    openRoute: () => open({ protocol: "route" }),
    interfaceIndex: (name) => within(() => interfaceIndex(name)),
    cpus: possibleCpus(),
    log,
  };
}
