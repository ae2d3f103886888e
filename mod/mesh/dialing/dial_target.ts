/** What the connection maker keeps of each target, and how it shows to people. */
import type { PeerName } from "../../core/names.ts";
import type { AttemptId } from "../mesh_ids.ts";
import type { TargetSpec } from "./target.ts";

/** Where a target stands, for people.
 *
 *     waiting --> connecting (first try) or retrying --> connected
 *        ^            |                                     |
 *        +--failed <--+--------------<----------------------+      satisfied: reached by another connection
 *                                                                      itself: it leads to this host
 */
export type TargetState =
  | "waiting"
  | "connecting"
  | "retrying"
  | "failed"
  | "connected"
  | "satisfied"
  | "itself";

/** One target, for people. */
export interface TargetView {
  /** As given, or the address of a discovered one. */
  readonly target: string;
  readonly direct: boolean;
  /** The address in use or last tried; undefined when a name was not looked up yet. */
  readonly address: string | undefined;
  readonly state: TargetState;
  readonly peer: PeerName | undefined;
  /** Why it is not connected: a sentence, or empty. */
  readonly info: string;
  /** When it is tried next; Infinity for never; undefined while it is not waiting. */
  readonly retryAt: number | undefined;
}

/** `ready` has an address and is dialled by the next evaluation, unless that address turns out to be reached already. */
export type Phase = "idle" | "resolving" | "ready" | "dialing" | "connected";

/** One address or name that is to be dialled, and how that goes. */
export interface DialTarget {
  readonly key: string;
  readonly direct: TargetSpec | undefined;
  addresses: readonly string[];
  /** Index of the address that is tried now or next. */
  at: number;
  phase: Phase;
  attempt: AttemptId | undefined;
  /** When it is tried next. */
  tryAt: number;
  /** How long to wait after the next failure, milliseconds. */
  interval: number;
  /** How long to wait after the loss of the next connection that did not live long, milliseconds. */
  pause: number;
  /** When it came to where it stands: the look-up or dial began, or the connection was there. */
  since: number;
  error: string | undefined;
  /** Of a peer that is followed where it may have moved: until when. */
  until?: number;
  /** Until when its dial waits for a connection from there that is being introduced; undefined: it never had to. */
  waitsUntil?: number;
  /** Why its name has no address, as was said last; undefined: it has one. */
  nameless?: string | undefined;
  /** Whether another connection already leads there. */
  satisfied: boolean;
  peer: PeerName | undefined;
}

const ITSELF = "this address is one of this host itself: name another host";

/** A target as people see it; `self`: our own name. */
export function viewOf(target: DialTarget, self: PeerName): TargetView {
  const { key, direct, error, peer, phase } = target;
  const held = target.satisfied && phase === "idle";
  const state = !held ? stateOf(target) : peer === self ? "itself" : "satisfied";
  return {
    target: key,
    direct: direct !== undefined,
    address: target.addresses[target.at],
    state,
    peer,
    info: state === "itself"
      ? ITSELF
      : state === "satisfied" || state === "connected"
      ? ""
      : error ?? (state === "waiting" ? "is tried soon" : ""),
    retryAt: phase === "idle" && !held ? target.tryAt : undefined,
  };
}

function stateOf({ phase, error }: DialTarget): TargetState {
  switch (phase) {
    case "idle":
      return error === undefined ? "waiting" : "failed";
    case "resolving":
    case "ready":
    case "dialing":
      return error === undefined ? "connecting" : "retrying";
    case "connected":
      return "connected";
  }
}

/** What is news of a name: it has no address, for a reason, or it has one again. */
export interface NameNews {
  readonly host: string;
  /** undefined: it has one. */
  readonly reason: string | undefined;
}

/** What a look-up tells that the one before did not. */
export function nameNews(target: DialTarget, reason: string | undefined): NameNews | undefined {
  if (target.nameless === reason || target.direct === undefined) return undefined;
  target.nameless = reason;
  return { host: target.direct.host, reason };
}
