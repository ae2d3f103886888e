/** What removing everything is done through, opened in the host's namespace. */
import { MeshnetError } from "../../core/errors.ts";
import { removeOwnRules } from "../../firewall/firewall_shell.ts";
import { removeOwnXfrm } from "../../ipsec/xfrm_kernel_shell.ts";
import type { CleanupOptions } from "./host_cleanup.ts";
import { openNetlinkIn } from "../host/netlink.ts";
import { LEGACY_TABLES, XTABLES_LOCK } from "../host/legacy_tables.ts";
import { DATAPATH, removeDatapath } from "../host/ovs_host.ts";

/** What `meshnet reset` needs of the host's namespace. */
export function openCleanup():
  & Disposable
  & Pick<CleanupOptions, "links" | "removeDatapath" | "removeIpsec" | "removeFirewall"> {
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
    removeFirewall,
    [Symbol.dispose]: () => links[Symbol.dispose](),
  };
}

/** Attempts while other programs are about the firewall, and milliseconds between two. */
const ATTEMPTS = 50;
const PAUSE_MS = 100;

function removeFirewall(): boolean {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  let total = 0;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const { busy, removed } = removeOwnRules({
      open: () => openNetlinkIn({ protocol: "netfilter" }),
      legacy: LEGACY_TABLES,
    });
    total += removed;
    if (!busy) return total > 0;
    Atomics.wait(pause, 0, 0, PAUSE_MS);
  }
  throw new MeshnetError(
    "control/request-failed",
    "Other programs change this host's firewall all the time, or hold the lock of iptables-legacy",
    { hint: `Try again. Who holds the lock: fuser ${XTABLES_LOCK}` },
  );
}
