/** What is common to questions over UDP and over TCP: who asks, what becomes of it, and what others are asked. */
import type { Clock } from "../../core/ports.ts";
import { appendOpt, OPT_OCTETS } from "../../wire/dns/dns_answer.ts";
import { decodeReply } from "../../wire/dns/dns_reply.ts";
import { type DnsQuery, readQuery } from "../../wire/dns/dns_query.ts";
import { DNS_HEADER, RCODE } from "../../wire/dns/dns_types.ts";
import { type AnswerTaker, type Asking, cutTo } from "./ask_shell.ts";
import type { ClientTable } from "../answers/clients.ts";
import { joinedAnswer, questionFor } from "../upstream/follow.ts";
import {
  type Asker,
  type DnsVerdict,
  MAX_TCP_ANSWER,
  MAX_UDP_ANSWER,
  type NameServer,
} from "../answers/name_server.ts";
import type { ResponseLimit } from "../answers/response_limit.ts";
import type { DnsCounters } from "../service_types.ts";

/** Longest answer over UDP to those who are no clients of this host. */
const LARGEST_FOR_STRANGERS = 1_232;

/** What answering is made of. */
export interface AnsweringOptions {
  readonly clock: Clock;
  readonly server: NameServer;
  readonly clients: ClientTable;
  readonly limit: ResponseLimit;
  readonly asking: Pick<Asking, "ask">;
}

/** Who is asked what the mesh has no name for, in place of the host's servers, and who asks. */
export interface Elsewhere {
  /** What stands for the source. */
  readonly source: number;
  /** Whether it is asked for names of the mesh as well, and what it has comes first. */
  readonly engineFirst: boolean;
  readonly ask: Asking["ask"];
}

/** One message that came, for an answer that takes longer. */
export interface Pending {
  /** The message; it is copied. */
  readonly bytes: Uint8Array;
  /** Tells clients apart. */
  readonly source: number;
  readonly transport: "udp" | "tcp";
  /** Sends the answer. */
  readonly send: (message: Uint8Array) => void;
  readonly elsewhere?: Elsewhere | undefined;
}

