/** IPv6 addresses of outer headers: keys and outputs have numbers in their places. */
import { type Ip, ipFromBytes, ipToBytes } from "../../core/addr.ts";
import { ADDRESSES, type MapName } from "./layout.ts";
import type { MachineMap } from "./machine.ts";

/** Numbers that were asked for last are kept: they are about to be in a flow, which has 130 at most. */
const ASKED = 256;
/** While hardly any number is free, so many addresses go without one until it is looked again which are in use. */
const PATIENCE = 256;

/**
 * Which address has which number, in the kernel and here. An address keeps its number while a flow has it. When all numbers
 * are given, those that no flow has are taken back.
 */
export class OuterAddresses {
  readonly #maps: Pick<Readonly<Record<MapName, MachineMap>>, "numbers" | "addresses">;
  readonly #used: () => ReadonlySet<number>;
  readonly #ips = new Map<number, Ip>();
  readonly #numbers = new Map<Ip, number>();
  readonly #number = new Uint8Array(new ArrayBuffer(4));
  readonly #asked = new Uint32Array(ASKED);
  #asks = 0;
  #last = 0;
  #patience = 0;

  /** `used`: numbers that flows have. */
  constructor(
    maps: Pick<Readonly<Record<MapName, MachineMap>>, "numbers" | "addresses">,
    used: () => ReadonlySet<number>,
  ) {
    this.#maps = maps;
    this.#used = used;
    maps.numbers.each((keys, values, count) => {
      const view = new DataView(values.buffer, values.byteOffset);
      for (let i = 0; i < count; i++) {
        const ip = ipFromBytes(keys.subarray(16 * i, 16 * (i + 1)))!;
        this.#note(ip, view.getUint32(4 * i, true));
      }
    });
  }

  #note(ip: Ip, number: number): void {
    this.#ips.set(number, ip);
    this.#numbers.set(ip, number);
    this.#last = Math.max(this.#last, number);
  }

  /** The address of a number. */
  readonly addressOf = (number: number): Ip | undefined => this.#ips.get(number);

  /** The number of an address, which gets one; 0: none is free. */
  readonly numberOf = (ip: Ip): number => {
    const number = this.#numbers.get(ip) ?? this.#give(ip);
    this.#asked[this.#asks++ % ASKED] = number;
    return number;
  };

  #give(ip: Ip): number {
    const number = this.#free();
    if (number === 0) return 0;
    const octets = ipToBytes(ip);
    new DataView(this.#number.buffer).setUint32(0, number, true);
    // An address that has a number is there under it.
    if (this.#maps.addresses.put(this.#number, octets) !== 0) return 0;
    if (this.#maps.numbers.put(octets, this.#number) !== 0) return 0;
    this.#ips.set(number, ip);
    this.#numbers.set(ip, number);
    this.#last = number;
    return number;
  }

  /** The next free number: one that was taken back is not given again at once, as frames may be on their way. */
  #free(): number {
    if (this.#ips.size >= ADDRESSES - 1) this.#takeBack();
    if (this.#ips.size >= ADDRESSES - 1) return 0;
    let number = this.#last;
    do number = number % (ADDRESSES - 1) + 1; while (this.#ips.has(number));
    return number;
  }

  #takeBack(): void {
    if (this.#patience > 0) return void this.#patience--;
    const used = this.#used();
    const asked = new Set(this.#asked);
    for (const [number, ip] of [...this.#ips]) {
      if (used.has(number) || asked.has(number)) continue;
      this.#maps.numbers.delete(ipToBytes(ip));
      this.#ips.delete(number);
      this.#numbers.delete(ip);
    }
    if (this.#ips.size > ADDRESSES - PATIENCE) this.#patience = PATIENCE;
  }
}
