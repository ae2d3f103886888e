/** The names that this host gives: to what is attached here, and by `dns add`. They are stored, and outlive the host. */
import type { Ip } from "../../core/addr.ts";
import { messageOf } from "../../core/errors.ts";
import { EXTERN_HOLDER } from "../../core/holders.ts";
import type { Logger, Store } from "../../core/ports.ts";
import { NAMES_PREFIX } from "../../core/store_keys.ts";
import { isContainerId } from "../../wire/dns/dns_text.ts";
import { isRecordData, RECORD_TYPE } from "../../wire/dns/dns_types.ts";
import type { DirectoryShell, OwnRecord } from "./directory_shell.ts";
import type { EntryData } from "./directory_types.ts";
import { qualified } from "./domain.ts";
import { recordOfAddress, shortName } from "./spelling.ts";

/** Keys of records by `dns add`. */
const RECORD_PREFIX = "names/record/";
const VERSION = 1;
/** Whose records by `dns add` are, as other makes of peers have it. */

/** What this host's names are made of. */
export interface OwnNamesParts {
  readonly store: Store;
  readonly directory: Pick<DirectoryShell, "register" | "remove">;
  /** The domain of the mesh, a whole name. */
  readonly domain: string;
  /** What a target is called besides, whole names, under another container than its own names; not stored. */
  readonly alsoCalled?: (
    target: string,
  ) => { readonly container: string; readonly hostname: string } | undefined;
  readonly logger: Logger;
}

/** Something attached that may have names. */
interface Target {
  /** In the order of giving, without the domain. */
  readonly names: readonly string[];
  /** The addresses that it has while it is there. */
  readonly addresses: readonly Ip[];
  /** Whether it is there, as far as anybody has said. */
  readonly present: boolean;
}

/** What is known of a target of which nobody has said anything. */
const UNKNOWN: Target = { names: [], addresses: [], present: false };

/** See the file. What is stored is remembered first, then told. */
export class OwnNames {
  readonly #parts: OwnNamesParts;
  readonly #targets = new Map<string, Target>();
  /** By store key. */
  readonly #records = new Map<string, OwnRecord>();

