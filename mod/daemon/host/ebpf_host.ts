/** Whether this host's kernel can switch by programs of ours. */
import { isCompiled } from "../../../ffi/bpf.ts";
import { newNetns } from "../../../ffi/netns.ts";
import { messageOf } from "../../core/errors.ts";
import type { Machine } from "../../datapath/ebpf/machine.ts";
import { attach } from "../../datapath/ebpf/switch_shell.ts";
import { loadPrograms } from "../../datapath/ebpf/programs_shell.ts";
import { newVxlan } from "../../wire/netlink/rtnetlink.ts";
import { MACHINE } from "../threads/ebpf_parts.ts";
import { openNetlinkIn } from "./netlink.ts";

/** The first kernel that tells and takes a tunnel's source address (6.0), and that this was tried with. */
const FIRST_KERNEL = [6, 1] as const;
/** Index of `lo`, in every namespace. */
const LO = 1;

/** Why it cannot, as a sentence without full stop; undefined: it can. All is tried, in a namespace that is gone afterwards:
 * a program, the hooks, a tunnel. `fast`: it must compile programs, not interpret them. */
export function whyNoEbpf(fast: boolean, machine: Machine = MACHINE): string | undefined {
  const release = Deno.osRelease();
  const [major = 0, minor = 0] = release.split(".").map((part) => parseInt(part));
  const [needMajor, needMinor] = FIRST_KERNEL;
  if (major < needMajor || major === needMajor && minor < needMinor) {
    return `this host's kernel is Linux ${release}, and eBPF needs ${FIRST_KERNEL.join(".")}`;
  }
  let what = "programs";
  try {
    using loaded = loadPrograms(machine, [], ["tunnel"]);
    if (fast && !isCompiled(loaded.programs.tunnel.program)) {
      return "this host's kernel does not compile eBPF programs (sysctl net.core.bpf_jit_enable)";
    }
    using netns = newNetns();
    using route = openNetlinkIn({ protocol: "route", netns: netns.path });
    what = "the hooks for programs";
    attach(route, LO, { hook: "in", ...loaded.programs.tunnel });
    what = "a tunnel for programs";
    route.request(newVxlan({ name: "vxlan-6784", port: 6784, mtu: 1_500 }));
    return undefined;
  } catch (thrown) {
    return `this host's kernel refuses ${what} of eBPF (${messageOf(thrown)})`;
  }
}
