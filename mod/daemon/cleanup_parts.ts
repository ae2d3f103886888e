/** What removing everything is done through, opened in the host's namespace. */
import { MeshnetError } from "../core/errors.ts";
import { removeOwnXfrm } from "../ipsec/xfrm_kernel_shell.ts";
import type { CleanupOptions } from "./host_cleanup.ts";
import { openNetlinkIn } from "./netlink.ts";
import { DATAPATH, removeDatapath } from "./ovs_host.ts";

/** What `meshnet reset` needs of the host's namespace. */
export function openCleanup(): Disposable & Pick<CleanupOptions, "links" | "removeDatapath" | "removeIpsec"> {
  const links = openNetlinkIn({ protocol: "route" });
  return {
    links,
    removeDatapath() {
      using socket = openNetlinkIn({ protocol: "generic" });
      return removeDatapath(socket, DATAPATH);
    },
    removeIpsec() {
      try {
        using socket = openNetlinkIn({ protocol: "xfrm" });
        return removeOwnXfrm(socket) > 0;
      } catch (thrown) {
        // A kernel without IPsec has nothing of it to remove.
        if (thrown instanceof MeshnetError && thrown.code === "native/call-failed") return false;
        throw thrown;
      }
    },
    [Symbol.dispose]: () => links[Symbol.dispose](),
  };
}
