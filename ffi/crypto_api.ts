/** The kernel's ciphers: having them loaded before they are needed. */
import { cString, libc } from "./c_symbols.ts";
import { openLibrary } from "./libs.ts";

const AF_ALG = 38;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0x80000;
/** struct sockaddr_alg (linux/if_alg.h): u16 family, 14 octets of type, u32 features, u32 mask, 64 octets of name. */
const SOCKADDR_ALG = 88;
const NAME_AT = 24;
const NAME_ROOM = 64;

/** Prototypes. They run on a thread of the pool: a call lasts until the kernel has loaded its modules. */
const SLOW_SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32", nonblocking: true }, // int socket(int, int, int)
  // int bind(int, const struct sockaddr *, socklen_t)
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32", nonblocking: true },
} as const satisfies Deno.ForeignLibraryInterface;

/** Makes the kernel load and test an authenticated cipher, on another thread. Otherwise the kernel would do so while it
 * installs an IPsec association, and all programs that use IPsec would wait. Resolves to the reason if it failed. */
export async function warmAead(name: string): Promise<string | undefined> {
  const address = new Uint8Array(SOCKADDR_ALG);
  new DataView(address.buffer).setUint16(0, AF_ALG, true);
  address.set(cString("aead").subarray(0, 14), 2);
  address.set(cString(name).subarray(0, NAME_ROOM - 1), NAME_AT);
  const library = openLibrary("libc", SLOW_SYMBOLS);
  try {
    const { bind, socket } = library.symbols;
    const fd = await socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) return "this kernel does not give its ciphers to programs (AF_ALG)";
    const code = await bind(fd, address, SOCKADDR_ALG);
    libc().close(fd);
    return code === 0 ? undefined : `this kernel has no ${name}`;
  } finally {
    library.close();
  }
}
