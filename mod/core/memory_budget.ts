/** Bounds the memory that others can make us hold. Each pool has a bound in all and one for each holder; when a pool is
 * full, the holder that holds most loses its share. */

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

  /** The holder that holds most; of equals the first. */
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
 * Counts what each holder holds in each pool. A full pool takes nothing from the others. This class only counts: the
 * caller must free what the holders hold that hold() returns. They are no longer counted.
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
   * Sets what a holder holds in a pool to `octets`. Returns the holders that must let go: this one if it holds more than
   * one may, then the largest ones, until the rest fits. While all fits the cost is one look-up.
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

  /** Forgets a holder in all pools. */
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
