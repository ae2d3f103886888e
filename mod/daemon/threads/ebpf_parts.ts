/** What the datapath of programs in the kernel is handed in a running daemon. */
import { BpfRing } from "../../../ffi/bpf_ring.ts";
import { BpfMap, idOfProgram, loadClassifier, mapsOfProgram, programById } from "../../../ffi/bpf.ts";
import type { Logger } from "../../core/ports.ts";
import type { BridgeParts } from "../../datapath/bridge_kernel_shell.ts";
import { EbpfDatapath } from "../../datapath/ebpf/ebpf_shell.ts";
import type { Machine } from "../../datapath/ebpf/machine.ts";
import type { HostLeg } from "../../datapath/host_leg.ts";
import type { UserSpace } from "../../datapath/tagged_links_shell.ts";
import { LINK_NOTICES, QDISC_NOTICES } from "../../wire/netlink/rtnetlink.ts";
import { openNetlinkIn } from "../host/netlink.ts";
import { possibleCpus } from "./ovs_adapters.ts";

/** The kernel's own machine. */
export const MACHINE: Machine = {
  createMap: (name, shape) => BpfMap.create(name, shape),
  mapById: (id) => BpfMap.byId(id),
  openRing: (map, size) => new BpfRing(map.fd, size),
  loadClassifier,
  programById,
  idOfProgram,
  mapsOfProgram,
};

/** Opens the datapath in this thread's network namespace. It owns `userSpace`. Throws what the kernel refuses. */
export function openEbpf(
  { bridge, leaveOther, leg, log, mended, userSpace }: {
    readonly bridge: BridgeParts;
    /** Makes room for the bridge, where another kind of switch has its name. */
    readonly leaveOther: () => void;
    readonly leg: HostLeg;
    readonly log: Logger;
    readonly mended: () => void;
    readonly userSpace: UserSpace;
  },
): EbpfDatapath {
  return EbpfDatapath.open({
    ...{ bridge, leaveOther, log, mended, userSpace, machine: MACHINE },
    route: openNetlinkIn({ protocol: "route" }),
    legOpen: () => leg.open,
    openNotices: () => openNetlinkIn({ protocol: "route", groups: [LINK_NOTICES, QDISC_NOTICES] }),
    cpus: possibleCpus(),
  });
}
