/** Which answers of one batch go to the same client and can be one message, which the kernel cuts apart (UDP_SEGMENT). */

/** Answers of one message are as long as the first one, and the last one may be shorter. Longer ones go alone: all paths
 * take this length. */
const LONGEST = 1_232;
/** Octets that one message may have. */
const MOST_OCTETS = 60_000;
/** So many groups are looked through for one that an answer fits into: clients are few, or have few answers each. */
const LOOK_BACK = 8;
const NONE = -1;

/** The groups of one batch: `add` each answer, read `count`, `first`, `next`, `answers` and `size`, and `clear`. */
export class AnswerGroups {
  /** How many there are. */
  count = 0;
  /** Of each group: its first answer. */
  readonly first: Int32Array;
  /** Of each answer: the next one of its group; -1 behind the last. */
  readonly next: Int32Array;
  /** Of each group: how many answers it has. */
  readonly answers: Int32Array;
  /** Of each group: the length of all its answers but the last. */
  readonly size: Int32Array;
  /** Of each answer: its length. */
  readonly lengths: Int32Array;
  readonly #last: Int32Array;
  readonly #isOpen: Uint8Array;
  readonly #words: number;
  readonly #compared: number;
  readonly #names: Uint32Array;
  /** Whether answers are grouped at all. */
  enabled: boolean;

  /** `names` has the socket addresses of the clients, `words` each, of which the first `compared` tell them apart. */
  constructor(capacity: number, { compared, enabled, names, words }: {
    readonly names: Uint32Array;
    readonly words: number;
    readonly compared: number;
    readonly enabled: boolean;
  }) {
    this.first = new Int32Array(capacity);
    this.next = new Int32Array(capacity);
    this.answers = new Int32Array(capacity);
    this.size = new Int32Array(capacity);
    this.lengths = new Int32Array(capacity);
    this.#last = new Int32Array(capacity);
    this.#isOpen = new Uint8Array(capacity);
    this.#names = names;
    this.#words = words;
    this.#compared = compared;
    this.enabled = enabled;
  }

  /** Forgets all answers. */
  clear(): void {
    this.count = 0;
  }

  /** Adds the answer to question `i`. */
  add(i: number, length: number): void {
    this.lengths[i] = length;
    this.next[i] = NONE;
    const canShare = this.enabled && length <= LONGEST;
    if (canShare && this.#join(i, length)) return;
    const group = this.count++;
    this.first[group] = this.#last[group] = i;
    this.answers[group] = 1;
    this.size[group] = length;
    this.#isOpen[group] = canShare ? 1 : 0;
  }

  #join(i: number, length: number): boolean {
    const end = Math.max(0, this.count - LOOK_BACK);
    for (let group = this.count - 1; group >= end; group--) {
      if (this.#isOpen[group] === 0 || !this.#isSameClient(this.first[group]!, i)) continue;
      const size = this.size[group]!;
      const answers = this.answers[group]!;
      if (length > size) {
        if (answers > 1) continue;
        this.next[i] = this.first[group]!; // the longer one goes first: two answers to A and AAAA are one message
        this.first[group] = i;
        this.size[group] = length;
        this.#isOpen[group] = 0;
      } else {
        this.next[this.#last[group]!] = i;
        this.#last[group] = i;
        if (length < size || (answers + 2) * size > MOST_OCTETS) this.#isOpen[group] = 0;
      }
      this.answers[group] = answers + 1;
      return true;
    }
    return false;
  }

  #isSameClient(a: number, b: number): boolean {
    const names = this.#names;
    const [x, y] = [a * this.#words, b * this.#words];
    for (let i = this.#compared - 1; i >= 0; i--) if (names[x + i] !== names[y + i]) return false;
    return true;
  }
}
