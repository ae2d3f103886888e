/** What a bug report should say about the host. No secrets. */
import { readTextIfReadable } from "../../sys/files.ts";

/** Kernel modules that matter here. */
const MODULES = ["openvswitch", "vport_vxlan", "vxlan", "veth", "tun", "nf_conntrack"];

/** Facts about this host and process. */
export function hostFacts(): Readonly<Record<string, unknown>> {
  const loaded = (readTextIfReadable("/proc/modules") ?? "").split("\n").map((line) => line.split(" ")[0]);
  const status = readTextIfReadable("/proc/self/status") ?? "";
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? null;
  const release = readTextIfReadable("/etc/os-release") ?? "";
  return {
    time: new Date().toISOString(),
    kernel: Deno.osRelease(),
    architecture: Deno.build.arch,
    distribution: /^PRETTY_NAME="?([^"\n]*)/m.exec(release)?.[1] ?? null,
    deno: Deno.version.deno,
    netns: networkNamespace(),
    modules: MODULES.filter((name) => loaded.includes(name)),
    capabilities: field("CapEff"),
    threads: Number(field("Threads")),
    residentKiB: Number(field("VmRSS")?.split(" ")[0]),
    uptimeS: Math.round(Deno.osUptime()),
  };
}

/** The network namespace of this process as the kernel names it, `net:[4026531840]`. */
export function networkNamespace(): string {
  try {
    return Deno.readLinkSync("/proc/self/ns/net");
  } catch {
    return "unknown";
  }
}
