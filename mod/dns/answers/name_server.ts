/** What is answered to one message: from memory, by somebody else, or not at all (source: spec dns.md, section 3). */
import type { PeerName } from "../../core/names.ts";
import type { Random } from "../../core/ports.ts";
import { AnswerWriter, OPT_OCTETS } from "../../wire/dns/dns_answer.ts";
import type { DnsEntry } from "../../wire/dns/dns_gossip.ts";
import { type DnsQuery, readQuery } from "../../wire/dns/dns_query.ts";
import { encodeName } from "../../wire/dns/dns_text.ts";
import { DNS_HEADER, FLAG, RCODE, RECORD_TYPE } from "../../wire/dns/dns_types.ts";
import type { DnsOrder } from "../service_types.ts";
import { Choice, type PossibleClients } from "./choice.ts";
import { Dice } from "./dice.ts";
import { MAX_ALIASES } from "../records/look_up.ts";
import { NameIndex, type NameSet } from "../records/name_index.ts";
import { type Zone, ZONE_TIMES, zoneOf } from "./zone.ts";

/** How names are answered. */
export interface NameServerOptions {
  /** The mesh's domain, a whole name. */
  readonly domain: string;
  /** For how many seconds clients may keep an answer; where it is not given, 0 if it is balanced, else 1. */
  readonly ttl: number | undefined;
  /** In which order, unless a name says otherwise. */
  readonly order: DnsOrder;
  /** Most addresses in an answer over UDP to a client without EDNS; undefined: as many as fit. */
  readonly plainCap: number | undefined;
  /** Where draws and hashes begin. */
  readonly random: Random;
  /** Who we are. */
  readonly self: PeerName;
  /** Measured time to a peer and back in milliseconds. */
  readonly rttMs: (peer: PeerName) => number | undefined;
}

/** Who asks, and how. */
export interface Asker {
  /** Over what the message came. */
  readonly transport: "udp" | "tcp";
  /** The addresses by which the client may sort. */
  readonly possible: PossibleClients;
  /** Longest answer over UDP, whatever the client says. */
  readonly largest: number;
}

/** Who asks, whether for a name below our domain, and how long the answer may be. */
interface Circumstances {
  readonly asker: Asker;
  readonly isOurs: boolean;
  readonly limit: number;
}

/** What becomes of a message. */
export type DnsVerdict =
  /** The answer is in the buffer. */
  | { readonly kind: "reply"; readonly length: number; readonly rcode: number }
  /** The answer so far is in the buffer: aliases, of which `target` has to be asked elsewhere and put behind them. */
  | {
    readonly kind: "follow";
    readonly length: number;
    readonly target: Uint8Array;
    readonly query: DnsQuery;
    /** How long the whole answer may be, without EDNS. */
    readonly limit: number;
    /** Whether EDNS is put behind it. */
    readonly edns: boolean;
  }
  /** Somebody else is to answer it. */
  | { readonly kind: "forward"; readonly query: DnsQuery }
  /** Nothing is answered. */
  | { readonly kind: "drop"; readonly reason: "short" | "answer" | "limit" };

/** Answers over UDP are not longer than this, so that one buffer does for all. */
export const MAX_UDP_ANSWER = 4_096;
/** Answers over TCP have a length of 16 bits. */
export const MAX_TCP_ANSWER = 65_535;
/** The names of addresses are below this. */
const REVERSE = encodeName("in-addr.arpa.");
const REVERSE6 = encodeName("ip6.arpa.");
/** The name of an address has so many labels: four numbers, and these. */
const ADDRESS_LABELS = 6;
/** Orders as records have them. */
const ORDERS: readonly (DnsOrder | undefined)[] = [undefined, "balanced", "random", "nearest"];
const TOO_SHORT: DnsVerdict = { kind: "drop", reason: "short" };
const IS_ANSWER: DnsVerdict = { kind: "drop", reason: "answer" };

/** Answers one message after the other. `index` has to follow the directory's entries. */
export class NameServer {
  /** The entries by name and by address. */
  readonly index: NameIndex;
  readonly #options: NameServerOptions;
  readonly #zone: Zone;
  readonly #writer: AnswerWriter;
  readonly #choice = new Choice();
  readonly #dice: Dice;

  /** A server without names. */
  constructor(options: NameServerOptions) {
    this.#options = options;
    this.index = new NameIndex(options.random);
    this.#dice = new Dice(options.random);
    this.#zone = zoneOf(options.domain);
    this.#writer = new AnswerWriter({ edns: !this.#zone.isOriginal });
  }

