/** How much work one place may make in a second: frames that need a decision, and those of them that go to everybody. */
import type { Millis } from "../../core/time.ts";
import { TokenBucket } from "../../core/token_bucket.ts";
import type { Place } from "./place.ts";

/** Frames of one place that no flow carries: so many at once, and milliseconds until one more may come. */
export const MISS_RATE = { burst: 32_768, refill: 0.1 } as const;
/** Of those, frames for everybody: each is sent to all hosts, and learnt by all. */
export const FLOOD_RATE = { burst: 4_096, refill: 1 } as const;
/** Somebody who floods is told of at most this often, milliseconds. */
const TELL_MS = 60_000;
/** More than a host has containers and peers; a place that is forgotten begins anew. */
const MAX_PLACES = 8_192;

interface Rates {
  readonly misses: TokenBucket;
  readonly floods: TokenBucket;
  /** Of frames that the switch has carried; what is beyond goes on without a flow. */
  readonly news: TokenBucket;
  toldAt: number;
}

/** Remembers what places have used up. */
export class PlaceRates {
  readonly #places = new Map<Place, Rates>();

  /** Whether a frame of a place that no flow carries is looked at; `flood`: it goes to everybody. */
  allows(place: Place, flood: boolean, now: Millis): boolean {
    const { floods, misses } = this.#of(place, now);
    return misses.take(now) === 0 && (!flood || floods.take(now) === 0);
  }

  /** Whether a frame of a place is looked at that the switch has carried. */
  allowsNews(place: Place, now: Millis): boolean {
    return this.#of(place, now).news.take(now) === 0;
  }

  /** Whether another flood of a place is carried, the frame having been looked at. */
  allowsFlood(place: Place, now: Millis): boolean {
    return this.#of(place, now).floods.take(now) === 0;
  }

  /** Whether it is time to tell people of a place that was refused something. */
  tells(place: Place, now: Millis): boolean {
    const rates = this.#of(place, now);
    if (now - rates.toldAt < TELL_MS) return false;
    rates.toldAt = now;
    return true;
  }

  #of(place: Place, now: Millis): Rates {
    const known = this.#places.get(place);
    if (known !== undefined) return known;
    if (this.#places.size >= MAX_PLACES) this.#places.clear();
    const bucket = ({ burst, refill }: { burst: number; refill: number }) =>
      new TokenBucket(burst, { refill, now });
    const [misses, news, floods] = [bucket(MISS_RATE), bucket(MISS_RATE), bucket(FLOOD_RATE)];
    const rates = { misses, floods, news, toldAt: -Infinity };
    this.#places.set(place, rates);
    return rates;
  }
}
