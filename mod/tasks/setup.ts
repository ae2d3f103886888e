/** Installs what a task needs of the system: as root with apt, otherwise it says which line is missing. */
import { exists, fail, hasProgram, run } from "./run.ts";

/** What a task is about to do. */
export type Purpose = "up" | "build" | "test" | "lab" | "bench";

/** A Debian package, and the sign by which its content is known to be there, however it was installed. */
interface Need {
  readonly apt: string;
  readonly present: () => boolean;
}

const program = (apt: string, name = apt): Need => ({ apt, present: () => hasProgram(name) });
const library = (apt: string, name: string): Need => ({
  apt,
  present: () => libraryFolders().some((folder) => exists(`${folder}/${name}`)),
});

const NATIVE: readonly Need[] = [
  library("libnl-3-200", "libnl-3.so.200"),
  library("libsodium23", "libsodium.so.23"),
  library("libssl3", "libcrypto.so.3"),
];
const LAB: readonly Need[] = [
  ...NATIVE,
  program("user-mode-linux", "linux.uml"),
  program("kmod", "modprobe"),
  program("openvswitch-switch", "ovs-dpctl"),
  program("iproute2", "ip"),
  program("ethtool"),
  program("iputils-ping", "ping"),
  program("iputils-arping", "arping"),
  program("iperf3"),
  program("tcpdump"),
  program("nftables", "nft"),
];
const NEEDS: Readonly<Record<Purpose, readonly Need[]>> = {
  up: NATIVE,
  build: NATIVE,
  lab: LAB,
  bench: [
    ...LAB,
    program("nebula"),
    program("tinc", "tincd"),
    program("wireguard-go"),
    program("wireguard-tools", "wg"),
  ],
  test: [
    ...LAB,
    program("golang-go", "go"),
    {
      apt: "golang-github-weaveworks-mesh-dev",
      present: () => exists("/usr/share/gocode/src/github.com/weaveworks/mesh"),
    },
    program("systemd", "systemd-analyze"),
  ],
};

/** Where shared libraries lie on the distributions we know. */
export function libraryFolders(): readonly string[] {
  const triplet = `${Deno.build.arch}-linux-gnu`;
  return [`/lib/${triplet}`, `/usr/lib/${triplet}`, "/lib64", "/usr/lib64", "/lib", "/usr/lib"];
}

/** Makes sure that everything for a purpose is installed, or ends the task with the line that would install it. */
export async function ensure(purpose: Purpose): Promise<void> {
  const missing = NEEDS[purpose].filter((need) => !need.present()).map((need) => need.apt);
  if (missing.length === 0) return;
  const line = `apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  if (!hasProgram("apt-get")) fail(`This machine lacks what Debian calls: ${missing.join(" ")}`);
  if (Deno.uid() !== 0) fail(`Run this as root first:\n  apt-get update && ${line}`);
  console.error(`Installing ${missing.join(" ")}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const update = await run(["apt-get", "update", "-qq"], { env, timeoutMs: 180_000 });
  const install = await run([...line.split(" "), "-qq"], { env, timeoutMs: 600_000 });
  const still = NEEDS[purpose].filter((need) => !need.present()).map((need) => need.apt);
  if (still.length === 0) return;
  fail(`Cannot install ${still.join(" ")}: exit codes are ${update.code} and ${install.code}`);
}

if (import.meta.main) {
  const purpose = Deno.args[0] ?? "test";
  if (!Object.hasOwn(NEEDS, purpose)) fail(`Usage: deno task setup [${Object.keys(NEEDS).join("|")}]`);
  await ensure(purpose as Purpose);
  console.log("Everything is installed");
}
