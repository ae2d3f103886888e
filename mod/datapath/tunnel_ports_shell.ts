/** Tunnel ports of a switch in the kernel: made, and tried again while the kernel is still removing an old one. */
import { messageOf } from "../core/errors.ts";
import { after, type Millis } from "../core/time.ts";
import type { PostEvent } from "../overlay/ports/datapath_port.ts";
import type { PortNo } from "../wire/netlink/ovs_keys.ts";

const ATTEMPTS = 5;
const RETRY_MS = 10;

/** What came of having a port; reasons are sentences without full stop. */
export type TunnelPort =
  | { readonly kind: "ready"; readonly port: PortNo }
  /** The UDP port is in use: by a port that is going, perhaps. */
  | { readonly kind: "busy" | "failed"; readonly reason: string };

/** Answers each request with `vxlan-ready` or `vxlan-failed`. */
export class TunnelPorts {
  /** Ports to try again: UDP port -> attempt and time. */
  readonly #retries = new Map<number, { attempt: number; at: Millis }>();

  /** `have` makes a port that is not there, and tells `post` of it. */
  constructor(readonly have: (udpPort: number, post: PostEvent) => TunnelPort) {}

  /** Has a port for a UDP port. */
  ensure(udpPort: number, post: PostEvent, now: Millis, attempt = 1): void {
    this.#retries.delete(udpPort);
    const result = this.#try(udpPort, post);
    if (result.kind === "ready") post({ kind: "vxlan-ready", udpPort, port: result.port });
    else if (result.kind === "busy" && attempt < ATTEMPTS) {
      this.#retries.set(udpPort, { attempt: attempt + 1, at: after(now, RETRY_MS) });
    } else post({ kind: "vxlan-failed", udpPort, reason: result.reason });
  }

  /** A port has gone: it is made again by the next wake(). */
  again(udpPort: number): void {
    this.#retries.set(udpPort, { attempt: 1, at: 0 as Millis });
  }

  /** A question that cannot be asked has an answer all the same, or a link would wait for it. */
  #try(udpPort: number, post: PostEvent): TunnelPort {
    try {
      return this.have(udpPort, post);
    } catch (thrown) {
      return { kind: "failed", reason: messageOf(thrown) };
    }
  }

  /** When the next one is tried again. */
  nextWake(): number {
    let next = Infinity;
    for (const { at } of this.#retries.values()) next = Math.min(next, at);
    return next;
  }

  /** Tries again those whose time has come. */
  wake(post: PostEvent, now: Millis): void {
    for (const [udpPort, { attempt, at }] of [...this.#retries]) {
      if (now >= at) this.ensure(udpPort, post, now, attempt);
    }
  }
}
