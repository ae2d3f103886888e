/**
 * Questions that others are to answer: each goes to one server after the other until one answers. Pure: what is to be
 * sent comes out, what was received goes in.
 *
 * Equal questions that are under way are joined. This also ends circles: a question that comes back to us from a server
 * that asks us waits for itself, and fails when its time is up.
 */
import type { Endpoint } from "../../core/addr.ts";
import { formatEndpoint } from "../../core/addr.ts";
import type { Random } from "../../core/ports.ts";
import type { Millis } from "../../core/time.ts";
import type { DnsQuery } from "../../wire/dns/dns_query.ts";
import { decodeReply } from "../../wire/dns/dns_reply.ts";
import { DNS_HEADER, FLAG } from "../../wire/dns/dns_types.ts";
import { AnswerCache } from "./answer_cache.ts";
import { type ServerState, Silence } from "./silence.ts";

/** Bounds: questions under way, of one client, and clients that wait for one question. */
export const MAX_FORWARDED = { questions: 256, ofClient: 64, waiting: 64 } as const;
/** A server that has not answered for so long is not waited for alone. */
const IMPATIENT_MS = 1_000;
/** A server that has not answered is asked after the others for so long. */
const AVOID_MS = 30_000;
/** How often each server is asked the same question, for datagrams get lost. */
const ROUNDS = 2;
/** The same where it is asked on purpose. */
const EXAM_ROUNDS = 3;
/** Longer questions have no place in the cache. */
const MAX_KEY = 512;
const LETTERS_ALIKE = 0x20;

/** What is asked, and by whom. */
export interface Asked<Waiter> {
  /** Comes back with the answer. */
  readonly waiter: Waiter;
  /** The client's message. */
  readonly message: Uint8Array;
  /** What was read in it. */
  readonly query: DnsQuery;
  /** Tells clients apart. */
  readonly source: number;
  /** Over what others are asked. */
  readonly transport: "udp" | "tcp";
  /** Whom to ask, the first one first. */
  readonly servers: readonly Endpoint[];
  /** Asks one server to find out whether it answers: not from memory, and it counts for nothing else. */
  readonly isExam?: boolean;
}

/** What has to be done. */
export type ForwardEffect<Waiter> =
  /** Make a connection, or a socket with a port of its own, and send. What comes back bears the number. */
  | {
    readonly kind: "send";
    readonly attempt: number;
    readonly server: Endpoint;
    readonly transport: "udp" | "tcp";
    readonly message: Uint8Array<ArrayBuffer>;
  }
  /** Close it; nobody waits any more. */
  | { readonly kind: "close"; readonly attempt: number }
  /** The answer, with the client's id and letters. */
  | { readonly kind: "answer"; readonly waiter: Waiter; readonly message: Uint8Array<ArrayBuffer> }
  /** Nobody has answered. */
  | { readonly kind: "fail"; readonly waiter: Waiter };

/** What a forwarder is made of. */
export interface ForwarderOptions {
  /** For ids. */
  readonly random: Random;
  /** How long a server has for its answer. */
  readonly patienceMs: number;
  /** Whether answers are kept for those who ask the same; they are unless it says otherwise. */
  readonly caches?: boolean;
}

/** Questions that others were asked; answers from memory; questions that nobody answered; answers to something else;
 * questions beyond the bounds. */
export interface DnsForwarderCounters {
  forwarded: number;
  cached: number;
  failed: number;
  spoofed: number;
  refused: number;
}

interface Waiting<Waiter> {
  readonly waiter: Waiter;
  readonly source: number;
  readonly id: number;
  /** The name in the client's letters. */
  readonly name: Uint8Array<ArrayBuffer>;
}

interface Question<Waiter> extends Pick<Asked<Waiter>, "servers" | "transport"> {
  readonly key: string;
  readonly isExam: boolean;
  readonly message: Uint8Array<ArrayBuffer>;
  readonly nameEnd: number;
  readonly waiting: Waiting<Waiter>[];
  readonly attempts: Set<number>;
  /** How many times a server was asked. */
  tried: number;
  /** When the next one is asked as well. */
  nextAt: Millis;
}

interface Attempt<Waiter> {
  readonly question: Question<Waiter>;
  readonly server: string;
  readonly message: Uint8Array<ArrayBuffer>;
  readonly sentAt: Millis;
  readonly until: Millis;
}

