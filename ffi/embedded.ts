/** Libraries that the program carries with it, for hosts that do not have them. */
import { C, cString, lastErrno, libc } from "./c_symbols.ts";
import { offerLibrary } from "./libs.ts";
import { callFailed } from "./native_error.ts";

/** Puts a library's bytes into an anonymous file in memory, which stays for the life of the process, and returns
 * the path under which it can be opened. Its symbols become visible to libraries loaded later, so load libnl-3
 * before any library that needs it. */
export function loadEmbedded(file: string, bytes: Uint8Array<ArrayBuffer>): string {
  const { dlopen, memfd_create, write } = libc();
  const fd = memfd_create(cString(file), 0);
  if (fd < 0) throw callFailed(`make a file in memory for ${file}`, lastErrno());
  for (let at = 0; at < bytes.length;) {
    const written = write(fd, bytes.subarray(at), BigInt(bytes.length - at));
    if (written <= 0) throw callFailed(`write ${file} to memory`, lastErrno());
    at += written;
  }
  const path = `/proc/self/fd/${fd}`;
  // glibc before 2.34 has dlopen elsewhere: there only libraries without dependants can be embedded.
  dlopen?.(cString(path), C.RTLD_NOW | C.RTLD_GLOBAL);
  return path;
}

/** Offers a library as bytes: `read` is called, once, if neither the system nor MESHNET_LIB_DIR has it. */
export function offerEmbedded(file: string, read: () => Uint8Array<ArrayBuffer>): void {
  let path: string | undefined;
  offerLibrary(file, () => path ??= loadEmbedded(file, read()));
}
