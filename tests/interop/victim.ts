/** A router in a process of its own, whose memory can be looked at: each line on standard input is answered by one. */
import type { PeerName } from "../../mod/core/names.ts";
import { TextLineStream } from "./lines.ts";
import { MeshPeer } from "./mesh_peer.ts";

/** What the victim says of itself. */
export interface VictimLine {
  /** Resident octets. */
  readonly rss: number;
  /** Peers with an established connection. */
  readonly established: readonly string[];
  /** Connections that ended because of what they held. */
  readonly ended: number;
  /** Octets held for connections. */
  readonly held: number;
  /** What was logged at a level that people see. */
  readonly log: readonly string[];
}

if (import.meta.main) {
  const [name, host, port] = Deno.args;
  using peer = new MeshPeer({ name: name as PeerName, host: host!, port: Number(port) });
  for await (
    const _ of Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
  ) {
    const { connections, memory } = peer.router.snapshot();
    const line: VictimLine = {
      rss: Deno.memoryUsage().rss,
      established: connections.filter(({ state }) => state === "established").map(({ peer }) => peer!),
      ended: Object.values(memory).reduce((sum, { ended }) => sum + ended, 0),
      held: Object.values(memory).reduce((sum, { held }) => sum + held, 0),
      log: peer.log.splice(0),
    };
    console.log(JSON.stringify(line));
  }
}