  /** What becomes of a message. `out` has room for MAX_UDP_ANSWER or MAX_TCP_ANSWER octets. Never throws. */
  answer(bytes: Uint8Array, asker: Asker, out: Uint8Array): DnsVerdict {
    if (bytes.length < DNS_HEADER) return TOO_SHORT;
    if ((bytes[2]! & 0x80) !== 0) return IS_ANSWER; // or two servers would talk for ever
    const read = readQuery(bytes);
    if (!read.ok) return refuse(this.#writer.refuse(bytes, RCODE.FORMERR, out), RCODE.FORMERR);
    const query = read.value;
    if (query.questions === 0) return refuse(this.#writer.refuse(bytes, RCODE.SERVFAIL, out), RCODE.SERVFAIL);
    const { index } = this;
    index.fold(bytes, DNS_HEADER, query.nameEnd);
    const isOurs = index.isBelow(this.#zone.name);
    const isReverse = !isOurs && index.isBelow(REVERSE);
    if (!isOurs && !isReverse && query.labels > 1) return this.#foreign(bytes, query, out);
    this.#writer.begin(bytes, query, out);
    if (query.questions > 1 || query.labels === 0) return this.#finish(RCODE.NXDOMAIN);
    if (query.ednsVersion !== 0 && !this.#zone.isOriginal) return this.#finish(RCODE.BADVERS);
    if (isReverse) return this.#reverse(bytes, query, out);
    if (!isOurs) index.append(this.#zone.name);
    const limit = this.#limitOf(query, asker);
    const set = index.find();
    if (set === undefined || !set.exists) return this.#missing(query, isOurs, limit);
    return this.#local(set, query, { asker, isOurs, limit });
  }

  /** An answer that says that nobody could answer: the rest of the message is as it was. */
  failure(bytes: Uint8Array, query: DnsQuery, out: Uint8Array): DnsVerdict {
    this.#writer.begin(bytes, query, out);
    return this.#finish(RCODE.SERVFAIL);
  }

  /** An answer without records that is marked as cut off: whoever sent the message, and not another, asks over TCP. */
  askAgain(bytes: Uint8Array, out: Uint8Array): DnsVerdict {
    const isQuery = bytes.length >= DNS_HEADER && (bytes[2]! & 0x80) === 0;
    const read = isQuery ? readQuery(bytes) : undefined;
    if (read?.ok !== true || read.value.questions === 0) return TOO_SHORT;
    this.#writer.begin(bytes, read.value, out);
    return this.#finish(RCODE.NOERROR, FLAG.AA | FLAG.TC);
  }

  #finish(rcode: number, marks: number = rcode === RCODE.NOERROR ? FLAG.AA : 0): DnsVerdict {
    return { kind: "reply", length: this.#writer.finish(rcode, marks), rcode };
  }

  /** How long the answer may be. */
  #limitOf({ udpSize }: DnsQuery, { largest, transport }: Asker): number {
    if (transport === "tcp") return MAX_TCP_ANSWER;
    const asked = udpSize === undefined || udpSize < 512 && !this.#zone.isOriginal ? 512 : udpSize;
    return Math.min(asked, largest, MAX_UDP_ANSWER);
  }

  /** The name has no records. It exists if it is the domain itself, or if there are names below it (RFC 8020). */
  #missing(query: DnsQuery, isOurs: boolean, limit: number): DnsVerdict {
    const { isOriginal, name } = this.#zone;
    const isApex = isOurs && query.nameEnd - DNS_HEADER === name.length;
    const exists = !isOriginal && (isApex || this.index.hasBelow());
    return this.#nothing(exists ? RCODE.NOERROR : RCODE.NXDOMAIN, { query, isOurs, limit });
  }

  /** There is nothing to answer, and we are who knows (RFC 2308). A name of one label is of no zone of ours to whom asks. */
  #nothing(
    rcode: number,
    { isOurs, limit, query: { nameEnd, type } }: {
      readonly query: DnsQuery;
      readonly isOurs: boolean;
      readonly limit: number;
    },
  ): DnsVerdict {
    const { isOriginal, name } = this.#zone;
    if (isOriginal || !isOurs) return this.#finish(rcode);
    const at = nameEnd - name.length;
    const isAnswer = type === RECORD_TYPE.SOA && at === DNS_HEADER;
    this.#writer.soa(at, { isAnswer, limit, times: ZONE_TIMES });
    return this.#finish(rcode, FLAG.AA);
  }

  /** Questions beyond our names go elsewhere if they are plain ones: a second question could be about ours. */
  #forward(bytes: Uint8Array, query: DnsQuery, out: Uint8Array): DnsVerdict {
    const isPlain = query.questions === 1 && (query.flags & FLAG.OPCODE) === 0;
    if (isPlain) return { kind: "forward", query };
    this.#writer.begin(bytes, query, out);
    return this.#finish(query.questions === 1 ? RCODE.NOTIMP : RCODE.FORMERR);
  }

  #reverse(bytes: Uint8Array, query: DnsQuery, out: Uint8Array): DnsVerdict {
    const { isOriginal } = this.#zone;
    const isAsked = query.type === RECORD_TYPE.PTR;
    const addr = isAsked || !isOriginal ? addressIn(this.index.folded, query.labels) : undefined;
    if (addr === undefined) {
      const isAbove = !isOriginal && query.labels < ADDRESS_LABELS; // addresses may be below it
      return this.#finish(isAbove ? RCODE.NOERROR : RCODE.NXDOMAIN, 0);
    }
    const name = this.index.nameOf(addr);
    if (name === undefined) return this.#forward(bytes, query, out);
    if (!isAsked) return this.#finish(RCODE.NOERROR);
    this.#writer.record(undefined, RECORD_TYPE.PTR, this.#options.ttl ?? 1, name, out.length);
    return this.#finish(RCODE.NOERROR);
  }

