/** The kernel's IPsec in a running daemon: what it is needed for, and opening it for that. A host that does not encrypt
 * loads nothing and opens nothing. */
import type { NlSocket } from "../../../ffi/nl_socket.ts";
import { messageOf } from "../../core/errors.ts";
import type { Logger, NetlinkSocket, Store } from "../../core/ports.ts";
import type { DataplaneConfig } from "../../overlay/ports/dataplane_messages.ts";
import { type Ipsec, NO_IPSEC } from "../../overlay/ports/esp_port.ts";
import { SystemRandom } from "../../sys/random.ts";
import { openNetlinkIn } from "../host/netlink.ts";

/** Key of the store: this host has used IPsec, so something of it may be in the kernel. */
const USED_KEY = "daemon/ipsec";
/** Room for notices, in octets: some thousands. */
const NOTICE_BUFFER = 1024 * 1024;

/** What IPsec is needed for in this run. `encrypts`: whether the fast path may have to be encrypted. */
export async function ipsecUse(
  encrypts: boolean,
  { store, log, open }: {
    readonly store: Store;
    readonly log: Logger;
    /** Opens a socket of NETLINK_XFRM. */
    readonly open: () => NetlinkSocket;
  },
): Promise<DataplaneConfig["ipsec"]> {
  const used = store.get(USED_KEY) !== undefined;
  if (encrypts) {
    if (!used) store.put(USED_KEY, "used");
    return "on";
  }
  if (!used) return "off";
  try {
    const { ownState } = await import("../../ipsec/xfrm_kernel_shell.ts");
    using socket = open();
    const { policies, sas } = ownState(socket);
    if (policies.length + sas.length > 0) return "leftovers";
  } catch (thrown) {
    log.debug("overlay/ipsec", { what: "look for leftovers", reason: messageOf(thrown) });
  }
  try {
    store.remove(USED_KEY);
  } catch (thrown) { // on a full disk, say: the next start looks again
    log.warn("cannot forget that this host has used IPsec", { reason: messageOf(thrown) });
  }
  return "off";
}

/** Opens it. What it is made of is given to `owner`. */
export async function openIpsec(
  { ipsec, peer }: DataplaneConfig,
  { log, owner }: { readonly log: Logger; readonly owner: DisposableStack },
): Promise<Ipsec> {
  if (ipsec === "off") return NO_IPSEC;
  const { XfrmShell } = await import("../../ipsec/xfrm_shell.ts");
  const { loadHkdf } = await import("../../sys/sealer.ts");
  return owner.use(
    new XfrmShell({
      open: () => openNetlinkIn({ protocol: "xfrm" }),
      notices: ipsec === "on" ? await openNotices(log) : undefined,
      ciphersLater: ipsec === "on",
      random: new SystemRandom(),
      deriveKey: await loadHkdf(),
      self: peer,
      log,
    }),
  );
}

async function openNotices(log: Logger): Promise<NlSocket | undefined> {
  const { XFRM_GROUP } = await import("../../wire/netlink/xfrm.ts");
  try {
    return openNetlinkIn({
      protocol: "xfrm",
      groups: Object.values(XFRM_GROUP),
      receiveBuffer: NOTICE_BUFFER,
    });
  } catch (thrown) {
    // Guarding a path will fail for the same reason, and say so to people.
    log.debug("overlay/ipsec", { what: "listen", reason: messageOf(thrown) });
    return undefined;
  }
}