  /** Reads what is remembered, and tells of the records by `dns add`. Names of targets are told when these are there. */
  constructor(parts: OwnNamesParts) {
    this.#parts = parts;
    const { store } = parts;
    for (const [key, value] of store.list(NAMES_PREFIX)) {
      const names = this.#read(key, value, readNames);
      if (names !== undefined) {
        this.#targets.set(key.slice(NAMES_PREFIX.length), { names, addresses: [], present: false });
      }
    }
    for (const [key, value] of store.list(RECORD_PREFIX)) {
      const record = this.#read(key, value, readStored);
      if (record === undefined) continue;
      const own = { ...record, container: EXTERN_HOLDER, hostname: qualified(record.hostname, parts.domain) };
      if (this.#tell(own)) this.#records.set(key, own);
    }
  }

  /** The names of a target, without the domain. */
  namesOf(target: string): readonly string[] {
    return this.#of(target).names;
  }

  /** All that a target is called while it is there, without the domain. */
  calledNames(target: string): readonly string[] {
    const { alsoCalled, domain } = this.#parts;
    const also = alsoCalled?.(target);
    const first = also === undefined ? [] : [shortName(also.hostname, domain)];
    return [...new Set([...first, ...this.namesOf(target)])];
  }

  /** Records by `dns add`. */
  records(): readonly OwnRecord[] {
    return [...this.#records.values()];
  }

  /** Targets with their names. */
  targets(): readonly (readonly [target: string, names: readonly string[]])[] {
    return [...this.#targets].map(([target, { names }]) => [target, names] as const);
  }

  /** Gives a target exactly these whole names. They are answered while it is there. */
  setNames(target: string, hostnames: readonly string[]): void {
    const { domain, store } = this.#parts;
    const names = [...new Set(hostnames.map((hostname) => shortName(hostname, domain)))];
    const before = this.#targets.get(target);
    if (names.join() === (before?.names ?? []).join()) return;
    const value = names.length === 0 ? undefined : JSON.stringify({ version: VERSION, names });
    store.putAll([[NAMES_PREFIX + target, value]]);
    this.#change(target, { ...before ?? UNKNOWN, names });
  }

  /** Something is there under exactly these whole names, with these addresses. Whoever says so remembers it. */
  lend(target: string, hostnames: readonly string[], addresses: readonly Ip[]): void {
    const { domain } = this.#parts;
    const names = [...new Set(hostnames.map((hostname) => shortName(hostname, domain)))];
    this.#change(target, { names, addresses, present: true });
  }

  /** A target is there, with these addresses, or with those that it had. */
  present(target: string, addresses = this.#of(target).addresses): void {
    this.#change(target, { ...this.#of(target), addresses, present: true });
  }

  /** A target is not there; it may return, with these addresses or those that it had. */
  absent(target: string, addresses = this.#of(target).addresses): void {
    this.#change(target, { ...this.#of(target), addresses, present: false });
  }

  /** A target is attached no more, and has no names. */
  forgotten(target: string): void {
    const { store, logger } = this.#parts;
    const { names } = this.#of(target);
    this.#change(target, UNKNOWN);
    this.#targets.delete(target);
    if (names.length === 0) return;
    try {
      store.remove(NAMES_PREFIX + target);
    } catch (thrown) { // the next start finds that there is no such target
      logger.warn("names not forgotten", { target, reason: messageOf(thrown) });
    }
  }

  /** After a start: targets that are attached no more have no names. */
  keepOnly(targets: ReadonlySet<string>): void {
    for (const target of [...this.#targets.keys()]) if (!targets.has(target)) this.forgotten(target);
  }

  /** Gives a whole name records. Throws what is refused, and then nothing has changed. */
  add(hostname: string, data: readonly EntryData[]): void {
    const { directory, domain, store } = this.#parts;
    const news = data.map((each): readonly [string, OwnRecord] => {
      return [keyOf(shortName(hostname, domain), each), { container: EXTERN_HOLDER, hostname, data: each }];
    }).filter(([key]) => !this.#records.has(key));
    const told: OwnRecord[] = [];
    try {
      for (const [, record] of news) {
        directory.register(record);
        told.push(record);
      }
      store.putAll(news.map(([key, record]) => [key, writeStored(record, domain)]));
    } catch (thrown) {
      for (const record of told) directory.remove(record);
      throw thrown;
    }
    for (const [key, record] of news) this.#records.set(key, record);
  }

  /** Takes records by `dns add` away. */
  remove(records: readonly OwnRecord[]): void {
    const { directory, domain, store } = this.#parts;
    const keys = records.map(({ data, hostname }) => keyOf(shortName(hostname, domain), data));
    store.putAll(keys.map((key) => [key, undefined]));
    keys.forEach((key) => this.#records.delete(key));
    for (const record of records) directory.remove(record);
  }

  #of(target: string): Target {
    return this.#targets.get(target) ?? UNKNOWN;
  }

  #change(target: string, after: Target): void {
    const { directory } = this.#parts;
    const before = this.#recordsOf(target);
    this.#targets.set(target, after);
    const now = this.#recordsOf(target);
    for (const [key, record] of before) if (!now.has(key)) directory.remove(record);
    for (const [key, record] of now) if (!before.has(key)) this.#tell(record);
  }

  #recordsOf(target: string): ReadonlyMap<string, OwnRecord> {
    const { names, addresses, present } = this.#of(target);
    if (!present) return new Map();
    const { alsoCalled, domain } = this.#parts;
    const container = containerOf(target);
    const given = names.map((name) => ({ container, hostname: qualified(name, domain) }));
    const all = [...given, ...[alsoCalled?.(target)].filter((also) => also !== undefined)];
    return new Map(all.flatMap((each) =>
      addresses.map((ip) => {
        const data = recordOfAddress(ip);
        return [keyOf(`${each.hostname} ${each.container}`, data), { ...each, data }] as const;
      })
    ));
  }

  /** Tells of a record; false, and a line in the log, when there is no room. */
  #tell(record: OwnRecord): boolean {
    try {
      this.#parts.directory.register(record);
      return true;
    } catch (thrown) {
      this.#parts.logger.warn("name not answered", { name: record.hostname, reason: messageOf(thrown) });
      return false;
    }
  }

  #read<T>(key: string, value: string, read: (json: Record<string, unknown>) => T): T | undefined {
    try {
      const json: unknown = JSON.parse(value);
      if (typeof json !== "object" || json === null) throw new TypeError("not an object");
      const { version } = json as Record<string, unknown>;
      if (version !== VERSION) throw new TypeError(`version is ${JSON.stringify(version)}`);
      return read(json as Record<string, unknown>);
    } catch (thrown) {
      this.#parts.logger.error("name unreadable", { key, reason: messageOf(thrown) });
      return undefined;
    }
  }
}

/** Whose names those of a target are: the target itself, where that fits, so that people find it. */
export function containerOf(target: string): string {
  const id = /^(?:container|engine):(.+)$/.exec(target)?.[1];
  if (id !== undefined) return id;
  return isContainerId(target) ? target : `target-${hashOf(target)}`;
}

function hashOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

function keyOf(name: string, { addr, rdata, type }: EntryData): string {
  return `${RECORD_PREFIX}${name} ${type} ${addr} ${rdata}`;
}

function readNames({ names }: Record<string, unknown>): readonly string[] {
  if (Array.isArray(names) && names.every((name) => typeof name === "string")) return names;
  throw new TypeError("names are missing or no texts");
}

function writeStored({ data, hostname }: OwnRecord, domain: string): string {
  return JSON.stringify({ version: VERSION, name: shortName(hostname, domain), ...data });
}

function readStored({ addr, name, rdata, type }: Record<string, unknown>): Omit<OwnRecord, "container"> {
  const isWhole = typeof name === "string" && typeof type === "number" && typeof addr === "number" &&
    typeof rdata === "string" && /^(?:[0-9a-f]{2})*$/.test(rdata);
  if (!isWhole) throw new TypeError("fields are missing or of the wrong kind");
  const isAddress = type === RECORD_TYPE.A && addr >>> 0 === addr && rdata === "";
  if (!isAddress && !isRecordData(type, Uint8Array.fromHex(rdata))) throw new TypeError("it is no record");
  return { hostname: name, data: { type, addr, rdata } };
}
