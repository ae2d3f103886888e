/** Asks other hosts about a way through the mesh, and has their questions answered: the gossip channel of the extension. */
import type { Ip } from "../../core/addr.ts";
import { type Decoded, good } from "../../core/brand.ts";
import type { Faults } from "../../core/faults.ts";
import type { PeerName } from "../../core/names.ts";
import type { Clock, GossipChannel } from "../../core/ports.ts";
import type { Millis } from "../../core/time.ts";
import { Askers } from "../../doctor/askers.ts";
import {
  decodeHopMessage,
  encodeHopMessage,
  type HopAnswer,
  type HopQuestion,
  PATH_CHANNEL,
} from "../../doctor/hop_messages.ts";

/** How long an answer may take, in milliseconds. */
const PATIENCE_MS = 2_000;
/** Questions that may wait for their answers; more are not asked. */
const MOST_WAITING = 64;

/** An answer, and when it came. */
export interface TimedAnswer {
  readonly answer: HopAnswer;
  /** Milliseconds between question and answer. */
  readonly ms: number;
  /** How much the other clock is ahead, in milliseconds. */
  readonly clockMs: number;
}

/** What the channel is made of. */
export interface PathChannelParts {
  readonly clock: Clock;
  readonly faults: Pick<Faults, "guard" | "later">;
  readonly send: (peer: PeerName, payload: Uint8Array) => void;
  /** How long an answer may take, in milliseconds; 2 s unless given. */
  readonly patienceMs?: number;
  /** Answers a question. */
  readonly look: (question: HopQuestion) => Promise<HopAnswer>;
  /** Somebody uses an address that this host may have given away. */
  readonly taken?: ((ip: Ip) => void) | undefined;
}

/** See the file. It sends nothing to peers unless it is asked to, and nothing about anybody to neighbours. */
export class PathChannel implements GossipChannel {
  readonly name: string = PATH_CHANNEL;
  readonly #parts: PathChannelParts;
  readonly #askers: Askers;
  readonly #waiting = new Map<number, { readonly peer: PeerName; take(answer?: HopAnswer): void }>();
  #lastId = 0;

  constructor(parts: PathChannelParts) {
    this.#parts = parts;
    this.#askers = new Askers(parts.clock.now());
  }

  /** Asks one host. Undefined: it did not answer in time. */
  async ask(peer: PeerName, question: Omit<HopQuestion, "id">): Promise<TimedAnswer | undefined> {
    if (this.#waiting.size >= MOST_WAITING) return undefined;
    const { clock, faults, patienceMs = PATIENCE_MS, send } = this.#parts;
    const id = ++this.#lastId;
    const { promise, resolve } = Promise.withResolvers<HopAnswer | undefined>();
    this.#waiting.set(id, { peer, take: resolve });
    const late = setTimeout(faults.guard("a question about a way", () => resolve(undefined)), patienceMs);
    const [began, wall] = [clock.now(), Date.now()];
    send(peer, encodeHopMessage({ kind: "question", question: { ...question, id } }));
    const answer = await promise;
    clearTimeout(late);
    this.#waiting.delete(id);
    const ms = clock.now() - began;
    return answer && { answer, ms, clockMs: answer.clock - (wall + ms / 2) };
  }

  /** Tells a host that somebody uses an address that it may have given away. */
  tellTaken(peer: PeerName, ip: Ip): void {
    this.#parts.send(peer, encodeHopMessage({ kind: "look", ip }));
  }

  /** There is no state. */
  fullState(): undefined {
    return undefined;
  }

  /** Nothing is told to neighbours. */
  onGossip(): Decoded<undefined> {
    return good(undefined);
  }

  /** Nor to all. */
  onBroadcast(): Decoded<undefined> {
    return good(undefined);
  }

  /** A question, or an answer. Questions beyond the bound get none. What makes no sense is passed over: it may have come
   * through others, whose connection it shall not cost. */
  onUnicast(source: PeerName, payload: Uint8Array, now: Millis): Decoded<undefined> {
    const read = decodeHopMessage(payload);
    const message = read.ok ? read.value : undefined;
    if (message?.kind === "question" && this.#askers.mayAsk(source, now)) {
      this.#parts.faults.later("answer about a way", this.#answer(source, message.question));
    }
    if (message?.kind === "look" && this.#askers.mayAsk(source, now)) this.#parts.taken?.(message.ip);
    if (message?.kind === "answer") {
      const waiting = this.#waiting.get(message.answer.id);
      if (waiting?.peer === source) waiting.take(message.answer);
    }
    return good(undefined);
  }

  onPeersRemoved(): void {}

  async #answer(peer: PeerName, question: HopQuestion): Promise<void> {
    const { look, send } = this.#parts;
    send(peer, encodeHopMessage({ kind: "answer", answer: await look(question) }));
  }
}
