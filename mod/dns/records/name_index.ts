/** Which entries a name and an address have, found straight from the octets of a question. */
import type { Random } from "../../core/ports.ts";
import { compareOnWire, type DnsEntry, entryIdentity } from "../../wire/dns/dns_gossip.ts";
import { encodeName } from "../../wire/dns/dns_text.ts";
import { RECORD_TYPE } from "../../wire/dns/dns_types.ts";

/** All entries of one name, in whatever letters. Most names have one, and there are many names. */
export class NameSet {
  #entries: DnsEntry[] = [];
  /** How many of them can be answered as records: an order alone makes no name. */
  #records = 0;
  #targets: DnsEntry[] | undefined;
  #distinct: DnsEntry[] | undefined;
  #others: Map<number, readonly Uint8Array[]> | undefined;
  /** The next set under the same hash. */
  next: NameSet | undefined;

  /** The set of a name in small letters, as it is on the wire, a character for each octet. */
  constructor(readonly wire: string, readonly hash: number) {}

  /** Whether it has no entry at all. */
  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Whether there is something to answer. */
  get exists(): boolean {
    return this.#records > 0;
  }

  /** Takes a change in. */
  change(before: DnsEntry | undefined, after: DnsEntry | undefined): void {
    if (before !== undefined) {
      remove(this.#entries, before);
      this.#records -= before.type === RECORD_TYPE.ORDER ? 0 : 1;
    }
    if (after !== undefined) {
      if (this.#entries.length === 0) this.#entries = [after]; // a list that grew has room that few names need
      else this.#entries.push(after);
      this.#records += after.type === RECORD_TYPE.ORDER ? 0 : 1;
    }
    this.#targets = this.#distinct = this.#others = undefined;
  }

  /** A records in no order. The caller may reorder the list, and do nothing else with it. */
  targets(): DnsEntry[] {
    return this.#targets ??= this.#of(RECORD_TYPE.A);
  }

  /** The same, each address once. */
  distinct(): DnsEntry[] {
    const targets = this.targets();
    if (targets.length === 1) return targets;
    return this.#distinct ??= [...new Map(targets.map((entry) => [entry.addr, entry])).values()];
  }

  /** Data of the records of another type, in the order of their entries. */
  others(type: number): readonly Uint8Array[] {
    if (this.#entries.length === 1 && this.#entries[0]!.type !== type) return NOTHING;
    this.#others ??= new Map();
    let found = this.#others.get(type);
    if (found === undefined) {
      found = this.#of(type).sort(compareOnWire).map(({ rdata }) => Uint8Array.fromHex(rdata));
      this.#others.set(type, found);
    }
    return found;
  }

  /** Entries of a type that are answered. */
  #of(type: number): DnsEntry[] {
    return [...bestOf(this.#entries.filter((entry) => entry.type === type))];
  }
}

/** The entries of a name that are answered: those of absent hosts where there are no others, and those whose targets do not
 * answer where there is nothing else. */
export function bestOf(entries: readonly DnsEntry[]): readonly DnsEntry[] {
  const well = entries.filter(({ unhealthy }) => !unhealthy);
  if (well.length === 0) return entries;
  const here = well.filter(({ away }) => away !== true);
  return here.length > 0 ? here : well;
}

const NOTHING: readonly Uint8Array[] = [];

/** Takes an entry out of a list whose order does not matter. What stands there may be a copy of it. */
function remove(list: DnsEntry[], entry: DnsEntry): void {
  let at = list.indexOf(entry);
  if (at < 0) at = list.findIndex((each) => isOneWith(each, entry));
  if (at < 0) return;
  const last = list.pop()!;
  if (at < list.length) list[at] = last;
}

function isOneWith(a: DnsEntry, b: DnsEntry): boolean {
  return a.origin === b.origin && entryIdentity(a) === entryIdentity(b);
}

/** Names with more labels do not make the names above them exist: a hostile host could fill the memory with these. */
const MAX_COUNTED_LABELS = 8;

function labelsOf(wire: string): number {
  let labels = 0;
  for (let at = 0; at < wire.length - 1; at += wire.charCodeAt(at) + 1) labels++;
  return labels;
}

/** The names of one address. */
interface AddressSet {
  readonly entries: DnsEntry[];
  /** The name that is answered, as it is on the wire; undefined until somebody asks. */
  first: Uint8Array | undefined;
}

/** Follows the changes of an `EntryStore` as its watcher; finds names by `fold` and `find`. */
export class NameIndex {
  readonly #byHash = new Map<number, NameSet>();
  /** By IPv4 addresses as numbers, and by IPv6 addresses as hex. */
  readonly #byAddress = new Map<number | string, AddressSet>();
  /** How many names that exist are below a name, for names that have some. */
  readonly #below = new Map<string, number>();
  readonly #seed: number;
  /** The name that was folded last, in small letters. */
  readonly folded: Uint8Array<ArrayBuffer> = new Uint8Array(512);
  /** How many octets of `folded` are the name. */
  length = 0;
  /** How many names there are. */
  names = 0;

  /** `random` makes it hard to choose names that all have the same hash. */
  constructor(random: Random) {
    this.#seed = random.below(2 ** 32);
  }

  /** What was, and what is, of one entry; to be passed on as the watcher of a store. */
  readonly watch = (before: DnsEntry | undefined, after: DnsEntry | undefined): void => {
    const was = before !== undefined && isAnswerable(before) ? before : undefined;
    const is = after !== undefined && isAnswerable(after) ? after : undefined;
    const either = is ?? was;
    if (either === undefined) return;
    this.#changeName(either.hostname, was, is);
    if (either.type === RECORD_TYPE.A) this.#changeAddress(either.addr, was, is);
    else if (either.type === RECORD_TYPE.AAAA) this.#changeAddress(either.rdata, was, is);
  };

  /** Makes the name between two octets of a message, a plain one, the one that `find` looks for. */
  fold(bytes: Uint8Array, start: number, end: number): void {
    const { folded } = this;
    for (let i = start; i < end; i++) {
      const octet = bytes[i]!;
      folded[i - start] = octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet; // lengths are below letters
    }
    this.length = end - start;
  }

  /** Puts a domain, in small letters, behind the name that was folded. */
  append(domain: Uint8Array): void {
    this.folded.set(domain, this.length - 1);
    this.length += domain.length - 1;
  }

  /** Whether the name that was folded is a domain, in small letters, or below it. */
  isBelow(domain: Uint8Array): boolean {
    const { folded } = this;
    const start = this.length - domain.length;
    let at = 0;
    while (at < start) at += folded[at]! + 1;
    if (at !== start) return false;
    for (let i = 0; i < domain.length; i++) if (folded[start + i] !== domain[i]) return false;
    return true;
  }

  /** The entries of the name that was folded. */
  find(): NameSet | undefined {
    const { folded, length } = this;
    let set = this.#byHash.get(this.#hash());
    next: for (; set !== undefined; set = set.next) {
      const { wire } = set;
      if (wire.length !== length) continue;
      for (let i = 0; i < length; i++) if (wire.charCodeAt(i) !== folded[i]) continue next;
      return set;
    }
    return undefined;
  }

  /** Whether there are names below the one that was folded. */
  hasBelow(): boolean {
    return this.#below.has(String.fromCharCode(...this.folded.subarray(0, this.length)));
  }

  /** The name of an address (an IPv4 address as a number, an IPv6 address as hex), as it is on the wire: the first one in the
   * order of status. */
  nameOf(addr: number | string): Uint8Array | undefined {
    const set = this.#byAddress.get(addr);
    if (set === undefined) return undefined;
    set.first ??= encodeName(set.entries.reduce((a, b) => compareStored(b, a) < 0 ? b : a).hostname);
    return set.first;
  }

  #hash(): number {
    const { folded, length } = this;
    let hash = this.#seed;
    for (let i = 0; i < length; i++) hash = Math.imul(hash ^ folded[i]!, 0x01000193);
    return (hash ^ hash >>> 15) & 0x3fff_ffff; // a small integer for the engine
  }

  #changeName(hostname: string, was: DnsEntry | undefined, is: DnsEntry | undefined): void {
    const wire = encodeName(hostname);
    this.fold(wire, 0, wire.length);
    let set = this.find();
    if (set === undefined) {
      const hash = this.#hash();
      set = new NameSet(String.fromCharCode(...this.folded.subarray(0, this.length)), hash);
      set.next = this.#byHash.get(hash);
      this.#byHash.set(hash, set);
      this.names++;
    }
    const existed = set.exists;
    set.change(was, is);
    if (set.exists !== existed) this.#countBelow(set.wire, set.exists ? 1 : -1);
    if (set.isEmpty) this.#remove(set);
  }

  /** A name below others begins or ceases to exist. */
  #countBelow(wire: string, by: 1 | -1): void {
    if (labelsOf(wire) > MAX_COUNTED_LABELS) return;
    for (let at = wire.charCodeAt(0) + 1; at < wire.length - 1; at += wire.charCodeAt(at) + 1) {
      const above = wire.slice(at);
      const count = (this.#below.get(above) ?? 0) + by;
      if (count === 0) this.#below.delete(above);
      else this.#below.set(above, count);
    }
  }

  #remove(set: NameSet): void {
    let at = this.#byHash.get(set.hash)!;
    if (at !== set) {
      while (at.next !== set) at = at.next!;
      at.next = set.next;
    } else if (set.next === undefined) this.#byHash.delete(set.hash);
    else this.#byHash.set(set.hash, set.next);
    this.names--;
  }

  #changeAddress(addr: number | string, was: DnsEntry | undefined, is: DnsEntry | undefined): void {
    let set = this.#byAddress.get(addr);
    if (set === undefined) this.#byAddress.set(addr, set = { entries: [is!], first: undefined });
    else {
      if (was !== undefined) remove(set.entries, was);
      if (is !== undefined) set.entries.push(is);
    }
    set.first = undefined;
    if (set.entries.length === 0) this.#byAddress.delete(addr);
  }
}

/** Whether an entry counts: it lives, or it was deleted and waits for its target to answer again. */
export function isAnswerable({ tombstone, unhealthy }: DnsEntry): boolean {
  return tombstone === 0 || unhealthy;
}

/** The order of status: entries whose targets answer, then small letters of the name, origin, container, address. */
function compareStored(a: DnsEntry, b: DnsEntry): number {
  if (a.unhealthy !== b.unhealthy) return a.unhealthy ? 1 : -1;
  const [x, y] = [a.hostname.toLowerCase(), b.hostname.toLowerCase()];
  if (x !== y) return x < y ? -1 : 1;
  if (a.origin !== b.origin) return a.origin < b.origin ? -1 : 1;
  return a.container < b.container ? -1 : a.container > b.container ? 1 : compareOnWire(a, b);
}
