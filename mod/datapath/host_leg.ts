/** The switch's own leg: the interface through which this host would take part in the network. It is closed: it takes
 * nothing from containers, answers nothing, and sends nothing.
 *
 * A program drops what arrives before any protocol sees it (ARP, IPv4, IPv6, whatever comes), a queueing discipline
 * drops what the host would send. Both belong to the interface: they stay when this program ends. */
import { messageOf } from "../core/errors.ts";
import type { Logger, NetlinkSocket } from "../core/ports.ts";
import { BLACKHOLE, dropWhatLeaves, type Link, setLink } from "../wire/netlink/rtnetlink.ts";

/** How a leg is, as far as it matters here. */
export type PresentLeg = Pick<Link, "index" | "qdisc" | "hasProgram">;
/** What must be done to close it. */
export type LegStep = "drop-arriving" | "drop-leaving";

/** What is missing for a leg to be closed: nothing when it is. */
export function planLeg({ hasProgram, qdisc }: Omit<PresentLeg, "index">): readonly LegStep[] {
  return [
    ...hasProgram ? [] : ["drop-arriving" as const],
    ...qdisc === BLACKHOLE ? [] : ["drop-leaving" as const],
  ];
}

/** What a leg is closed with. */
export interface HostLegParts {
  /** Loads the program that drops what arrives. */
  readonly loadDropAll: () => Disposable & { readonly fd: number };
  readonly log: Pick<Logger, "warn">;
}

/** Closes the leg, and closes it again when somebody has opened it. */
export class HostLeg {
  /** What this kernel refused: said once, and not counted as a repair. */
  readonly #refused = new Set<LegStep>();

  constructor(readonly parts: HostLegParts) {}

  /** Has the leg closed; says whether that changed anything. Does not throw: a host whose kernel refuses it goes on,
   * and its log says what containers can do. */
  close(socket: NetlinkSocket, leg: PresentLeg): boolean {
    let changed = false;
    for (const step of planLeg(leg)) {
      try {
        this.#perform(socket, leg.index, step);
        this.#refused.delete(step);
        changed = true;
      } catch (thrown) {
        if (this.#refused.has(step)) continue;
        this.#refused.add(step);
        const event = step === "drop-arriving"
          ? "containers can reach this host"
          : "this host can send into the network by itself";
        this.parts.log.warn(event, { reason: messageOf(thrown) });
      }
    }
    return changed;
  }

  #perform(socket: NetlinkSocket, index: number, step: LegStep): void {
    if (step === "drop-leaving") return void socket.request(dropWhatLeaves(index));
    using program = this.parts.loadDropAll();
    socket.request(setLink(index, { program: program.fd }));
  }
}
