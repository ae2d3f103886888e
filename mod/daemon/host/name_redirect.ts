/** Has questions that a namespace asks of this host's servers come to the name server of the mesh. */
import { type Ip, ipToBytes, isIpv4 } from "../../core/addr.ts";
import { NAME_SERVER_IP } from "../../core/name_leg.ts";
import { applyNft } from "../../firewall/nft_shell.ts";
import { openNetlinkIn } from "./netlink.ts";

/** The table in the namespace. */
const TABLE = "meshnet";

/** See the file. Disposing it ends that; the kernel does so as well when this process ends, from Linux 5.12 on: while nobody
 * answers, others are asked as before. The socket that it holds keeps the namespace alive. */
export function redirectNames(namespacePath: string, servers: readonly Ip[]): Disposable {
  const change = {
    ...{ kind: "redirect-names" as const, table: TABLE, to: ipToBytes(NAME_SERVER_IP) },
    servers: servers.filter(isIpv4).map(ipToBytes),
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
