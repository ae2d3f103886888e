/** A daemon that has started, as its process sees it. */
import { releaseMemory } from "../../ffi/memory.ts";
import { notifyServiceManager } from "../../ffi/process.ts";
import { messageOf } from "../core/errors.ts";
import type { Faults } from "../core/faults.ts";
import type { Logger } from "../core/ports.ts";
import type { DataplaneHandle } from "./threads/dataplane_client.ts";

/** A running daemon. Disposing it stops every part in reverse order; what is in the kernel stays. */
export interface Daemon extends AsyncDisposable {
  /** The log, for what happens around it. */
  readonly logger: Logger;
  /** Takes what fails where nobody waits for it. */
  readonly faults: Faults;
  /** Tells systemd something; without systemd, nothing happens. */
  notify(state: string): void;
  /** The configuration names other peers now. */
  setPeers(peers: readonly string[]): void;
  /** Gives back memory that only starting needed. */
  releaseMemory(): void;
  /** Whether the data plane answers within this many milliseconds. */
  isAlive(withinMs: number): Promise<boolean>;
}

/** What a running daemon is made of. */
export interface RunningParts {
  readonly dataplane: DataplaneHandle;
  readonly logger: Logger;
  readonly faults: Faults;
  readonly setPeers: (peers: readonly string[]) => void;
  /** Stops every part. */
  readonly parts: AsyncDisposable;
}

/** The daemon that is made of these. */
export function daemonOf({ dataplane, faults, logger, parts, setPeers }: RunningParts): Daemon {
  const socket = Deno.env.get("NOTIFY_SOCKET");
  return {
    ...{ faults, logger },
    setPeers,
    releaseMemory,
    notify(state) {
      if (!socket) return;
      try {
        notifyServiceManager(socket, state);
      } catch (error) {
        logger.warn("cannot tell the service manager", { reason: messageOf(error) });
      }
    },
    async isAlive(withinMs) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), withinMs));
      const answered = dataplane.report().then(() => true, () => false);
      try {
        return await Promise.race([answered, late]);
      } finally {
        clearTimeout(timer);
      }
    },
    [Symbol.asyncDispose]: async () => await parts[Symbol.asyncDispose](),
  };
}
