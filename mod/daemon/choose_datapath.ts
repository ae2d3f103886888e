/** Which datapath and which overlays this host uses, and why not the better ones. */
import type { OverlayName } from "../core/overlay_port.ts";
import { MeshnetError } from "../core/errors.ts";
import type { DatapathKind } from "../overlay/dataplane_types.ts";
import type { Config } from "./config.ts";

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
  /** Kind of the interface that has the datapath's name, left by an earlier run; undefined: there is none. */
  readonly present: string | undefined;
  /** Whether interfaces of user space can be made (/dev/net/tun). */
  readonly tun: boolean;
}

const NO_TUN = "this host has no /dev/net/tun";

/** Chooses. Throws "datapath/module-missing" when what was asked for, or all there is, cannot work. */
export function chooseDatapath(
  asked: Pick<Config, "datapath" | "fastdp">,
  host: HostAbilities,
): DatapathChoice {
  const bridge = whyBridge(asked, host);
  if (bridge === undefined && !host.tun && asked.fastdp) {
    return { kind: "ovs", overlays: ["fastdp"], noFastdp: undefined, noSleeve: NO_TUN };
  }
  if (!host.tun) {
    throw new MeshnetError("datapath/module-missing", `Cannot carry traffic in user space: ${NO_TUN}`, {
      hint: "Load it with `modprobe tun`; in a container, pass the device in",
    });
  }
  const base = { noSleeve: undefined, overlays: ["sleeve"] } as const;
  if (bridge !== undefined) {
    return { ...base, kind: "bridge", noFastdp: `this host moves frames through a bridge: ${bridge}` };
  }
  return asked.fastdp
    ? { ...base, kind: "ovs", overlays: ["fastdp", "sleeve"], noFastdp: undefined }
    : { ...base, kind: "ovs", noFastdp: "this host was started with --no-fastdp" };
}

/** Why it is the bridge; undefined: it is Open vSwitch. */
function whyBridge({ datapath }: Pick<Config, "datapath">, host: HostAbilities): string | undefined {
  if (datapath === "bridge") return "--datapath bridge was asked for";
  if (datapath === "auto" && host.present === "bridge") {
    return "containers hang on the bridge of an earlier run (meshnet reset gives it up)";
  }
  try {
    host.findOvs();
    return undefined;
  } catch (thrown) {
    const missing = thrown instanceof MeshnetError && thrown.code === "datapath/module-missing";
    if (datapath === "ovs" || !missing) throw thrown;
    return "its kernel has no Open vSwitch (module openvswitch)";
  }
}
