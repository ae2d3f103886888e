/** Native libraries that the program carries, for hosts that lack them. */

/** One of them. */
export interface CarriedLibrary {
  /** Its file, by the name by which programs ask for it. */
  readonly file: string;
  /** The package of Debian that has it. */
  readonly debian: string;
  /** Where it exists; everywhere unless given. */
  readonly only?: "x86_64" | "aarch64";
}

/** All of them. */
export const CARRIED: readonly CarriedLibrary[] = [
  { file: "libnl-3.so.200", debian: "libnl-3-200" },
  { file: "libsodium.so.23", debian: "libsodium23" },
  { file: "libIPSec_MB.so.1", debian: "libipsec-mb1", only: "x86_64" },
];

/** Those of a program for one architecture. */
export function carriedBy(architecture: string): readonly CarriedLibrary[] {
  return CARRIED.filter(({ only }) => only === undefined || only === architecture);
}
