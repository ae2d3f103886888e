/** What NETLINK_XFRM tells those who have joined its groups (source: include/uapi/linux/xfrm.h, net/xfrm/xfrm_user.c). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { AttributeReader, type NetlinkMessage, splitMessages } from "./netlink.ts";
import { XFRM_MSG, XFRM_SIZE, XFRMA } from "./xfrm.ts";
import { type PolicyRecord, readPolicy, readSa, type SaRecord } from "./xfrm_reply.ts";

/** Octets of the heads of notices about what is gone: struct xfrm_usersa_id, struct xfrm_userpolicy_id. */
const SA_ID = 24;
const POLICY_ID = 64;

/** Something has changed. `by`: port id of the socket that asked for it, 0 for the kernel itself. */
export type XfrmNotice =
  & { readonly by: number }
  & (
    /** A policy was added, replaced or removed; undefined: not one from a host to another. */
    | { readonly kind: "policy"; readonly policy: PolicyRecord | undefined }
    /** All policies of a kind were removed. */
    | { readonly kind: "policies-flushed" }
    /** An association was removed. */
    | { readonly kind: "sa-gone"; readonly sa: SaRecord | undefined }
    /** All associations of a kind were removed. */
    | { readonly kind: "sas-flushed" }
    /** An association has reached a limit. `hard`: and is of no use any more. */
    | { readonly kind: "expired"; readonly sa: SaRecord | undefined; readonly hard: boolean }
    /** Nothing of interest. */
    | { readonly kind: "other" }
  );

/** The notices of a datagram. */
export function decodeXfrmNotices(datagram: Uint8Array): Decoded<readonly XfrmNotice[]> {
  const split = splitMessages(datagram);
  if (!split.ok) return split;
  const notices: XfrmNotice[] = [];
  for (const message of split.value) {
    const notice = decodeOne(message);
    if (!notice.ok) return notice;
    notices.push(notice.value);
  }
  return good(notices);
}

function decodeOne({ body, pid: by, type }: NetlinkMessage): Decoded<XfrmNotice> {
  switch (type) {
    case XFRM_MSG.newPolicy:
    case XFRM_MSG.updPolicy: {
      if (body.length < XFRM_SIZE.policy) return bad(`policy has ${body.length} bytes`);
      const policy = readPolicy(body, new AttributeReader(body, XFRM_SIZE.policy));
      return policy.ok ? good({ kind: "policy", by, policy: policy.value }) : policy;
    }
    case XFRM_MSG.delPolicy: {
      const inner = nested(body, POLICY_ID, XFRMA.policy, XFRM_SIZE.policy);
      if (!inner.ok) return inner;
      // The attributes of the message are the policy's.
      const policy = readPolicy(inner.value, new AttributeReader(body, POLICY_ID));
      return policy.ok ? good({ kind: "policy", by, policy: policy.value }) : policy;
    }
    case XFRM_MSG.flushPolicy:
      return good({ kind: "policies-flushed", by });
    case XFRM_MSG.delSa: {
      const inner = nested(body, SA_ID, XFRMA.sa, XFRM_SIZE.sa);
      const sa = inner.ok ? readSa(inner.value, new AttributeReader(body, SA_ID)) : inner;
      return sa.ok ? good({ kind: "sa-gone", by, sa: sa.value }) : sa;
    }
    case XFRM_MSG.flushSa:
      return good({ kind: "sas-flushed", by });
    case XFRM_MSG.expire: {
      if (body.length <= XFRM_SIZE.sa) return bad(`notice of expiry has ${body.length} bytes`);
      // struct xfrm_user_expire: the association, u8 hard, padding to 8 octets
      const sa = readSa(body, new AttributeReader(body, XFRM_SIZE.sa + 8));
      return sa.ok ? good({ kind: "expired", by, sa: sa.value, hard: body[XFRM_SIZE.sa] !== 0 }) : sa;
    }
    default:
      return good({ kind: "other", by });
  }
}

/** What is gone is in an attribute behind a head that only names it. */
function nested(body: Uint8Array, head: number, type: number, size: number): Decoded<Uint8Array> {
  if (body.length < head) return bad(`head needs ${head} bytes, has ${body.length}`);
  const reader = new AttributeReader(body, head);
  while (reader.next()) if (reader.type === type && reader.length >= size) return good(reader.value());
  return bad(reader.failure ?? `attribute ${type} is missing`);
}
