/** Packets that were too big while it was not yet known what is not: their senders are told once it is. */
import type { SleeveKey } from "../wire/netlink/ovs_keys.ts";
import type { EngineLink } from "./sleeve_engine_link.ts";

/** Packets held. Others lose a retransmission, no more. */
const HELD = 16;
/** Where an Ethernet frame of IPv4 has its two addresses; of IPv6 a part of them. */
const ADDRESSES = { from: 26, to: 34 };

/** A frame whose sender waits for an answer. */
export interface HeldFrame {
  readonly link: EngineLink;
  readonly key: SleeveKey;
  readonly frame: Uint8Array;
}

/** See above. One frame for each pair of addresses is enough. */
export class LateAnswers {
  #held: HeldFrame[] = [];

  /** How many frames are held. */
  get size(): number {
    return this.#held.length;
  }

  /** Keeps a copy of the frame in the first `length` octets. */
  hold(link: EngineLink, key: SleeveKey, { bytes, length }: { bytes: Uint8Array; length: number }): void {
    if (this.#held.length === HELD || this.#held.some((one) => one.key === key && isPair(one.frame, bytes))) {
      return;
    }
    this.#held.push({ link, key, frame: bytes.slice(0, length) });
  }

  /** Removes and returns those of links whose MTU is known. */
  take(): readonly HeldFrame[] {
    const due = this.#held.filter(({ link }) => !link.carrier.unsettled);
    if (due.length > 0) this.#held = this.#held.filter(({ link }) => link.carrier.unsettled);
    return due;
  }
}

function isPair(a: Uint8Array, b: Uint8Array): boolean {
  for (let at = ADDRESSES.from; at < ADDRESSES.to; at++) if (a[at] !== b[at]) return false;
  return true;
}
