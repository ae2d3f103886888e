/** The architectures that a release is made for, and what others call them. */

/** One of them. */
export interface Architecture {
  /** As `uname -m` and the names of our files have it. */
  readonly name: "x86_64" | "aarch64";
  /** Debian's name. */
  readonly debian: string;
  /** The name of container images. */
  readonly oci: string;
  /** The npm package with Deno. */
  readonly deno: string;
  /** Where Debian puts its libraries, below `/usr/lib`. */
  readonly triplet: string;
  /** Where programs look for what loads their libraries. */
  readonly loader: string;
}

/** All of them. */
export const ARCHITECTURES: readonly Architecture[] = [
  {
    name: "x86_64",
    debian: "amd64",
    oci: "amd64",
    deno: "@deno/linux-x64-glibc",
    triplet: "x86_64-linux-gnu",
    loader: "/usr/lib64/ld-linux-x86-64.so.2",
  },
  {
    name: "aarch64",
    debian: "arm64",
    oci: "arm64",
    deno: "@deno/linux-arm64-glibc",
    triplet: "aarch64-linux-gnu",
    loader: "/usr/lib/ld-linux-aarch64.so.1",
  },
];
