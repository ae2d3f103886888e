/** What tasks and tests call, and the Debian package that each program comes from.
 *
 * Tasks and tests start nothing else (see command() in run.ts), so a machine where only this is installed has all that
 * they need. A new program goes here, into the package that has it.
 */

/** What a task is about to do. */
export type Purpose = "up" | "build" | "lab" | "test" | "bench" | "fresh" | "release" | "prove" | "setup";

/** A Debian package. It counts as installed when all that it is listed for is there, however it came there. */
export interface Package {
  readonly apt: string;
  readonly programs?: readonly string[];
  /** Shared libraries that the program loads. */
  readonly library?: string;
  /** Another file that shows that it is there. */
  readonly file?: string;
}

/** Programs of packages that Debian calls essential: they are on every Debian machine. */
export const ESSENTIAL: Readonly<Record<string, readonly string[]>> = {
  bash: ["bash"],
  bsdutils: ["logger", "renice", "script"],
  coreutils: [
    ...["[", "basename", "cat", "chgrp", "chmod", "chown", "chroot", "comm", "cp", "cut", "date", "dd", "df"],
    ...[
      "dirname",
      "du",
      "echo",
      "env",
      "expr",
      "false",
      "fold",
      "head",
      "id",
      "install",
      "join",
      "link",
      "ln",
    ],
    ...["ls", "md5sum", "mkdir", "mkfifo", "mknod", "mktemp", "mv", "nice", "nohup", "nproc", "od", "paste"],
    ...["printenv", "printf", "pwd", "readlink", "realpath", "rm", "rmdir", "seq", "sha256sum", "shuf"],
    ...["sleep", "sort", "split", "stat", "stdbuf", "stty", "sync", "tac", "tail", "tee", "test", "timeout"],
    ...["touch", "tr", "true", "truncate", "tty", "uname", "uniq", "unlink", "wc", "who", "whoami", "yes"],
  ],
  dash: ["dash", "sh"],
  debianutils: ["run-parts"],
  diffutils: ["cmp", "diff"],
  dpkg: ["dpkg", "dpkg-deb", "dpkg-query"],
  findutils: ["find", "xargs"],
  grep: ["egrep", "fgrep", "grep"],
  gzip: ["gunzip", "gzip", "zcat"],
  hostname: ["hostname"],
  "libc-bin": ["getconf", "getent", "ldconfig", "ldd"],
  "perl-base": ["perl"],
  sed: ["sed"],
  tar: ["tar"],
  "util-linux": [
    ...["choom", "chrt", "dmesg", "fallocate", "findmnt", "flock", "getopt", "ionice", "lsblk", "lscpu"],
    ...["lsns", "mountpoint", "nsenter", "pivot_root", "prlimit", "runuser", "setpriv", "setsid", "taskset"],
    ...["unshare"],
  ],
};

const NATIVE: readonly Package[] = [
  { apt: "libnl-3-200", library: "libnl-3.so.200" },
  { apt: "libsodium23", library: "libsodium.so.23" },
  { apt: "libssl3", library: "libcrypto.so.3" },
  ...Deno.build.arch === "x86_64" ? [{ apt: "libipsec-mb1", library: "libIPSec_MB.so.1" }] : [],
];
const LAB: readonly Package[] = [
  ...NATIVE,
  { apt: "user-mode-linux", programs: ["linux.uml"], file: "/usr/lib/uml/modules" },
  { apt: "systemd", programs: ["systemctl"] }, // halts the kernel inside
  { apt: "kmod", programs: ["modprobe"] },
  { apt: "mount", programs: ["mount", "umount"] },
  { apt: "openvswitch-switch", programs: ["ovs-dpctl"] },
  { apt: "iproute2", programs: ["ip", "bridge", "tc", "ss", "nstat"] },
  { apt: "procps", programs: ["sysctl"] },
  { apt: "faketime", programs: ["faketime"] },
  { apt: "ethtool", programs: ["ethtool"] },
  { apt: "curl", programs: ["curl"] },
  { apt: "iputils-ping", programs: ["ping"] },
  { apt: "iputils-arping", programs: ["arping"] },
  { apt: "iperf3", programs: ["iperf3"] },
  { apt: "tcpdump", programs: ["tcpdump"] },
  { apt: "nftables", programs: ["nft"] },
  { apt: "docker.io", programs: ["dockerd", "docker"], file: "/usr/bin/docker" },
  { apt: "docker-compose", programs: ["docker-compose"] },
  { apt: "podman", programs: ["podman"] },
  { apt: "crun", programs: ["crun"] },
  { apt: "busybox-static", programs: ["busybox"] },
  {
    apt: "iptables",
    programs: [
      "iptables-legacy",
      "ip6tables-legacy",
      "iptables-nft",
      "ip6tables-nft",
      "iptables-nft-save",
      "ip6tables-nft-save",
    ],
  },
];

