/** Functions of libnl-3: it makes and sets up sockets; messages are built and read elsewhere. */
import { openLibrary } from "./libs.ts";

/** Prototypes (netlink/netlink.h, netlink/socket.h). */
export const NL_SYMBOLS = {
  nl_socket_alloc: { parameters: [], result: "pointer" }, // struct nl_sock *nl_socket_alloc(void)
  nl_socket_free: { parameters: ["pointer"], result: "void" }, // void nl_socket_free(struct nl_sock *)
  nl_connect: { parameters: ["pointer", "i32"], result: "i32" }, // int nl_connect(struct nl_sock *, int)
  nl_socket_get_fd: { parameters: ["pointer"], result: "i32" }, // int nl_socket_get_fd(const struct nl_sock *)
  nl_socket_get_local_port: { parameters: ["pointer"], result: "u32" }, // uint32_t nl_socket_get_local_port(const struct nl_sock *)
  nl_socket_set_buffer_size: { parameters: ["pointer", "i32", "i32"], result: "i32" }, // int nl_socket_set_buffer_size(struct nl_sock *, int, int)
  nl_socket_add_membership: { parameters: ["pointer", "i32"], result: "i32" }, // int nl_socket_add_membership(struct nl_sock *, int)
  nl_geterror: { parameters: ["i32"], result: "pointer" }, // const char *nl_geterror(int)
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions of libnl-3. */
export type NlLibrary = Deno.DynamicLibrary<typeof NL_SYMBOLS>["symbols"];

let opened: NlLibrary | undefined;

/** libnl-3, opened on first use. */
export function libnl(): NlLibrary {
  return opened ??= openLibrary("libnl", NL_SYMBOLS).symbols;
}