  /** The name is not below our domain. If it is the name of an IPv6 address that a record of ours has, we answer. */
  #foreign(bytes: Uint8Array, query: DnsQuery, out: Uint8Array): DnsVerdict {
    const { index } = this;
    const isAsked = query.questions === 1 && query.type === RECORD_TYPE.PTR && index.isBelow(REVERSE6);
    const addr = isAsked ? ipv6In(index.folded, query.labels) : undefined;
    const name = addr === undefined ? undefined : index.nameOf(addr);
    if (name === undefined) return this.#forward(bytes, query, out);
    this.#writer.begin(bytes, query, out);
    this.#writer.record(undefined, RECORD_TYPE.PTR, this.#options.ttl ?? 1, name, out.length);
    return this.#finish(RCODE.NOERROR);
  }

  #local(
    set: NameSet,
    query: DnsQuery,
    { asker, isOurs, limit }: Circumstances,
  ): DnsVerdict {
    if (query.type === RECORD_TYPE.A && set.targets().length > 0) {
      return this.#addresses(set, query, { asker, limit });
    }
    const data = answersTo(set, query.type);
    if (data.length === 0 && query.type !== RECORD_TYPE.CNAME) {
      const [alias] = set.targets().length === 0 ? set.others(RECORD_TYPE.CNAME) : [];
      if (alias !== undefined) return this.#follow(alias, query, { asker, isOurs, limit });
    }
    const ttl = this.#options.ttl ?? 1;
    const whole = data.length === 1 ? Infinity : limit;
    if (data.length === 0) return this.#nothing(RCODE.NOERROR, { query, isOurs, limit });
    const cut = data.some((each) => !this.#writer.record(undefined, query.type, ttl, each, whole));
    return this.#finish(RCODE.NOERROR, marksOf(cut));
  }

  /** Addresses of the question's name, or of `owner`, which an alias has led to. */
  #addresses(
    set: NameSet,
    query: DnsQuery,
    { asker, limit, owner }: { readonly asker: Asker; readonly limit: number; readonly owner?: Uint8Array },
  ): DnsVerdict {
    const order = this.#orderOf(set);
    const targets = order === "random" ? set.targets() : set.distinct();
    // One address alone is sent also where it is too long for what the client says.
    const fit = Math.max(
      owner === undefined && targets.length === 1 ? 1 : 0,
      this.#writer.room(4, limit, owner),
    );
    const isPlain = asker.transport === "udp" && query.udpSize === undefined;
    const cap = isPlain ? this.#options.plainCap ?? Infinity : Infinity;
    this.#choose(order, targets, Math.min(fit, cap), asker.possible);
    const ttl = this.#ttl(order);
    const { chosen, count, more } = this.#choice;
    for (let i = 0; i < count; i++) this.#writer.address(chosen[i]!.addr, ttl, owner);
    // Whoever comes again over TCP gets another draw. Those of a target behind which many sort would come most often, and
    // it would be used least. So a drawn target is an answer, however few others there is room for.
    const isCut = order === "random" || count === 0;
    return this.#finish(RCODE.NOERROR, marksOf(isCut && more && fit < cap));
  }

  #orderOf(set: NameSet): DnsOrder {
    return ORDERS[set.others(RECORD_TYPE.ORDER)[0]?.[0] ?? 0] ?? this.#options.order;
  }

  /** A client that keeps a balanced answer for a second sends all that it does within it to one target. */
  #ttl(order: DnsOrder): number {
    return this.#options.ttl ?? (order === "balanced" ? 0 : 1);
  }

  #choose(order: DnsOrder, targets: DnsEntry[], room: number, possible: PossibleClients): void {
    const options = { possible, dice: this.#dice, rank: this.#rank };
    if (order === "balanced") this.#choice.balanced(targets, room, options);
    else if (order === "nearest") this.#choice.nearest(targets, room, options);
    else this.#choice.random(targets, room, this.#dice);
  }

  /** Ourselves, then peers by the power of two of milliseconds that they are away: what is about as near shares. */
  readonly #rank = (origin: PeerName): number => {
    if (origin === this.#options.self) return 0;
    const rtt = this.#options.rttMs(origin);
    return rtt === undefined ? 99 : 1 + Math.ceil(Math.max(0, Math.log2(rtt)));
  };

  /** An alias, what it stands for, and so on. */
  #follow(alias: Uint8Array, query: DnsQuery, around: Circumstances): DnsVerdict {
    const { asker, isOurs, limit } = around;
    const ttl = this.#options.ttl ?? 1;
    let owner: Uint8Array | undefined;
    let target = alias;
    for (let i = 0; i < MAX_ALIASES; i++) {
      if (!this.#writer.record(owner, RECORD_TYPE.CNAME, ttl, target, limit)) {
        return this.#finish(RCODE.NOERROR, marksOf(true));
      }
      this.index.fold(target, 0, target.length);
      if (!this.index.isBelow(this.#zone.name)) {
        const edns = query.udpSize !== undefined && !this.#zone.isOriginal;
        const length = this.#writer.finishPart(RCODE.NOERROR, FLAG.AA);
        return { kind: "follow", length, target, query, limit: edns ? limit - OPT_OCTETS : limit, edns };
      }
      const set = this.index.find();
      if (set === undefined || !set.exists) return this.#nothing(RCODE.NOERROR, { query, isOurs, limit });
      owner = target;
      const next = set.targets().length === 0 ? set.others(RECORD_TYPE.CNAME)[0] : undefined;
      if (query.type === RECORD_TYPE.A && set.targets().length > 0) {
        return this.#addresses(set, query, { asker, limit, owner });
      }
      const data = answersTo(set, query.type);
      if (next === undefined || data.length > 0) {
        const cut = data.some((each) => !this.#writer.record(owner, query.type, ttl, each, limit));
        return data.length === 0
          ? this.#nothing(RCODE.NOERROR, { query, isOurs, limit })
          : this.#finish(RCODE.NOERROR, marksOf(cut));
      }
      target = next;
    }
    return this.#finish(RCODE.SERVFAIL);
  }
}

