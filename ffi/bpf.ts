/** Small programs for the kernel's own machine, through `bpf(2)`. */
import { pointerOf, putAddress } from "./address.ts";
import { C, cString, lastErrno, libc } from "./c_symbols.ts";
import { openLibrary } from "./libs.ts";
import { callFailed } from "./native_error.ts";

/** Number of the system call. */
const SYS_BPF = { x86_64: 321, aarch64: 280 }[Deno.build.arch as "x86_64" | "aarch64"];
const BPF_PROG_LOAD = 5;
const BPF_PROG_TYPE_XDP = 6;
const INSTRUCTION = 8;
/** Octets of `union bpf_attr` up to the program's name. */
const ATTRIBUTES = 64;
const NAME_AT = 48;

/** The C library's way to a system call that it has no function for. */
const SYSCALL = {
  syscall: { parameters: ["i64", "i32", "buffer", "u32"], result: "i32" }, // long syscall(long, ...)
} as const satisfies Deno.ForeignLibraryInterface;

/** A loaded program. It lives as long as somebody uses it; disposing it gives up this process's hold. */
export interface LoadedProgram extends Disposable {
  /** Names it in a request to attach it. */
  readonly fd: number;
}

/** Return 1, which is XDP_DROP: `mov r0, 1; exit`. */
const DROP = Uint8Array.of(0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);

/** Loads a program that drops every frame that an interface receives. Throws "native/call-failed" where the kernel
 * does not allow it. */
export function loadDropAll(): LoadedProgram {
  const code = new Uint8Array(new ArrayBuffer(DROP.length));
  code.set(DROP);
  const license = new Uint8Array(new ArrayBuffer(8));
  license.set(cString("GPL"));
  const attributes = new Uint8Array(new ArrayBuffer(ATTRIBUTES));
  const words = new Uint32Array(attributes.buffer);
  words[0] = BPF_PROG_TYPE_XDP;
  words[1] = code.length / INSTRUCTION;
  putAddress(words, 2, pointerOf(code));
  putAddress(words, 4, pointerOf(license));
  attributes.set(cString("meshnet_closed"), NAME_AT);
  const library = openLibrary("libc", SYSCALL);
  try {
    const fd = library.symbols.syscall(BigInt(SYS_BPF), BPF_PROG_LOAD, attributes, attributes.length);
    if (fd < 0) throw callFailed("load a program into the kernel (bpf)", lastErrno());
    libc().fcntl(fd, C.F_SETFD, C.FD_CLOEXEC);
    let open = true;
    return {
      fd,
      [Symbol.dispose]() {
        if (open) libc().close(fd);
        open = false;
      },
    };
  } finally {
    library.close();
  }
}