/** What each purpose needs beside the essential packages. */
export const PACKAGES: Readonly<Record<Purpose, readonly Package[]>> = {
  up: NATIVE,
  build: NATIVE,
  lab: LAB,
  test: [
    ...LAB,
    { apt: "golang-go", programs: ["go"] },
    { apt: "golang-github-weaveworks-mesh-dev", file: "/usr/share/gocode/src/github.com/weaveworks/mesh" },
    { apt: "systemd", programs: ["systemd-analyze"] },
    { apt: "tmux", programs: ["tmux"] },
    { apt: "zsh", programs: ["zsh"] },
    { apt: "fish", programs: ["fish"] },
  ],
  bench: [
    ...LAB,
    { apt: "nebula", programs: ["nebula", "nebula-cert"] },
    { apt: "tinc", programs: ["tincd"] },
    { apt: "wireguard-go", programs: ["wireguard-go"] },
    { apt: "wireguard-tools", programs: ["wg"] },
    { apt: "dnsperf", programs: ["dnsperf"] },
    { apt: "dnsmasq-base", programs: ["dnsmasq"] },
    { apt: "knot", programs: ["knotd"] },
    { apt: "nsd", programs: ["nsd"] },
    { apt: "gcc", programs: ["gcc"] },
    { apt: "binutils", programs: ["as", "ld"] }, // gcc starts them
    { apt: "libc6-dev", file: "/usr/include/stdlib.h" },
  ],
  fresh: [
    { apt: "debootstrap", programs: ["debootstrap"] },
    { apt: "git", programs: ["git"] },
    { apt: "mount", programs: ["mount", "umount"] },
  ],
  release: [
    { apt: "git", programs: ["git"] },
    { apt: "qemu-user-static", programs: ["qemu-aarch64-static", "qemu-x86_64-static"] },
  ],
  prove: [
    { apt: "debootstrap", programs: ["debootstrap"] },
    { apt: "mount", programs: ["mount", "umount"] },
    { apt: "kmod", programs: ["depmod"] },
    { apt: "iproute2", programs: ["ip"] },
    { apt: "iputils-ping", programs: ["ping"] },
    { apt: "user-mode-linux", programs: ["linux.uml"], file: "/usr/lib/uml/modules" },
  ],
  setup: [{ apt: "apt", programs: ["apt-get", "apt-config"] }],
};

/** Purposes whose programs start what their own packages depend on, up to the scripts of other packages. */
export const WHOLE_SYSTEM: ReadonlySet<Purpose> = new Set(["fresh", "prove", "setup"]);

const SYSTEM_FOLDER = /^\/(usr\/)?(s?bin|lib[^/]*|local\/s?bin)\//;

/** The names of all programs that a purpose may call. */
export function programsOf(purpose: Purpose): readonly string[] {
  const named = PACKAGES[purpose].flatMap((entry) => entry.programs ?? []);
  return [...new Set([...Object.values(ESSENTIAL).flat(), ...named])].sort();
}

/** Throws, saying what to do, unless a program may be called: it is on the list, or it is no program of the system. */
export function checkProgram(program: string, purpose: Purpose): void {
  const name = program.slice(program.lastIndexOf("/") + 1);
  if (program !== name && !SYSTEM_FOLDER.test(program)) return; // made here: a built file, a copy in a test's folder
  if (programsOf(purpose).includes(name)) return;
  throw new Error(
    `Cannot start ${name}: it is not on the list of programs for "${purpose}". ` +
      "Add it with its Debian package to mod/tasks/packages.ts, or use a program that is there",
  );
}