function marksOf(isCut: boolean): number {
  return isCut ? FLAG.AA | FLAG.TC : FLAG.AA;
}

function refuse(length: number, rcode: number): DnsVerdict {
  return { kind: "reply", length, rcode };
}

/** Data of records that are answered as they are. */
function answersTo(set: NameSet, type: number): readonly Uint8Array[] {
  const isAnswered = type === RECORD_TYPE.AAAA || type === RECORD_TYPE.SRV || type === RECORD_TYPE.CNAME;
  return isAnswered ? set.others(type) : [];
}

/** The address that four labels before `in-addr.arpa.` stand for. */
function addressIn(name: Uint8Array, labels: number): number | undefined {
  if (labels !== ADDRESS_LABELS) return undefined;
  let addr = 0;
  for (let i = 0, at = 0; i < 4; i++) {
    const length = name[at]!;
    let octet = 0;
    if (length > 3 || length > 1 && name[at + 1] === 0x30) return undefined;
    for (let j = 1; j <= length; j++) {
      const digit = name[at + j]! - 0x30;
      if (digit < 0 || digit > 9) return undefined;
      octet = octet * 10 + digit;
    }
    if (octet > 255) return undefined;
    addr += octet * 2 ** (8 * i);
    at += length + 1;
  }
  return addr;
}

/** The address, as hex, that 32 labels before `ip6.arpa.` stand for (RFC 3596, 2.5). */
function ipv6In(name: Uint8Array, labels: number): string | undefined {
  if (labels !== 34) return undefined;
  let text = "";
  for (let i = 0; i < 32; i++) {
    if (name[2 * i] !== 1) return undefined;
    text = String.fromCharCode(name[2 * i + 1]!) + text;
  }
  return /^[0-9a-f]{32}$/.test(text) ? text : undefined;
}
