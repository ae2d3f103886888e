/** Which of the other servers do not answer, learnt from the questions that they are asked anyway. Pure. */
import type { Millis } from "../../core/time.ts";

/** So many different questions without an answer, and so long: a datagram that was lost is none, nor is a name of which
 * nobody knows anything. */
const ENOUGH = { questions: 3, ms: 10_000 } as const;
/** What was seen longer ago says nothing about now. */
const RECENT_MS = 120_000;

/** What is known of a server. */
export interface ServerState {
  /** `unknown`: it was not asked lately, or not often enough. */
  readonly state: "answers" | "silent" | "unknown";
  /** When its last answer came. */
  readonly answeredAt: Millis | undefined;
  /** When the first question was sent that has had no answer since. */
  readonly silentSince: Millis | undefined;
  /** Whether the last question failed at once: nothing listens there, or there is no way. */
  readonly unreachable: boolean;
}

interface Known {
  answeredAt: Millis | undefined;
  silentSince: Millis | undefined;
  missedAt: Millis;
  unreachable: boolean;
  /** Different questions without an answer, as many as are enough. */
  readonly missed: Set<string>;
  /** It was asked on purpose, several times, and has not answered. */
  examined: boolean;
}

/** See the file. Servers are texts. */
export class Silence {
  readonly #servers = new Map<string, Known>();

  /** A server has answered, whatever it says. */
  answered(server: string, now: Millis): void {
    const known = this.#of(server);
    known.answeredAt = now;
    known.silentSince = undefined;
    known.examined = false;
    known.missed.clear();
  }

  /** A server has had its time for a question. */
  missed(server: string, { key, now, sentAt, unreachable }: {
    readonly key: string;
    readonly sentAt: Millis;
    readonly now: Millis;
    readonly unreachable: boolean;
  }): void {
    const known = this.#of(server);
    if (known.answeredAt !== undefined && known.answeredAt >= sentAt) return; // it has answered another one meanwhile
    known.silentSince ??= sentAt;
    known.missedAt = now;
    known.unreachable = unreachable;
    if (known.missed.size < ENOUGH.questions) known.missed.add(key);
  }

  /** A server was asked on purpose, and has not answered. */
  failed(server: string): void {
    const known = this.#of(server);
    known.examined = known.silentSince !== undefined;
  }

  /** What is known of a server now. */
  of(server: string, now: Millis): ServerState {
    const { answeredAt, examined, missed, missedAt, silentSince, unreachable } = this.#of(server);
    const common = { answeredAt, silentSince, unreachable };
    if (silentSince === undefined) {
      const isRecent = answeredAt !== undefined && now - answeredAt <= RECENT_MS;
      return { ...common, state: isRecent ? "answers" : "unknown" };
    }
    const isSure = examined || missed.size >= ENOUGH.questions && now - silentSince >= ENOUGH.ms;
    return { ...common, state: isSure && now - missedAt <= RECENT_MS ? "silent" : "unknown" };
  }

  /** There are other servers. */
  forget(): void {
    this.#servers.clear();
  }

  #of(server: string): Known {
    let known = this.#servers.get(server);
    if (known === undefined) {
      known = {
        ...{
          answeredAt: undefined,
          silentSince: undefined,
          missedAt: -Infinity as Millis,
          unreachable: false,
        },
        ...{ missed: new Set<string>(), examined: false },
      };
      this.#servers.set(server, known);
    }
    return known;
  }
}