/** See the file. Calls give what has to be done, in this order. */
export class DnsForwarder<Waiter> {
  readonly #options: ForwarderOptions;
  readonly #cache = new AnswerCache();
  readonly #questions = new Map<string, Question<Waiter>>();
  /** Questions for which the next server is to be asked as well, in the order of `nextAt`. */
  readonly #impatient = new Set<Question<Waiter>>();
  /** In the order of `until`. */
  readonly #attempts = new Map<number, Attempt<Waiter>>();
  readonly #bySource = new Map<number, number>();
  readonly #avoided = new Map<string, Millis>();
  readonly #silence = new Silence();
  #effects: ForwardEffect<Waiter>[] = [];
  #lastAttempt = 0;
  /** What has become of questions. */
  readonly counters: DnsForwarderCounters = { forwarded: 0, cached: 0, failed: 0, spoofed: 0, refused: 0 };

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** Somebody asks. */
  ask(asked: Asked<Waiter>, now: Millis): readonly ForwardEffect<Waiter>[] {
    const { isExam = false, message, query, servers, source, transport, waiter } = asked;
    const key = keyOf(message, query, transport) + (isExam ? `exam ${servers.map(formatEndpoint)}` : "");
    const waiting = {
      ...{ waiter, source, id: message[0]! << 8 | message[1]! },
      name: message.slice(DNS_HEADER, query.nameEnd),
    };
    const cached = isExam ? undefined : this.#cache.get(key, now);
    if (cached !== undefined) {
      this.counters.cached++;
      return [answerFor(waiting, cached)];
    }
    const others = this.#bySource.get(source) ?? 0;
    const same = this.#questions.get(key);
    const isFull = same === undefined
      ? this.#questions.size >= MAX_FORWARDED.questions
      : same.waiting.length >= MAX_FORWARDED.waiting;
    if (isFull || others >= MAX_FORWARDED.ofClient) {
      this.counters.refused++;
      return [{ kind: "fail", waiter }];
    }
    this.#bySource.set(source, others + 1);
    if (same !== undefined) {
      same.waiting.push(waiting);
      return [];
    }
    if (!isExam) this.counters.forwarded++;
    const question: Question<Waiter> = {
      ...{
        key,
        isExam,
        message: message.slice(),
        nameEnd: query.nameEnd,
        servers: this.#inOrder(servers, now),
      },
      ...{ transport, waiting: [waiting], attempts: new Set(), tried: 0, nextAt: now },
    };
    this.#questions.set(key, question);
    this.#next(question, now);
    return this.#take();
  }

  /** A message came on the socket of an attempt. */
  replied(attempt: number, bytes: Uint8Array, now: Millis): readonly ForwardEffect<Waiter>[] {
    const made = this.#attempts.get(attempt);
    if (made === undefined) return [];
    const { question } = made;
    if (!isAnswerTo(made.message, question.nameEnd, bytes)) {
      this.counters.spoofed++;
      return question.transport === "tcp" ? this.failed(attempt, now) : [];
    }
    this.#avoided.delete(made.server);
    this.#silence.answered(made.server, now);
    for (const other of question.attempts) {
      if (other >= attempt) continue;
      const earlier = this.#attempts.get(other)!;
      this.#avoid(earlier.server, made.server, now);
      if (earlier.server !== made.server) this.#missed(earlier, now, false);
    }
    const decoded = decodeReply(bytes);
    if (decoded.ok && question.key.length <= MAX_KEY && this.#options.caches !== false && !question.isExam) {
      this.#cache.put(question.key, bytes, decoded.value, now);
    }
    this.#end(question);
    for (const waiting of question.waiting) this.#effects.push(answerFor(waiting, bytes.slice()));
    return this.#take();
  }

  /** A server cannot be reached, or has closed the connection. */
  failed(attempt: number, now: Millis): readonly ForwardEffect<Waiter>[] {
    const made = this.#attempts.get(attempt);
    if (made === undefined) return [];
    this.#giveUp(attempt, made, { now, unreachable: true });
    return this.#take();
  }

  /** Does what is due. */
  wake(now: Millis): readonly ForwardEffect<Waiter>[] {
    for (const [attempt, made] of this.#attempts) {
      if (made.until > now) break;
      this.#giveUp(attempt, made, { now, unreachable: false });
    }
    for (const question of this.#impatient) {
      if (question.nextAt > now) break;
      this.#next(question, now);
    }
    return this.#take();
  }

  /** Earliest time at which wake() has something to do; Infinity when there is none. */
  nextWake(): number {
    const [attempt] = this.#attempts.values();
    const [question] = this.#impatient;
    return Math.min(attempt?.until ?? Infinity, question?.nextAt ?? Infinity);
  }

  /** Forgets what servers have answered, and which were slow: there are others now. */
  forget(): void {
    this.#cache.clear();
    this.#avoided.clear();
    this.#silence.forget();
  }

  /** Whether a server answers, as far as is known. */
  stateOf(server: Endpoint, now: Millis): ServerState {
    return this.#silence.of(formatEndpoint(server), now);
  }

