/** Answers about what happened lately. */

/** One thing that happened to this host's network. */
export interface HistoryReport {
  /** When, in UTC: `2026-01-31T12:00:00.000Z`. */
  readonly at: string;
  /** What: the daemon `started`, `stopped` or `failed`; a peer was `connected`, traffic reached it (`established`), it was
   * carried another way (`overlay`), it was `disconnected`; a target was `attached` or `detached`, or answered its checks
   * (`healthy`) or no longer (`unhealthy`). */
  readonly event:
    | "started"
    | "stopped"
    | "failed"
    | "connected"
    | "established"
    | "overlay"
    | "disconnected"
    | "attached"
    | "detached"
    | "healthy"
    | "unhealthy";
  /** Which peer; null: none. */
  readonly peer: string | null;
  /** Its name for people, as far as known. */
  readonly nickname: string | null;
  /** Which attached target; null: none. */
  readonly target: string | null;
  /** Address and port of the peer. */
  readonly address: string | null;
  /** How traffic is carried from then on. */
  readonly overlay: string | null;
  /** Why. */
  readonly reason: string | null;
  /** How much was left out before it, because too much happened at once. */
  readonly leftOut: number;
}

/** A peer that was connected within the last hour, and is no longer. */
export interface LostReport {
  /** Its name. */
  readonly peer: string;
  /** Its name for people, as far as known. */
  readonly nickname: string | null;
  /** Where it was. */
  readonly address: string;
  /** Why the connection ended; a sentence without full stop. */
  readonly reason: string;
  /** Milliseconds since then. */
  readonly agoMs: number;
}
