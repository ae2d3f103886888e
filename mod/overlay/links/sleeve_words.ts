/** Why a user-space link carries no traffic, in words. */
import { type Endpoint, formatEndpoint } from "../../core/addr.ts";
import { HEARTBEAT_TIMEOUT_MS } from "./beats.ts";
import { ANSWER_LIMIT_MS } from "./sleeve_watch.ts";

/** What is known of a link that the mesh has confirmed and that does not work. */
export interface SleeveTrouble {
  /** Whether it has worked. */
  readonly established: boolean;
  /** Whether the peer says that it hears us. */
  readonly acknowledged: boolean;
  /** Our UDP port. */
  readonly port: number;
  /** Whether it is too early to complain. */
  readonly testing: boolean;
  /** Whether the peer's heartbeats arrive. */
  readonly heard: boolean;
  /** Whether the peer has ceased to answer. */
  readonly unanswered: boolean;
  /** Whether we dialled. */
  readonly outbound: boolean;
  /** The remote end of the control connection. */
  readonly dialled: Endpoint;
  /** Where the peer is, as far as that is known. */
  readonly remote: Endpoint | undefined;
}

/** A sentence without full stop. */
export function whyNotSleeve(trouble: SleeveTrouble): string {
  const { established, testing, heard, unanswered, outbound, dialled, remote } = trouble;
  const port = outbound ? `UDP ${dialled.port} of ${dialled.ip}` : `UDP ${trouble.port} of this host`;
  if (established) {
    const silence = unanswered
      ? `the peer has not answered for ${ANSWER_LIMIT_MS / 1000} s`
      : `no heartbeat from the peer for ${HEARTBEAT_TIMEOUT_MS / 1000} s`;
    return `${silence}: a firewall blocks UDP, or the way to ${formatEndpoint(remote ?? dialled)} is broken`;
  }
  if (remote === undefined) {
    return `waiting for the peer's first heartbeat to learn its address: if none comes, a firewall blocks ${port}`;
  }
  if (trouble.acknowledged && !testing) {
    return `nothing arrives from the peer over UDP, although it hears this host: ` +
      `let this host's firewall accept UDP ${trouble.port} from ${remote.ip}`;
  }
  if (testing) return "testing the path with heartbeats over UDP";
  return heard
    ? `the peer's heartbeats arrive but it does not answer ours: a firewall blocks UDP towards ${
      formatEndpoint(remote)
    }`
    : `no answer to heartbeats over UDP: a firewall blocks ${port}`;
}
