/** How much memory others can make us hold: pools with a bound in all and for each holder, the greediest lets go first. */

/** Bounds of a pool, octets. */
export interface PoolLimits {
  /** What all holders may hold together. */
  readonly total: number;
  /** What one holder may hold. */
  readonly each: number;
}

/** What a pool holds now and what it cost. */
export interface PoolUse {
  /** Octets held. */
  readonly held: number;
  /** Holders that had to let go since the start. */
  readonly ended: number;
}

class Pool<Holder> {
  readonly holders = new Map<Holder, number>();
  held = 0;
  ended = 0;

  constructor(readonly limits: PoolLimits) {}

  set(holder: Holder, octets: number): void {
    this.held += octets - (this.holders.get(holder) ?? 0);
    if (octets === 0) this.holders.delete(holder);
    else this.holders.set(holder, octets);
  }

  /** The one that holds most; of equals the one that came first. */
  greediest(): Holder | undefined {
    let most = 0;
    let found: Holder | undefined;
    for (const [holder, octets] of this.holders) {
      if (octets > most) [most, found] = [octets, holder];
    }
    return found;
  }
}

/**
 * Counts what each holder holds in each pool. Pools are separate: who fills one takes nothing from the others. It
 * allocates and frees nothing: whoever hold() names must be made to let go by the caller, and is not counted any more.
 */
export class MemoryBudget<Name extends string, Holder> {
  readonly #pools: Readonly<Record<Name, Pool<Holder>>>;

  constructor(readonly limits: Readonly<Record<Name, PoolLimits>>) {
    const names = Object.keys(limits) as Name[];
    this.#pools = Object.fromEntries(
      names.map((name) => [name, new Pool<Holder>(limits[name])]),
    ) as Record<Name, Pool<Holder>>;
  }

  /**
   * A holder holds `octets` in a pool now, no more and no less. Returns who must let go: the holder itself if it holds
   * more than one may, then whoever holds most, until all fits. Costs nothing but a look-up while it does.
   */
  hold(name: Name, holder: Holder, octets: number): readonly Holder[] {
    const pool = this.#pools[name];
    pool.set(holder, octets);
    const { each, total } = pool.limits;
    if (octets <= each && pool.held <= total) return [];
    const ended = octets > each ? [holder] : [];
    if (octets > each) pool.set(holder, 0);
    while (pool.held > total) {
      const greediest = pool.greediest()!;
      pool.set(greediest, 0);
      ended.push(greediest);
    }
    pool.ended += ended.length;
    return ended;
  }

  /** A holder holds nothing any more, in no pool. */
  release(holder: Holder): void {
    for (const name in this.#pools) this.#pools[name].set(holder, 0);
  }

  /** What each pool holds. */
  use(): Readonly<Record<Name, PoolUse>> {
    const entries = Object.entries<Pool<Holder>>(this.#pools);
    return Object.fromEntries(entries.map(([name, { held, ended }]) => [name, { held, ended }])) as Record<
      Name,
      PoolUse
    >;
  }
}
