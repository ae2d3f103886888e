/** Finds and opens native libraries, on first use and never at import. */
import { MeshnetError, messageOf } from "../mod/core/errors.ts";

/** Name of a library this program can use. */
export type LibraryName = "libc" | "libnl" | "libsodium" | "libcrypto";

/** What they are called, and which package has them on Debian and Ubuntu. */
const LIBRARIES: Readonly<Record<LibraryName, { readonly file: string; readonly debian: string }>> = {
  libc: { file: "libc.so.6", debian: "libc6" },
  libnl: { file: "libnl-3.so.200", debian: "libnl-3-200" },
  libsodium: { file: "libsodium.so.23", debian: "libsodium23" },
  libcrypto: { file: "libcrypto.so.3", debian: "libssl3" },
};

/** Libraries that the program itself brings: file name -> gives a path under which it can be opened. */
const offered = new Map<string, () => string>();

/** Names a last resort for a library: `locate` is called when the system has none, and gives a path to open. */
export function offerLibrary(file: string, locate: () => string): void {
  offered.set(file, locate);
}

/** Opens a library: the system's own, else `$MESHNET_LIB_DIR/<file>`, else the one offered by `offerLibrary`.
 * Throws MeshnetError "native/library-missing" when none of them can be opened. */
export function openLibrary<T extends Deno.ForeignLibraryInterface>(
  name: LibraryName,
  symbols: T,
): Deno.DynamicLibrary<T> {
  const { file, debian } = LIBRARIES[name];
  const folder = Deno.env.get("MESHNET_LIB_DIR");
  const candidates = [
    () => file,
    ...(folder === undefined ? [] : [() => `${folder}/${file}`]),
    ...(offered.has(file) ? [offered.get(file)!] : []),
  ];
  let cause: unknown;
  for (const locate of candidates) {
    try {
      return Deno.dlopen(locate(), symbols);
    } catch (thrown) {
      cause ??= thrown;
    }
  }
  throw new MeshnetError("native/library-missing", `Cannot open library ${file}: ${messageOf(cause)}`, {
    hint: `Install it: apt-get install ${debian} (other distributions: the package that contains ${file})`,
    cause,
  });
}

/** Whether a library can be opened; for reports. */
export function hasLibrary(name: LibraryName): boolean {
  try {
    openLibrary(name, {}).close();
    return true;
  } catch (thrown) {
    if (thrown instanceof MeshnetError) return false;
    throw thrown;
  }
}
