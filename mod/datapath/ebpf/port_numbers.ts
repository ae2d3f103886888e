/** Numbers of ports for interfaces: those of interfaces grow without a bound. Pure. */
import { LOCAL_PORT, type PortNo } from "../../wire/netlink/ovs_keys.ts";

/** The largest number of a port. */
const LAST = 65_534;

/** The table. This host's own leg has LOCAL_PORT. */
export class PortNumbers {
  readonly #numbers = new Map<number, PortNo>();
  readonly #indexes = new Map<PortNo, number>();
  #next = 1;

  /** The number of an interface; a new one, as long unused as possible, if need be. */
  assign(ifindex: number, isLeg: boolean): PortNo {
    const known = this.#numbers.get(ifindex);
    if (known !== undefined) return known;
    const port = isLeg ? LOCAL_PORT : this.#unused();
    this.#numbers.set(ifindex, port);
    this.#indexes.set(port, ifindex);
    return port;
  }

  /** Forgets an interface; what flows say of it is void. */
  release(ifindex: number): void {
    const port = this.#numbers.get(ifindex);
    if (port === undefined) return;
    this.#numbers.delete(ifindex);
    if (this.#indexes.get(port) === ifindex) this.#indexes.delete(port);
  }

  /** The number of an interface, if it has one. */
  readonly portOf = (ifindex: number): PortNo | undefined => this.#numbers.get(ifindex);

  /** The interface of a number. */
  readonly indexOf = (port: PortNo): number | undefined => this.#indexes.get(port);

  #unused(): PortNo {
    for (let tries = 0; tries < LAST; tries++) {
      const port = this.#next as PortNo;
      this.#next = this.#next === LAST ? 1 : this.#next + 1;
      if (!this.#indexes.has(port)) return port;
    }
    throw new RangeError("There are no more numbers for ports");
  }
}
