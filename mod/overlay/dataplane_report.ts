/** Everything to know about the data plane, gathered from its rooms. */
import type { Millis } from "../core/time.ts";
import type { FlowKeeper } from "./flows/flow_keeper.ts";
import type { MacTable } from "./flows/mac_table.ts";
import type { OverlayLinks } from "./links/overlay_links.ts";
import type { LoopGuard } from "./loops/loop_guard.ts";
import type { Network } from "./paths/network.ts";
import type { PortTable } from "./paths/port_table.ts";
import type { MutableCounters } from "./ports/counters.ts";
import type { DataplaneOptions, DataplaneReport } from "./ports/dataplane_types.ts";

/** What is asked. */
export interface ReportParts {
  readonly options: DataplaneOptions;
  readonly counters: MutableCounters;
  readonly keeper: FlowKeeper;
  readonly links: OverlayLinks;
  readonly loops: LoopGuard;
  readonly macs: MacTable;
  readonly network: Network;
  readonly ports: PortTable;
}

/** The report, as of now. */
export function reportOf(parts: ReportParts, now: Millis): DataplaneReport {
  const { counters, keeper, links, loops, macs, network, options, ports } = parts;
  const { kind, name, mtu, noFastdp, overlays } = options;
  const { size: flows, adopted } = keeper.table;
  const local = macs.localSize;
  const tunnels = overlays.includes("fastdp");
  return {
    datapath: {
      ...{ kind, tunnels, noFastdp, name, mtu, flows, adopted },
      ports: ports.report(),
      stopped: loops.stopped,
    },
    counters: {
      ...counters,
      heartbeatsSent: links.sent,
      heartbeatsReceived: links.received,
      dropped: { ...counters.dropped },
    },
    macs: { local, remote: macs.size - local },
    links: links.report(now),
    traffic: keeper.traffic.report(),
    held: network.held(now),
  };
}
