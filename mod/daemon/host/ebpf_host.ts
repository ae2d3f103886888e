/** Whether this host's kernel can switch by programs of ours. */
import { loadClassifier } from "../../../ffi/bpf.ts";
import { messageOf } from "../../core/errors.ts";
import { Assembler } from "../../datapath/ebpf/assembler.ts";

/** The first kernel that tells and takes a tunnel's source address (6.0), and that this was tried with. */
const FIRST_KERNEL = [6, 1] as const;

/** Why it cannot, as a sentence without full stop; undefined: it can, as far as can be told without changing anything. */
export function whyNoEbpf(): string | undefined {
  const release = Deno.osRelease();
  const [major = 0, minor = 0] = release.split(".").map((part) => parseInt(part));
  const [needMajor, needMinor] = FIRST_KERNEL;
  if (major < needMajor || major === needMajor && minor < needMinor) {
    return `this host's kernel is Linux ${release}, and eBPF needs ${FIRST_KERNEL.join(".")}`;
  }
  const { code } = new Assembler().mov("r0", 0).exit().assemble();
  try {
    loadClassifier("meshnet_probe", code, [])[Symbol.dispose]();
    return undefined;
  } catch (thrown) {
    return `this host's kernel refuses eBPF programs (${messageOf(thrown)})`;
  }
}
