/** The one error class, and all its codes. */

/** Stable codes; nobody parses message text. The part before the slash is the area. */
export type ErrorCode =
  | "usage/bad-option"
  | "usage/bad-target"
  | "usage/bad-address"
  | "usage/bad-config"
  | "usage/bad-health"
  | "usage/bad-name"
  | "usage/bad-record"
  | "up/not-permitted"
  | "up/port-taken"
  | "up/already-running"
  | "up/unsafe-folder"
  | "control/not-running"
  | "control/request-failed"
  | "control/degraded"
  | "datapath/module-missing"
  | "datapath/unavailable"
  | "datapath/wrong-kind"
  | "native/library-missing"
  | "native/call-failed"
  | "netlink/request-failed"
  | "netlink/timeout"
  | "netlink/torn"
  | "attach/bad-target"
  | "attach/bad-address"
  | "attach/no-address"
  | "attach/not-attached"
  | "attach/in-use"
  | "attach/failed"
  | "engine/unreachable"
  | "engine/bad-answer"
  | "state/unreadable"
  | "state/not-writable"
  | "peer/unknown"
  | "ipam/off"
  | "ipam/bad-subnet"
  | "ipam/out-of-range"
  | "ipam/in-use"
  | "ipam/owned-by-other"
  | "ipam/not-found"
  | "ipam/exhausted"
  | "ipam/no-ring"
  | "ipam/cancelled"
  | "ipam/too-many"
  | "ipam/clone"
  | "ipam/removed"
  | "ipam/peer-connected"
  | "ipam/peers-missing"
  | "ipam/shut-down"
  | "ipam/ring-exists"
  | "ipam/owners-missing"
  | "ipam/bad-backup"
  | "ipam/range-overlaps"
  | "dns/unavailable"
  | "dns/off"
  | "dns/bad-name"
  | "dns/too-many"
  | "dns/not-found"
  | "dns/conflict";

/** A failure that a person may read: what could not be done, what to try, and why. */
export class MeshnetError extends Error {
  /** Tells it from other errors, even after it was copied to another thread. */
  override readonly name = "MeshnetError";
  /** What to try next, as a sentence; undefined when there is nothing to try. */
  readonly hint: string | undefined;
  /** errno of the failed system call (positive), where there is one. */
  readonly errno: number | undefined;

  /** `message` names the failed action, without a full stop; `code` is for programs. */
  constructor(
    readonly code: ErrorCode,
    message: string,
    more: { hint?: string | undefined; cause?: unknown; errno?: number } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.hint = more.hint;
    this.errno = more.errno;
  }
}

/** The text of an error of the operating system without its number and the call: `No such file or directory`. */
export function systemReason(thrown: unknown): string {
  return messageOf(thrown).replace(/ \(os error [0-9]+\)[^]*$/, "");
}

/** Error number of the system call that failed; undefined for any other failure. */
export function errnoOf(thrown: unknown): number | undefined {
  return thrown instanceof MeshnetError ? thrown.errno : undefined;
}

/** The text of any thrown value. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
