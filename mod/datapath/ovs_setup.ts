/** What must change for the kernel's datapath to send its misses to us (spec dataplane.md 3.4). */
import { type DatapathInfo, type Dispatch, OVS_FEATURE } from "../wire/netlink/ovs.ts";
import type { PortNo, Vport } from "../wire/netlink/ovs_keys.ts";

/** How we want it. */
export interface OvsWanted {
  /** How misses are dispatched. */
  readonly dispatch: Dispatch;
  /** Netlink port id of the socket that receives misses. */
  readonly upcallPid: number;
  /** MTU of the datapath's own interface. */
  readonly mtu: number;
}

/** How it is. */
export interface OvsPresent {
  /** The datapath itself. */
  readonly datapath: DatapathInfo;
  /** All its ports. */
  readonly ports: readonly Vport[];
  /** The datapath's own interface. */
  readonly link: { readonly index: number; readonly mtu: number; readonly up: boolean };
}

/** One step from how it is to how we want it. */
export type OvsChange =
  /** `deaf`: as it is, misses do not reach us. */
  | { readonly kind: "dispatch"; readonly dispatch: Dispatch; readonly deaf: boolean }
  | { readonly kind: "upcall"; readonly port: PortNo; readonly pid: number }
  | { readonly kind: "link"; readonly index: number; readonly mtu: number; readonly up: true };

const PER_PORT = OVS_FEATURE.unaligned | OVS_FEATURE.vportPids;

/**
 * How misses reach one socket: by CPU, with the socket's id for every CPU, and by port as well. By CPU alone survives
 * tools that open the datapath (they reset the other way); by port alone is what kernels before 5.15 can do.
 */
export function wantedDispatch(upcallPid: number, cpus: number, byCpu: boolean): Dispatch {
  if (!byCpu) return { features: PER_PORT, perCpuPids: [] };
  const perCpuPids = Array<number>(Math.max(1, cpus)).fill(upcallPid);
  return { features: PER_PORT | OVS_FEATURE.perCpuDispatch, perCpuPids };
}

/** The steps, in order; none when everything is as wanted. Features that others set are left on. */
export function planOvs(wanted: OvsWanted, present: OvsPresent): readonly OvsChange[] {
  const { datapath, link, ports } = present;
  const { dispatch, upcallPid, mtu } = wanted;
  const changes: OvsChange[] = [];
  const missing = dispatch.features & ~datapath.features;
  const byCpu = (dispatch.features & OVS_FEATURE.perCpuDispatch) !== 0;
  const receivers = !byCpu || sameNumbers(dispatch.perCpuPids, datapath.perCpuPids);
  if (missing !== 0 || !receivers) {
    // By CPU alone reaches us; by port alone does so only if nobody asked for the other way.
    const deaf = !receivers || (byCpu ? missing & OVS_FEATURE.perCpuDispatch : missing) !== 0;
    const { perCpuPids } = dispatch;
    changes.push({
      kind: "dispatch",
      dispatch: { features: datapath.features | dispatch.features, perCpuPids },
      deaf,
    });
  }
  for (const { port, upcallPids } of ports) {
    if (!sameNumbers(upcallPids, [upcallPid])) changes.push({ kind: "upcall", port, pid: upcallPid });
  }
  if (link.mtu !== mtu || !link.up) changes.push({ kind: "link", index: link.index, mtu, up: true });
  return changes;
}

function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
