/** From where a way is followed: which target here, and by which of its addresses. */
import { type Attachments, CONTAINER_PREFIX } from "../../attach/mod.ts";
import type { PathEnd, PathRequest } from "../../control/doctor_types.ts";
import { formatMac, type Ip, isIpv4, parseCidr } from "../../core/addr.ts";
import { MeshnetError } from "../../core/errors.ts";
import { closest } from "../../core/suggest.ts";
import { lackOf, type WayOut } from "../../doctor/path_verdict.ts";
import type { UserHere } from "../addresses/taken_addresses.ts";

/** Targets whose routes are looked at where none was named. */
const MOST_STARTS = 16;

/** What is used. */
export interface StartParts {
  readonly attachments: Pick<Attachments, "holderOf" | "list">;
  /** Who is in the engine's networks here. */
  readonly members: () => readonly UserHere[];
  /** Where a target is. */
  readonly namespaceOf: (target: string) => string | undefined;
  /** By which address somebody in a namespace sends to another; undefined: it cannot be told. */
  readonly wayOut: (netns: string, ip: Ip) => Promise<WayOut | undefined>;
}

/** A target that sends. */
export interface Start {
  /** Whether it is a container in a network of the engine, whose interface the engine named. */
  readonly isMember: boolean;
  readonly end: PathEnd;
  readonly mac: string;
  readonly ip: Ip;
  /** All its addresses, with their networks where these are known. */
  readonly cidrs: readonly string[];
}

/** The target that was named, or all that are attached here. Throws "attach/not-attached". */
export function startsOf({ from }: PathRequest, { attachments, members }: StartParts): readonly Start[] {
  const all = attachments.list();
  const attached = from === null ? all.filter(({ attached }) => attached) : [
    attachedAs(from, all) ??
      all.find(({ target }) => target === attachments.holderOf(from, { remembered: true })),
  ].filter((one) => one !== undefined);
  const joined = from === null ? members() : [attachedAs(from, members())].filter((one) => one !== undefined);
  if (from !== null && attached.length + joined.length === 0) {
    const known = [...all, ...members()];
    const near = known.find(({ target }) => target.endsWith(`:${from}`))?.target ??
      closest(from, known.flatMap(({ name, target }) => name === null ? [target] : [name, target]));
    throw new MeshnetError("attach/not-attached", `Cannot look from ${from}: it is not attached`, {
      hint: near === undefined
        ? "`meshnet ps` lists what is"
        : `Did you mean ${near}? \`meshnet ps\` lists what is`,
    });
  }
  return [
    ...attached.flatMap(({ addresses, mac, name, problem, target }) =>
      startBy({ isMember: false, cidrs: addresses, mac, end: { name, problem, target } })
    ),
    ...joined.flatMap(({ ips, mac, name, target }) =>
      startBy({
        ...{ isMember: true, cidrs: ips, mac: mac === undefined ? null : formatMac(mac) },
        end: { name, problem: null, target },
      })
    ),
  ];
}

function startBy(
  { cidrs, end, isMember, mac }: Pick<Start, "cidrs" | "isMember"> & {
    readonly end: Omit<PathEnd, "address" | "mac">;
    readonly mac: string | null;
  },
): readonly Start[] {
  const ips = cidrs.map(ipOf);
  const ip = ips.find(isIpv4) ?? ips[0];
  if (ip === undefined || mac === null) return [];
  return [{ isMember, end: { ...end, address: ip, mac }, mac, ip, cidrs }];
}

function ipOf(cidr: string): Ip {
  return parseCidr(cidr)?.ip ?? cidr as Ip;
}

/** What is attached here and is called so. */
export function attachedAs<T extends { readonly name: string | null; readonly target: string }>(
  word: string,
  all: readonly T[],
): T | undefined {
  return all.find(({ name, target }) =>
    name === word || target === word || name !== null && `${CONTAINER_PREFIX}${name}` === word
  );
}

/** The starts that do not have the address themselves. */
export function startsElsewhere(starts: readonly Start[], to: Ip | undefined): readonly Start[] {
  return starts.filter(({ cidrs }) => to === undefined || !cidrs.some((cidr) => ipOf(cidr) === to));
}

/** Where a start is. */
export function namespaceOf({ end }: Start, parts: Pick<StartParts, "namespaceOf">): string | undefined {
  return end.target === null ? undefined : parts.namespaceOf(end.target);
}

/** The first that reaches an address by its own routes, with the address from which it sends there. `lack` says why the
 * one that was named does not. Where none was named and none has a way there, one looks from the host: a daemon can ask
 * for addresses of IPv4 by itself. */
export async function chosenStart(
  starts: readonly Start[],
  to: Ip | undefined,
  parts: Pick<StartParts, "namespaceOf" | "wayOut"> & { readonly named: boolean },
): Promise<{ readonly start: Start | undefined; readonly lack?: string | undefined }> {
  if (to === undefined) return { start: starts[0] };
  let lack: string | undefined;
  for (const start of starts.slice(0, MOST_STARTS)) {
    const netns = namespaceOf(start, parts);
    const way = netns === undefined ? undefined : await parts.wayOut(netns, to);
    if (way === undefined) return { start };
    const why = lackOf({ ...start.end, target: start.end.target ?? "", cidrs: start.cidrs }, to, way);
    if (why === undefined) {
      const ip = way === "none" || way === to ? start.ip : way;
      return { start: { ...start, ip, end: { ...start.end, address: ip } } };
    }
    lack ??= why;
  }
  const isFromHost = !parts.named && isIpv4(to);
  return isFromHost ? { start: undefined } : { start: starts[0], lack };
}