  #take(): readonly ForwardEffect<Waiter>[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Those that have not answered lately come last. */
  #inOrder(servers: readonly Endpoint[], now: Millis): readonly Endpoint[] {
    if (this.#avoided.size === 0) return servers;
    for (const [server, until] of this.#avoided) if (until <= now) this.#avoided.delete(server);
    const isAvoided = (server: Endpoint) => this.#avoided.has(formatEndpoint(server));
    return [...servers.filter((server) => !isAvoided(server)), ...servers.filter(isAvoided)];
  }

  #avoid(server: string, instead: string | undefined, now: Millis): void {
    if (server !== instead) this.#avoided.set(server, now + AVOID_MS as Millis);
  }

  #missed({ question, sentAt, server }: Attempt<Waiter>, now: Millis, unreachable: boolean): void {
    if (question.transport === "tcp") return; // some servers answer over UDP alone
    this.#silence.missed(server, { key: question.key, sentAt, now, unreachable });
  }

  /** Asks the next server. */
  #next(question: Question<Waiter>, now: Millis): void {
    const { isExam, servers, transport } = question;
    question.nextAt = now + IMPATIENT_MS as Millis;
    this.#impatient.delete(question);
    if (question.tried + 1 < servers.length * (isExam ? EXAM_ROUNDS : ROUNDS)) this.#impatient.add(question); // as the last one
    const server = servers[question.tried++ % servers.length]!;
    const message = question.message.slice();
    const id = this.#options.random.below(0x1_0000);
    message[0] = id >>> 8;
    message[1] = id;
    const attempt = ++this.#lastAttempt;
    const until = now + this.#options.patienceMs as Millis;
    const sentAt = now;
    this.#attempts.set(attempt, { question, server: formatEndpoint(server), message, sentAt, until });
    question.attempts.add(attempt);
    this.#effects.push({ kind: "send", attempt, server, transport, message });
  }

  #giveUp(attempt: number, made: Attempt<Waiter>, { now, unreachable }: {
    readonly now: Millis;
    readonly unreachable: boolean;
  }): void {
    const { question, server } = made;
    this.#close(attempt, question);
    this.#avoid(server, undefined, now);
    this.#missed(made, now, unreachable);
    if (question.tried < question.servers.length) return this.#next(question, now);
    if (question.attempts.size > 0) return;
    this.#end(question);
    if (question.isExam) this.#silence.failed(server);
    else this.counters.failed++;
    for (const { waiter } of question.waiting) this.#effects.push({ kind: "fail", waiter });
  }

  #close(attempt: number, question: Question<Waiter>): void {
    this.#attempts.delete(attempt);
    question.attempts.delete(attempt);
    this.#effects.push({ kind: "close", attempt });
  }

  #end(question: Question<Waiter>): void {
    this.#questions.delete(question.key);
    this.#impatient.delete(question);
    for (const attempt of question.attempts) this.#close(attempt, question);
    for (const { source } of question.waiting) {
      const left = this.#bySource.get(source)! - 1;
      if (left > 0) this.#bySource.set(source, left);
      else this.#bySource.delete(source);
    }
  }
}

/** Equal for messages that differ in nothing but id and letters: what is answered to one, is to the others. */
function keyOf(message: Uint8Array, { nameEnd }: DnsQuery, transport: "udp" | "tcp"): string {
  let key = transport === "tcp" ? "t" : "u";
  for (let i = 2; i < message.length; i++) {
    const octet = message[i]!;
    key += String.fromCharCode(i >= DNS_HEADER && i < nameEnd ? folded(octet) : octet);
  }
  return key;
}

function folded(octet: number): number {
  return octet >= 0x41 && octet <= 0x5a ? octet | LETTERS_ALIKE : octet;
}

/** Whether a message answers what was asked: its id, and the question to the letter, or but for letters. */
function isAnswerTo(asked: Uint8Array, nameEnd: number, bytes: Uint8Array): boolean {
  const end = nameEnd + 4;
  if (bytes.length < end || bytes[0] !== asked[0] || bytes[1] !== asked[1]) return false;
  const flags = bytes[2]! << 8 | bytes[3]!;
  if ((flags & FLAG.QR) === 0 || (flags & FLAG.OPCODE) !== 0 || bytes[4] !== 0 || bytes[5] !== 1) {
    return false;
  }
  for (let i = DNS_HEADER; i < end; i++) {
    const [a, b] = [bytes[i]!, asked[i]!];
    if (a !== b && (i >= nameEnd || folded(a) !== folded(b))) return false;
  }
  return true;
}

function answerFor<Waiter>(
  { id, name, waiter }: Waiting<Waiter>,
  message: Uint8Array<ArrayBuffer>,
): ForwardEffect<Waiter> {
  message[0] = id >>> 8;
  message[1] = id;
  message.set(name, DNS_HEADER);
  return { kind: "answer", waiter, message };
}
