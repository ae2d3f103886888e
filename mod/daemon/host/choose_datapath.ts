/** Which datapath and which overlays this host uses, and why not the better ones. */
import type { OverlayName } from "../../core/overlay_port.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { DatapathKind } from "../../overlay/ports/dataplane_types.ts";
import type { Config } from "../config/config.ts";

/** What was chosen. */
export interface DatapathChoice {
  readonly kind: DatapathKind;
  /** In the order in which they are announced. */
  readonly overlays: readonly OverlayName[];
  /** Why fastdp is not among them: a sentence without full stop; undefined: it is. */
  readonly noFastdp: string | undefined;
  /** Why sleeve is not among them; undefined: it is. */
  readonly noSleeve: string | undefined;
}

/** What the choice depends on. */
export interface HostAbilities {
  /** Throws "datapath/module-missing" when the kernel has no Open vSwitch. */
  findOvs(): void;
  /** Why this host cannot switch by programs in the kernel: a sentence without full stop; undefined: it can, as far as can
   * be told beforehand. */
  whyNoEbpf(): string | undefined;
  /** The interface that has the datapath's name, left by an earlier run perhaps; undefined: there is none. */
  readonly present: { readonly name: string; readonly kind: string | undefined } | undefined;
  /** Whether interfaces of user space can be made (/dev/net/tun). */
  readonly tun: boolean;
}

/** Kinds of the interface that a datapath makes, as the kernel calls them. */
const INTERFACE_KIND = { ovs: "openvswitch", ebpf: "bridge", bridge: "bridge" } as const satisfies Record<
  DatapathKind,
  string
>;
const NO_TUN = "this host has no /dev/net/tun";

/** Chooses. Throws "datapath/module-missing" when what was asked for, or all there is, cannot work, and
 * "datapath/wrong-kind" when another kind has the datapath's name already. */
export function chooseDatapath(
  asked: Pick<Config, "datapath" | "fastdp">,
  host: HostAbilities,
): DatapathChoice {
  if (asked.datapath === "ebpf") return chooseEbpf(asked, host);
  const bridge = whyBridge(asked, host);
  checkName(bridge === undefined ? "ovs" : "bridge", host.present);
  if (bridge === undefined && !host.tun && asked.fastdp) {
    return { kind: "ovs", overlays: ["fastdp"], noFastdp: undefined, noSleeve: NO_TUN };
  }
  if (!host.tun) throw noTun();
  const base = { noSleeve: undefined, overlays: ["sleeve"] } as const;
  if (bridge !== undefined) {
    return { ...base, kind: "bridge", noFastdp: bridge };
  }
  return asked.fastdp
    ? { ...base, kind: "ovs", overlays: ["fastdp", "sleeve"], noFastdp: undefined }
    : { ...base, kind: "ovs", noFastdp: "this host was started with --no-fastdp" };
}

function noTun(): MeshnetError {
  return new MeshnetError("datapath/module-missing", `Cannot carry traffic in user space: ${NO_TUN}`, {
    hint: "Load it with `modprobe tun`; in a container, pass the device in",
  });
}

function chooseEbpf({ fastdp }: Pick<Config, "fastdp">, host: HostAbilities): DatapathChoice {
  const reason = host.whyNoEbpf();
  if (reason !== undefined) {
    throw new MeshnetError("datapath/module-missing", `Cannot use datapath ebpf: ${reason}`, {
      hint: "Let meshnet choose: leave --datapath out, or say --datapath auto",
    });
  }
  checkName("ebpf", host.present);
  if (!host.tun) throw noTun();
  const base = { kind: "ebpf", noSleeve: undefined } as const;
  return fastdp
    ? { ...base, overlays: ["fastdp", "sleeve"], noFastdp: undefined }
    : { ...base, overlays: ["sleeve"], noFastdp: "this host was started with --no-fastdp" };
}

/** Refuses to share a name. */
function checkName(kind: DatapathKind, present: HostAbilities["present"]): void {
  if (present === undefined || present.kind === INTERFACE_KIND[kind]) return;
  const other = (["ovs", "bridge"] as const).find((one) => INTERFACE_KIND[one] === present.kind);
  const what = other === undefined
    ? `interface of kind ${present.kind ?? "unknown"}`
    : `datapath of kind ${other}`;
  throw new MeshnetError(
    "datapath/wrong-kind",
    `Cannot set up datapath ${kind}: name ${present.name} is taken by another ${what}`,
    {
      hint: other === undefined
        ? `If nothing uses it, remove it with \`ip link delete ${present.name}\``
        : `An earlier run made it: go on with --datapath ${other}, or remove it with \`meshnet reset\``,
    },
  );
}

/** Why it is the bridge; undefined: it is Open vSwitch. */
function whyBridge({ datapath }: Pick<Config, "datapath">, host: HostAbilities): string | undefined {
  if (datapath === "bridge") return "this host was started with --datapath bridge";
  try {
    host.findOvs();
    if (datapath === "ovs" || host.present?.kind !== INTERFACE_KIND.bridge) return undefined;
    return "this host's containers hang on the bridge of an earlier run (meshnet reset gives it up)";
  } catch (thrown) {
    const missing = thrown instanceof MeshnetError && thrown.code === "datapath/module-missing";
    if (datapath === "ovs" || !missing) throw thrown;
    return "this host's kernel has no Open vSwitch (module openvswitch)";
  }
}
