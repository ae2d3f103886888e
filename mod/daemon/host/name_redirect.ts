/** Has questions for the engine's name server in a container's namespace come to us, where we listen beside it. */
import { ipToBytes } from "../../core/addr.ts";
import { ENGINE_SERVER, INSIDE } from "../../core/name_leg.ts";
import { applyNft } from "../../firewall/nft_shell.ts";
import { openNetlinkIn } from "./netlink.ts";

/** The table in the namespace. */
const TABLE = "meshnet";

/** See the file. Disposing it ends that; the kernel does so as well when this process ends, from Linux 5.12 on: while nobody
 * answers, the engine's server is asked as before. The socket that it holds keeps the namespace alive. */
export function redirectNames(namespacePath: string): Disposable {
  const change = {
    ...{ kind: "redirect-names" as const, table: TABLE, server: ipToBytes(ENGINE_SERVER) },
    to: { octets: ipToBytes(INSIDE.ip), port: INSIDE.port },
  };
  const socket = openNetlinkIn({ protocol: "netfilter", netns: namespacePath });
  let isOwned = true;
  try {
    try {
      applyNft(socket, [{ ...change, owned: true }]);
    } catch {
      isOwned = false;
      applyNft(socket, [{ ...change, owned: false }]);
    }
  } catch (thrown) {
    socket[Symbol.dispose]();
    throw thrown;
  }
  return {
    [Symbol.dispose]() {
      try {
        if (!isOwned) applyNft(socket, [{ kind: "delete-table", family: "ip", table: TABLE }]);
      } catch { /* somebody has removed it */ }
      socket[Symbol.dispose]();
    },
  };
}
