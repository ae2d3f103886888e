/** Tunnel ports of the kernel's datapath: made, and tried again while the kernel is still removing an old one. */
import { messageOf } from "../core/errors.ts";
import { after, type Millis } from "../core/time.ts";
import type { PostEvent } from "../overlay/ports/datapath_port.ts";
import type { Vport } from "../wire/netlink/ovs_keys.ts";
import type { OvsKernel } from "./ovs_kernel_shell.ts";

const ATTEMPTS = 5;
const RETRY_MS = 10;

/** What tunnel ports need. */
export interface OvsTunnelsParts {
  /** Has the port. */
  readonly ensure: OvsKernel["ensureVxlan"];
  /** Takes note of it. */
  readonly learn: (port: Vport, post: PostEvent) => void;
}

/** Answers each request with `vxlan-ready` or `vxlan-failed`. */
export class OvsTunnels {
  /** Ports to try again: UDP port -> attempt and time. */
  readonly #retries = new Map<number, { attempt: number; at: Millis }>();

  constructor(readonly parts: OvsTunnelsParts) {}

  /** Has a port for a UDP port. */
  ensure(udpPort: number, post: PostEvent, now: Millis, attempt = 1): void {
    this.#retries.delete(udpPort);
    const result = this.#try(udpPort);
    if (result.kind === "ready") {
      this.parts.learn(result.port, post);
      post({ kind: "vxlan-ready", udpPort, port: result.port.port });
    } else if (result.kind === "busy" && attempt < ATTEMPTS) {
      this.#retries.set(udpPort, { attempt: attempt + 1, at: after(now, RETRY_MS) });
    } else post({ kind: "vxlan-failed", udpPort, reason: result.reason });
  }

  /** A question that cannot be asked has an answer all the same, or a link would wait for it. */
  #try(udpPort: number): ReturnType<OvsKernel["ensureVxlan"]> {
    try {
      return this.parts.ensure(udpPort);
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
