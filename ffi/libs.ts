/** Finds and opens native libraries, on first use and never at import. */
import { MeshnetError, messageOf } from "../mod/core/errors.ts";

/** Name of a library this program can use. */
export type LibraryName = "libc" | "libnl" | "libsodium" | "libcrypto" | "libIPSec_MB";

/** What they are called, and which package has them on Debian and Ubuntu. */
const LIBRARIES: Readonly<Record<LibraryName, { readonly file: string; readonly debian: string }>> = {
  libc: { file: "libc.so.6", debian: "libc6" },
  libnl: { file: "libnl-3.so.200", debian: "libnl-3-200" },
  libsodium: { file: "libsodium.so.23", debian: "libsodium23" },
  libcrypto: { file: "libcrypto.so.3", debian: "libssl3" },
  libIPSec_MB: { file: "libIPSec_MB.so.1", debian: "libipsec-mb1" },
};

/** Opens a library: the system's own, else `$MESHNET_LIB_DIR/<file>`.
 * Throws MeshnetError "native/library-missing" when neither can be opened. */
export function openLibrary<T extends Deno.ForeignLibraryInterface>(
  name: LibraryName,
  symbols: T,
): Deno.DynamicLibrary<T> {
  const { file, debian } = LIBRARIES[name];
  const folder = Deno.env.get("MESHNET_LIB_DIR");
  let cause: unknown;
  for (const path of folder === undefined ? [file] : [file, `${folder}/${file}`]) {
    try {
      return Deno.dlopen(path, symbols);
    } catch (thrown) {
      cause ??= thrown;
    }
  }
  throw new MeshnetError("native/library-missing", `Cannot open library ${file}: ${messageOf(cause)}`, {
    hint: `Install it: apt-get install ${debian} (other distributions: the package that contains ${file})`,
    cause,
  });
}
