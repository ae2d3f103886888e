/** Agreement on who shares the universe out at first: Paxos over gossip (source: spec ipam.md, section 5.2). */
import type { PeerName } from "../core/names.ts";
import {
  MAX_IPAM_CLAIMS,
  NO_PROPOSAL,
  nodeKey,
  type PaxosClaims,
  type PaxosKnowledge,
  type PaxosNode,
  type ProposalId,
} from "../wire/ipam/ipam_types.ts";

const NOTHING: PaxosClaims = { promise: NO_PROPOSAL, accepted: NO_PROPOSAL, value: [], origin: NO_PROPOSAL };

/**
 * One node of an election. A node is one run of a process: after a restart it is another one, so nothing need be
 * remembered. Until `start()` it promises and accepts, but never proposes or concludes.
 */
export class Election {
  readonly #known = new Map<string, { readonly node: PaxosNode; claims: PaxosClaims }>();
  readonly #key: string;
  /** How many nodes make a decision; 0 until `start()`. */
  quorum = 0;

  /** A node that knows nobody. */
  constructor(readonly self: PaxosNode) {
    this.#key = nodeKey(self);
  }

  /** All that is known, as it is told to others. */
  get known(): PaxosKnowledge {
    return this.#known;
  }

  /** What this node claims, and nothing of others. */
  get own(): PaxosKnowledge {
    return new Map([[this.#key, { node: this.self, claims: this.#mine }]]);
  }

  /** Whose proposal this node has promised to. */
  get proposer(): PeerName {
    return this.#mine.promise.proposer.name;
  }

  get #mine(): PaxosClaims {
    return this.#known.get(this.#key)?.claims ?? NOTHING;
  }

  #set(claims: PaxosClaims): void {
    this.#known.set(this.#key, { node: this.self, claims });
  }

  /** From now on this node concludes, among about `peers` nodes. */
  start(peers: number): void {
    this.quorum = Math.floor(Math.max(1, peers) / 2) + 1;
  }

  /** Opens a new round. */
  propose(): void {
    let round = 0;
    for (const { claims } of this.#known.values()) {
      round = Math.max(round, claims.promise.round, claims.accepted.round);
    }
    this.#set({ ...this.#mine, promise: { round: round + 1, proposer: this.self } });
    if (this.quorum === 1) this.think();
  }

  /** Takes in what another node knows; true when something was new. */
  merge(theirs: PaxosKnowledge): boolean {
    let changed = false;
    for (const [key, { node, claims }] of theirs) {
      const mine = this.#known.get(key);
      if (mine === undefined) {
        if (this.#known.size >= MAX_IPAM_CLAIMS) continue;
        this.#known.set(key, { node, claims });
        changed = true;
        continue;
      }
      if (compare(claims.promise, mine.claims.promise) > 0) {
        mine.claims = { ...mine.claims, promise: claims.promise };
        changed = true;
      }
      if (compare(claims.accepted, mine.claims.accepted) > 0) {
        const { accepted, value, origin } = claims;
        mine.claims = { ...mine.claims, accepted, value, origin };
        changed = true;
      }
    }
    return changed;
  }

  /** Promises and accepts what there is reason to; true when others must hear of it. */
  think(): boolean {
    const before = this.#mine;
    let mine = before;
    for (const { claims } of this.#known.values()) {
      if (compare(claims.promise, mine.promise) > 0) mine = { ...mine, promise: claims.promise };
    }
    this.#set(mine);
    if (this.quorum > 0 && compare({ ...mine.promise, proposer: this.self }, mine.promise) === 0) {
      const promised = [...this.#known.values()].filter(({ claims }) =>
        compare(claims.promise, mine.promise) === 0
      );
      if (mine.promise.round > 0 && promised.length >= this.quorum) {
        mine = { ...mine, accepted: mine.promise, ...this.#valueOf(promised.map(({ claims }) => claims)) };
      }
    }
    for (const { claims } of this.#known.values()) {
      if (claims.accepted.round > 0 && compare(claims.accepted, mine.promise) === 0) {
        mine = { ...mine, accepted: claims.accepted, value: claims.value, origin: claims.origin };
        break;
      }
    }
    this.#set(mine);
    return compare(mine.promise, before.promise) !== 0 || compare(mine.accepted, before.accepted) !== 0 ||
      compare(mine.origin, before.origin) !== 0;
  }

  /** The peers agreed on, if this node may conclude that. */
  consensus(): readonly PeerName[] | undefined {
    if (this.quorum === 0) return undefined;
    const all = [...this.#known.values()].map(({ claims }) => claims).filter(({ accepted }) =>
      accepted.round > 0
    );
    const agreed = all.find(({ origin }) =>
      origin.round > 0 && all.filter((other) => compare(other.origin, origin) === 0).length >= this.quorum
    );
    return agreed?.value;
  }

  /** What those who promised have accepted last; a fresh value if they have accepted nothing. */
  #valueOf(promised: readonly PaxosClaims[]): Pick<PaxosClaims, "value" | "origin"> {
    const last = promised.reduce((best, claims) =>
      compare(claims.accepted, best.accepted) > 0 ? claims : best
    );
    if (last.accepted.round > 0) return { value: last.value, origin: last.origin };
    const names = new Set([...this.#known.values()].map(({ node }) => node.name));
    return { value: [...names].sort(), origin: this.#mine.promise };
  }
}

function compare(a: ProposalId, b: ProposalId): number {
  if (a.round !== b.round) return a.round - b.round;
  if (a.proposer.name !== b.proposer.name) return a.proposer.name < b.proposer.name ? -1 : 1;
  return a.proposer.uid === b.proposer.uid ? 0 : a.proposer.uid < b.proposer.uid ? -1 : 1;
}
