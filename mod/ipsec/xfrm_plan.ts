/** What the kernel's policies should be, against what they are. */
import type { Ip } from "../core/addr.ts";
import {
  DIRECTION,
  type PolicyDirection,
  type PolicySelector,
  type PolicySpec,
  type PolicyVerdict,
} from "../wire/netlink/xfrm.ts";
import { isPortPolicy, type PolicyRecord } from "../wire/netlink/xfrm_reply.ts";
import type { EspPath, WantedPath } from "../overlay/ports/esp_port.ts";

/** By these our policies (priority) and associations (reqid) are known, those of an earlier run too. */
export const OWN_MARK = 0x4d4e;

/** Selectors of a path's policies, outwards and inwards. `sub`: in the kernel's second table. */
export function policiesOf(
  { local, port, remote }: EspPath,
  sub: boolean,
): { readonly out: PolicySelector; readonly in: PolicySelector } {
  const common = { port, mark: undefined, sub };
  return {
    out: { ...common, direction: "out", src: local, dst: remote },
    in: { ...common, direction: "in", src: remote, dst: local },
  };
}

/** What goes through an association, or nothing. */
export function outwards(spi: number | undefined): PolicyVerdict {
  return spi === undefined ? { kind: "block" } : { kind: "esp", spi, reqid: OWN_MARK };
}

/** Only what came through one of our associations. */
export const INWARDS: PolicyVerdict = { kind: "esp", spi: 0, reqid: OWN_MARK };

/** Policies to set so that all is as wanted: outward ones first, as what leaves in clear cannot be called back. Empty
 * when all is well; planning again after success gives nothing. */
export function planPolicies(
  wanted: readonly WantedPath[],
  present: readonly PolicyRecord[],
  sub: boolean,
): readonly PolicySpec[] {
  const byKey = new Map(
    present.filter((policy) => policy.sub === sub).map((policy) => [keyOf(policy), policy]),
  );
  const specs = [
    ...wanted.map(({ path, spi }) => ({ ...policiesOf(path, sub).out, verdict: outwards(spi) })),
    ...wanted.map(({ path }) => ({ ...policiesOf(path, sub).in, verdict: INWARDS })),
  ].map((spec): PolicySpec => ({ ...spec, priority: OWN_MARK }));
  return specs.filter((spec) => {
    const policy = byKey.get(keyOf({ ...spec, direction: DIRECTION[spec.direction] }));
    return policy === undefined || !isAsWanted(policy, spec);
  });
}

function keyOf(
  { direction, dst, port, src }: Pick<PolicyRecord, "direction" | "src" | "dst" | "port">,
): string {
  return `${direction} ${src}>${dst}:${port}`;
}

function isAsWanted(policy: PolicyRecord, { priority, verdict }: PolicySpec): boolean {
  if (policy.priority !== priority || !isPortPolicy(policy)) return false;
  if (verdict.kind === "block") return policy.block;
  const { block, optional, reqid, spi } = policy;
  return !block && !optional && spi === verdict.spi && reqid === verdict.reqid;
}

/** Whether a policy is about this path, in either direction. */
export function isOf(policy: PolicyRecord, path: EspPath): boolean {
  const [local, remote]: readonly [Ip, Ip] = policy.direction === DIRECTION.out
    ? [policy.src, policy.dst]
    : [policy.dst, policy.src];
  return local === path.local && remote === path.remote && policy.port === path.port;
}

/** Names a policy of the kernel. */
export function selectorOf({ direction, dst, port, src, sub }: PolicyRecord): PolicySelector {
  const way: PolicyDirection = direction === DIRECTION.out ? "out" : "in";
  return { direction: way, src, dst, port, mark: undefined, sub };
}