/** See the file. */
export class Answering {
  readonly counters: { -readonly [K in keyof DnsCounters]: number } = {
    ...{ queries: 0, answered: 0, unknown: 0, forwarded: 0, cached: 0, failed: 0 },
    ...{ spoofed: 0, malformed: 0, limited: 0, refused: 0 },
  };
  readonly #around: AnsweringOptions;
  readonly #udp: { -readonly [K in keyof Asker]: Asker[K] } = {
    ...{ transport: "udp", possible: [], largest: MAX_UDP_ANSWER },
  };
  readonly #tcp: { -readonly [K in keyof Asker]: Asker[K] } = {
    ...{ transport: "tcp", possible: [], largest: MAX_TCP_ANSWER },
  };
  readonly #failure = new Uint8Array(MAX_UDP_ANSWER);

  constructor(around: AnsweringOptions) {
    this.#around = around;
  }

  /** What becomes of a datagram. `source` is an IPv4 address if `isIpv4`, else what stands for one. */
  udp(bytes: Uint8Array, source: number, isIpv4: boolean, out: Uint8Array): DnsVerdict {
    const { clients, clock, limit, server } = this.#around;
    this.counters.queries++;
    const isClient = isIpv4 ? clients.has(source) || source >>> 24 === 127 : source === 0;
    if (!isClient) {
      const judged = limit.judge(source, clock.now());
      if (judged !== "answer") {
        this.counters.limited++;
        return judged === "drop" ? LIMITED : server.askAgain(bytes, out);
      }
    }
    this.#udp.possible = clients.of(isIpv4 ? source : -1);
    this.#udp.largest = isClient ? MAX_UDP_ANSWER : LARGEST_FOR_STRANGERS;
    return this.#counted(server.answer(bytes, this.#udp, out));
  }

  /** What becomes of a message over TCP. */
  tcp(bytes: Uint8Array, source: number, out: Uint8Array): DnsVerdict {
    this.counters.queries++;
    this.#tcp.possible = this.#around.clients.of(source);
    return this.#counted(this.#around.server.answer(bytes, this.#tcp, out));
  }

  /** Has somebody else answer what `udp` or `tcp` gave a verdict on just now. */
  forward(query: DnsQuery, pending: Pending): void {
    const { bytes, send, source, transport } = pending;
    const message = bytes.slice();
    const { largest } = transport === "udp" ? this.#udp : this.#tcp;
    const waiter: AnswerTaker = {
      answer: (reply) => send(cutTo(largest, reply)),
      fail: () => send(this.#failed(message, query)),
    };
    const asking = pending.elsewhere ?? this.#around.asking;
    asking.ask({ waiter, message, query, source, transport }, this.#isBelow);
  }

  /** Sends an answer of ours. Names of one label may be the engine's, too: it is asked for those that the mesh has not, and
   * for all where its own come first. Beside a name of ours, what it has no records for counts for nothing. */
  answer(ours: Uint8Array, rcode: number, pending: Pending): void {
    const { bytes, elsewhere, send, source, transport } = pending;
    const query = elsewhere === undefined ? undefined : readPlain(bytes);
    if (
      elsewhere === undefined || query === undefined || rcode !== RCODE.NXDOMAIN && !elsewhere.engineFirst
    ) {
      return send(ours);
    }
    const answer = ours.slice();
    const { largest } = transport === "udp" ? this.#udp : this.#tcp;
    const waiter: AnswerTaker = {
      answer: (reply) => send(isMore(reply, rcode) ? cutTo(largest, reply) : answer),
      fail: () => send(answer),
    };
    elsewhere.ask({ waiter, message: bytes.slice(), query, source, transport }, this.#isBelow);
  }

  /** Has somebody else answer what an alias leads to; `begun` is the answer so far. */
  follow(verdict: DnsVerdict & { readonly kind: "follow" }, begun: Uint8Array, pending: Pending): void {
    const { source, transport } = pending;
    const send = (message: Uint8Array) => pending.send(edns ? withOpt(message) : message);
    const { edns, limit, query: { type }, target } = verdict;
    const answer = begun.slice();
    const { message, query } = questionFor(target, type);
    const fail = () => {
      answer[3] = answer[3]! & 0xf0 | RCODE.SERVFAIL;
      send(answer);
    };
    const waiter: AnswerTaker = {
      answer(reply) {
        const decoded = decodeReply(reply);
        if (!decoded.ok) return fail();
        send(joinedAnswer(answer, { bytes: reply, reply: decoded.value, type, limit }));
      },
      fail,
    };
    this.#around.asking.ask({ waiter, message, query, source, transport }, this.#isBelow);
  }

  readonly #isBelow = (domain: Uint8Array): boolean => this.#around.server.index.isBelow(domain);

  #counted(verdict: DnsVerdict): DnsVerdict {
    const { counters } = this;
    if (verdict.kind === "reply") {
      if (verdict.rcode === RCODE.FORMERR) counters.malformed++;
      else counters.answered++;
      if (verdict.rcode === RCODE.NXDOMAIN) counters.unknown++;
    } else if (verdict.kind === "drop") counters.malformed++;
    return verdict;
  }

  #failed(message: Uint8Array, query: DnsQuery): Uint8Array {
    const verdict = this.#around.server.failure(message, query, this.#failure);
    return this.#failure.subarray(0, verdict.kind === "reply" ? verdict.length : 0);
  }
}

/** A question for a name of one label; undefined: it is another one. */
function readPlain(bytes: Uint8Array): DnsQuery | undefined {
  const read = readQuery(bytes);
  return read.ok && read.value.questions === 1 && read.value.labels === 1 ? read.value : undefined;
}

/** Whether an answer says more than ours, which has that code: that there is such a name, or what it has. */
function isMore(message: Uint8Array, ours: number): boolean {
  return message.length >= DNS_HEADER && (message[3]! & 0xf) === RCODE.NOERROR &&
    (ours === RCODE.NXDOMAIN || (message[6]! | message[7]!) !== 0);
}

function withOpt(message: Uint8Array): Uint8Array {
  const whole = new Uint8Array(message.length + OPT_OCTETS);
  whole.set(message);
  appendOpt(whole, message.length);
  return whole;
}

const LIMITED: DnsVerdict = { kind: "drop", reason: "limit" };
