/** What flows had carried when they were deleted or changed: told together, as there may be thousands at once. */
import { NLM_F } from "../wire/netlink/netlink.ts";
import type { PostEvent } from "../overlay/ports/datapath_port.ts";
import type { FlowCarried } from "../overlay/ports/dataplane_types.ts";

/** Answers that may wait at the socket of misses: they must not take the place of those. */
const MAX_ANSWERS = 512;

/** Collects counts, and tells them when asked to. */
export class EndedFlows {
  #counts: FlowCarried[] = [];

  /** A flow ends, or is changed. */
  add(flow: FlowCarried | undefined): void {
    if (flow === undefined || flow.packets === 0) return;
    const { bytes, packets, ufid } = flow;
    this.#counts.push({ bytes, packets, ufid });
  }

  /** Tells all that was collected. */
  tell(post: PostEvent): void {
    if (this.#counts.length === 0) return;
    const flows = this.#counts;
    this.#counts = [];
    post({ kind: "carried", flows });
  }
}

/** How many requests the kernel is asked to answer with the flow. Their answers come by the socket of misses. */
export class AskedAnswers {
  #open = 0;

  /** Flags of the next request: whether it is answered with the flow. */
  flags(): number {
    if (this.#open >= MAX_ANSWERS) return NLM_F.request;
    this.#open++;
    return NLM_F.request | NLM_F.echo;
  }

  /** The socket is empty: none is on its way. */
  settle(): void {
    this.#open = 0;
  }
}
