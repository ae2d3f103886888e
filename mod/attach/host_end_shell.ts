/** The host's end of an attachment, looked at and removed without entering the target. */
import { formatCidr, formatMac } from "../core/addr.ts";
import { ERRNO } from "../core/errno.ts";
import { MeshnetError, messageOf } from "../core/errors.ts";
import type { Logger, NetlinkSocket } from "../core/ports.ts";
import { deleteLink, setLink } from "../wire/netlink/rtnetlink.ts";
import type { SwitchPorts } from "./adapters.ts";
import { applySteps } from "./apply_shell.ts";
import type { Attachment, Suspects } from "./attachment.ts";
import { failedWith, findLink, listLinks } from "./links_shell.ts";
import { hostInterface, isAttachmentInterface } from "./names.ts";
import type { AttachmentRecord } from "./record.ts";
import { judge } from "./registry.ts";
import type { PlannedStep } from "./step.ts";
import { CONTAINER_PREFIX, findTarget, type NamespaceProbe, parseAttachTarget } from "./target.ts";

const IFF_LOWER_UP = 1 << 16;
/** Names of interfaces that one line of the log holds. */
const MAX_NAMES = 16;

/** What is needed of the host. */
export interface HostSurroundings {
  /** An rtnetlink socket of the daemon's namespace. */
  readonly host: NetlinkSocket;
  readonly ports: SwitchPorts;
  readonly probe: NamespaceProbe;
}

/**
 * Removes a host end from the switch and from the host, and with it the interface in the target; one that is not
 * there is fine. Returns warnings. On failure it is a port again, if it was, and "attach/failed" is thrown.
 */
export function removeHostEnd(name: string, around: HostSurroundings, action: string): readonly string[] {
  const link = findLink(around.host, name);
  if (link === undefined) return [];
  if (link.kind !== "veth") {
    throw new MeshnetError(
      "attach/failed",
      `Cannot ${action}: ${name} is a link of kind ${link.kind}, not ours`,
    );
  }
  const planned: readonly PlannedStep[] = [
    {
      step: { kind: "remove-port", name },
      undo: around.ports.has(name) ? { kind: "add-port", name } : undefined,
    },
    { step: { kind: "delete-link", side: "host", name }, undo: undefined },
  ];
  return applySteps(planned, (step) => {
    if (step.kind === "remove-port") around.ports.remove(name);
    else if (step.kind === "add-port") around.ports.add(name);
    else removeLink(around.host, link.index);
  }, action);
}

/** Remembers which interface each host end is, so that one which somebody renamed gets its name back. */
export class HostEnds {
  readonly #indexes = new Map<string, number>();

  /** `host` is an rtnetlink socket of the daemon's namespace, borrowed. */
  constructor(readonly host: NetlinkSocket) {}

  /** Remembers the host end of this attachment as it is now; forgets it when it is not there. */
  note(id: string): void {
    const link = findLink(this.host, hostInterface(id));
    if (link === undefined) this.#indexes.delete(id);
    else this.#indexes.set(id, link.index);
  }

  /** Gives a host end its name back. Does nothing when it has that, or is unknown, or has gone. */
  regainName(id: string): void {
    const index = this.#indexes.get(id);
    const name = hostInterface(id);
    if (index === undefined || findLink(this.host, name) !== undefined) return;
    const link = findLink(this.host, index);
    if (link?.kind !== "veth") return;
    try {
      this.host.request(setLink(index, { name }));
    } catch (thrown) {
      if (!failedWith(thrown, ERRNO.EBUSY)) throw thrown;
      this.host.request(setLink(index, { up: false })); // older kernels rename only what is down
      this.host.request(setLink(index, { name }));
    }
  }
}

/** Host ends that no record knows. */
export class UnknownEnds {
  #names: readonly string[] = [];

  /** `host` is an rtnetlink socket of the daemon's namespace, borrowed. */
  constructor(readonly host: NetlinkSocket, readonly log: Logger) {}

  /** Those that the last look found. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** Looks for them, and tells of new ones. */
  look(known: ReadonlySet<string>): void {
    const unknown = listLinks(this.host).map((link) => link.name)
      .filter((name) => isAttachmentInterface(name) && !known.has(name)).sort();
    const news = unknown.filter((name) => !this.#names.includes(name));
    this.#names = unknown;
    if (news.length === 0) return;
    const reason = "an attachment of an earlier run that the state no longer knows";
    const interfaces = news.slice(0, MAX_NAMES).join(" ");
    this.log.warn("interfaces in no record", { interfaces, count: news.length, reason });
  }
}

/** Of these attachments those that `only` may be about. */
export function suspectsOf(
  records: readonly AttachmentRecord[],
  { guests, hostEnds, targets = [] }: Suspects,
  host: NetlinkSocket,
): readonly AttachmentRecord[] {
  const named = new Set(hostEnds);
  if (guests.length > 0 && records.length > 0) {
    const indexes = new Set(guests);
    for (const { name, peerIndex } of listLinks(host)) {
      if (peerIndex !== undefined && indexes.has(peerIndex)) named.add(name);
    }
  }
  return records.filter(({ id, target }) => named.has(hostInterface(id)) || targets.includes(target));
}

/** Removes a link; fine when it has just gone with its namespace. */
function removeLink(socket: NetlinkSocket, index: number): void {
  try {
    socket.request(deleteLink(index));
  } catch (thrown) {
    if (!failedWith(thrown, ERRNO.ENODEV)) throw thrown;
  }
}

/** An attachment for people. `failure` is why the last attempt to put it right failed. Looks from outside only: cheap,
 * and enough to see what usually goes wrong. */
export function describeAttachment(
  record: AttachmentRecord,
  around: HostSurroundings,
  failure: string | undefined,
): Attachment {
  const target = parseAttachTarget(record.target);
  const standing = target.kind === "container" ? around.probe.container(target.id) : undefined;
  const isStopped = standing?.kind === "stopped"; // as somebody wanted it
  const problem = isStopped ? null : failure ?? problemOf(record, around);
  return {
    target: record.target,
    name: standing === undefined || standing.kind === "gone" ? null : standing.name ?? null,
    interface: record.interface,
    hostInterface: hostInterface(record.id),
    mac: record.mac === undefined ? null : formatMac(record.mac),
    addresses: record.addresses.map(formatCidr),
    attached: !isStopped && problem === null,
    problem,
  };
}

function problemOf(record: AttachmentRecord, around: HostSurroundings): string | null {
  try {
    const found = findTarget(parseAttachTarget(record.target), around.probe);
    const verdict = judge(record, found, around.probe);
    if (verdict.kind === "wait") {
      const why = verdict.why.charAt(0).toUpperCase() + verdict.why.slice(1);
      return record.target.startsWith(CONTAINER_PREFIX)
        ? `${why}; it will be attached when it does`
        : `${why}; it will be attached when there is one`;
    }
    if (verdict.kind === "forget") return `The ${verdict.why}; it will be forgotten`;
    const name = hostInterface(record.id);
    const link = findLink(around.host, name);
    if (link === undefined) return `Interface ${record.interface} is missing; it will be made again`;
    if (!around.ports.has(name)) return `${name} is not connected to the switch; it will be connected again`;
    return (link.flags & IFF_LOWER_UP) === 0 ? `Interface ${record.interface} is down` : null;
  } catch (thrown) {
    return messageOf(thrown);
  }
}
