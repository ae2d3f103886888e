/** The switch's own leg: the interface through which this host takes part in the network, if it is exposed to it. Until
 * then the leg is closed: it takes nothing from containers, answers nothing, and sends nothing.
 *
 * A program drops what arrives before any protocol sees it (ARP, IPv4, IPv6, whatever comes), a queueing discipline
 * drops what the host would send. Both belong to the interface: they stay when this program ends. */
import type { LogEvent } from "../core/log_events.ts";
import { messageOf } from "../core/errors.ts";
import type { Logger, NetlinkSocket } from "../core/ports.ts";
import { BLACKHOLE, dropWhatLeaves, letLeave, type Link, setLink } from "../wire/netlink/rtnetlink.ts";

/** How a leg is, as far as it matters here. */
export type PresentLeg = Pick<Link, "index" | "qdisc" | "hasProgram">;
/** What must be done to close or to open it. */
export type LegStep = "drop-arriving" | "drop-leaving" | "take-arriving" | "let-leave";

/** What is missing for a leg to be closed, or open: nothing when it is. */
export function planLeg({ hasProgram, qdisc }: Omit<PresentLeg, "index">, open = false): readonly LegStep[] {
  const isMute = qdisc === BLACKHOLE;
  if (open) return [...hasProgram ? ["take-arriving" as const] : [], ...isMute ? ["let-leave" as const] : []];
  return [...hasProgram ? [] : ["drop-arriving" as const], ...isMute ? [] : ["drop-leaving" as const]];
}

/** What the log says of a step that the kernel refuses. */
const REFUSED: Readonly<Record<LegStep, LogEvent>> = {
  "drop-arriving": "containers can reach this host",
  "drop-leaving": "this host can send into the network by itself",
  "take-arriving": "containers cannot reach this host although it is exposed",
  "let-leave": "this host cannot send into the network although it is exposed",
};

/** What a leg is closed with. */
export interface HostLegParts {
  /** Loads the program that drops what arrives. */
  readonly loadDropAll: () => Disposable & { readonly fd: number };
  readonly log: Pick<Logger, "warn">;
}

/** Keeps the leg closed or open, whatever others do to it. */
export class HostLeg {
  /** Whether it is to be open. */
  open = false;
  /** What this kernel refused: said once, and not counted as a repair. */
  readonly #refused = new Set<LegStep>();

  constructor(readonly parts: HostLegParts) {}

  /** Has the leg as it is to be; says whether that changed anything. Does not throw: a host whose kernel refuses it goes on,
   * and its log says what containers can do. */
  keep(socket: NetlinkSocket, leg: PresentLeg): boolean {
    let changed = false;
    for (const step of planLeg(leg, this.open)) {
      try {
        this.#perform(socket, leg.index, step);
        this.#refused.delete(step);
        changed = true;
      } catch (thrown) {
        if (this.#refused.has(step)) continue;
        this.#refused.add(step);
        this.parts.log.warn(REFUSED[step], { reason: messageOf(thrown) });
      }
    }
    return changed;
  }

  #perform(socket: NetlinkSocket, index: number, step: LegStep): void {
    if (step === "drop-leaving") return void socket.request(dropWhatLeaves(index));
    if (step === "let-leave") return void socket.request(letLeave(index));
    if (step === "take-arriving") return void socket.request(setLink(index, { program: null }));
    using program = this.parts.loadDropAll();
    socket.request(setLink(index, { program: program.fd }));
  }
}
