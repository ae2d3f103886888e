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
  /** Why it is not a better datapath: a sentence without full stop; undefined: there is none, or this one was asked for. */
  readonly noBetter: string | undefined;
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
   * be told beforehand. `fast`: it must compile them. */
  whyNoEbpf(fast: boolean): string | undefined;
  /** The interface that has the datapath's name, left by an earlier run perhaps; undefined: there is none. */
  readonly present: { readonly name: string; readonly kind: string | undefined } | undefined;
  /** Whether interfaces of user space can be made (/dev/net/tun). */
  readonly tun: boolean;
}

/** Kinds of the interface that a datapath makes, as the kernel calls them. */
const KINDS: readonly string[] = ["openvswitch", "bridge"];
const NO_TUN = "this host has no /dev/net/tun";

/** Chooses. A switch of another kind that an earlier run left is no reason: the start moves its ports. Throws
 * "datapath/module-missing" when what was asked for, or all there is, cannot work, and "datapath/wrong-kind" when the name of
 * the switch is that of something else. */
export function chooseDatapath(
  asked: Pick<Config, "datapath" | "fastdp">,
  host: HostAbilities,
): DatapathChoice {
  const { kind, noBetter } = chooseKind(asked, host);
  checkName(host.present, kind);
  if (kind === "ovs" && !host.tun && asked.fastdp) {
    return { kind, noBetter, overlays: ["fastdp"], noFastdp: undefined, noSleeve: NO_TUN };
  }
  if (!host.tun) throw noTun();
  const noFastdp = kind === "bridge"
    ? noBetter
    : asked.fastdp
    ? undefined
    : "this host was started with --no-fastdp";
  const overlays = noFastdp === undefined ? ["fastdp", "sleeve"] as const : ["sleeve"] as const;
  return { kind, noBetter, overlays, noFastdp, noSleeve: undefined };
}

/** What was chosen, and why it is not what would be better; undefined: there is nothing better. */
type Chosen =
  | { readonly kind: "ovs" | "ebpf"; readonly noBetter: string | undefined }
  | { readonly kind: "bridge"; readonly noBetter: string };

function chooseKind({ datapath }: Pick<Config, "datapath">, host: HostAbilities): Chosen {
  switch (datapath) {
    case "ovs":
      host.findOvs();
      return { kind: "ovs", noBetter: undefined };
    case "ebpf": {
      const reason = host.whyNoEbpf(false);
      if (reason === undefined) return { kind: "ebpf", noBetter: undefined };
      throw new MeshnetError("datapath/module-missing", `Cannot use datapath ebpf: ${reason}`, {
        hint: "Let meshnet choose: leave --datapath out, or say --datapath auto",
      });
    }
    case "bridge":
      return { kind: "bridge", noBetter: "this host was started with --datapath bridge" };
    case "auto": {
      const noOvs = whyNoOvs(host);
      if (noOvs === undefined) return { kind: "ovs", noBetter: undefined };
      if (!host.tun) return { kind: "bridge", noBetter: noOvs }; // and that is refused
      const noEbpf = host.whyNoEbpf(true);
      return noEbpf === undefined
        ? { kind: "ebpf", noBetter: noOvs }
        : { kind: "bridge", noBetter: `${noOvs}, and ${noEbpf}` };
    }
  }
}

function noTun(): MeshnetError {
  return new MeshnetError("datapath/module-missing", `Cannot carry traffic in user space: ${NO_TUN}`, {
    hint: "Load it with `modprobe tun`; in a container, pass the device in",
  });
}

/** Refuses to share a name. */
function checkName(present: HostAbilities["present"], wanted: DatapathKind): void {
  if (present === undefined || KINDS.includes(present.kind ?? "")) return;
  throw new MeshnetError(
    "datapath/wrong-kind",
    `Cannot set up datapath ${wanted}: name ${present.name} is taken by another interface of kind ${
      present.kind ?? "unknown"
    }`,
    { hint: `If nothing uses it, remove it with \`ip link delete ${present.name}\`` },
  );
}

function whyNoOvs(host: HostAbilities): string | undefined {
  try {
    host.findOvs();
    return undefined;
  } catch (thrown) {
    if (thrown instanceof MeshnetError && thrown.code === "datapath/module-missing") {
      return "this host's kernel has no Open vSwitch (module openvswitch)";
    }
    throw thrown;
  }
}
