/** What the kernel's IPsec has, of us and others. */
import { ipFromBytes } from "../core/addr.ts";
import { ERRNO } from "../core/errno.ts";
import { errnoOf } from "../core/errors.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import { deletePolicy, deleteSa, dumpPolicies, dumpSas, getPolicy } from "../wire/netlink/xfrm.ts";
import {
  decodePolicy,
  decodeSa,
  isPortPolicy,
  type PolicyRecord,
  type SaRecord,
} from "../wire/netlink/xfrm_reply.ts";
import { OWN_MARK, selectorOf } from "./xfrm_plan.ts";

/** Removes every policy and association of ours; how many there were. */
export function removeOwnXfrm(socket: NetlinkSocket): number {
  const { policies, sas } = ownState(socket);
  for (const policy of policies) deleteIfThere(socket, deletePolicy(selectorOf(policy)));
  for (const sa of sas) deleteIfThere(socket, deleteSa(sa));
  return policies.length + sas.length;
}

/** Policies and associations of ours. */
export function ownState(socket: NetlinkSocket): { policies: PolicyRecord[]; sas: SaRecord[] } {
  const policies = allPolicies(socket).filter((policy) =>
    policy.priority === OWN_MARK && isPortPolicy(policy)
  );
  return { policies, sas: ownSas(socket) };
}

/** Every policy from a host to another. */
export function allPolicies(socket: NetlinkSocket): PolicyRecord[] {
  return socket.request(dumpPolicies()).flatMap((reply) => {
    const policy = decodePolicy(reply);
    return policy.ok && policy.value !== undefined ? [policy.value] : [];
  });
}

/** Associations of ours, those without a key included. */
export function ownSas(socket: NetlinkSocket): SaRecord[] {
  return socket.request(dumpSas()).flatMap((reply) => {
    const sa = decodeSa(reply);
    return sa.ok && sa.value?.reqid === OWN_MARK ? [sa.value] : [];
  });
}

/** Whether the kernel has a second table of policies. Asks for one that is not there: a kernel without the second table
 * finds fault with the question itself. */
export function hasSubPolicies(socket: NetlinkSocket): boolean {
  const nobody = ipFromBytes(Uint8Array.of(0, 0, 0, 0))!;
  try {
    socket.request(
      getPolicy({ direction: "out", src: nobody, dst: nobody, port: 0, mark: undefined, sub: true }),
    );
    return true;
  } catch (thrown) {
    return errnoOf(thrown) === ERRNO.ENOENT;
  }
}

/** Sends a request to remove something; that it is gone already is no error. */
export function deleteIfThere(socket: NetlinkSocket, message: Uint8Array<ArrayBuffer>): void {
  try {
    socket.request(message);
  } catch (thrown) {
    const errno = errnoOf(thrown);
    if (errno !== ERRNO.ENOENT && errno !== ERRNO.ESRCH) throw thrown;
  }
}
