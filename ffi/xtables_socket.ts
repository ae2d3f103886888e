/** Tables of x_tables, which iptables-legacy writes: read and replaced whole by socket options. */
import { ERRNO } from "../mod/core/errno.ts";
import { MeshnetError } from "../mod/core/errors.ts";
import { pointerOf } from "./address.ts";
import { C, lastErrno, libc } from "./c_symbols.ts";
import { callFailed } from "./native_error.ts";
import { packetCalls, UDP } from "./packet_symbols.ts";

/** A protocol that has tables. */
export type TablesOf = "ip" | "ip6";

// IPT_BASE_CTL and IP6T_BASE_CTL are 64: reading and writing have their own numbers.
const GET = { info: 64, entries: 65 } as const;
const SET = { replace: 64, addCounters: 65 } as const;
const NAME = 32;
const INFO = 84;
const ENTRIES_AT = 40;
const COUNTER = 16;
/** Larger tables are left alone. */
const MAX_SIZE = 64 * 1024 * 1024;
const ATTEMPTS = 4;
const IPPROTO_RAW = 255;

/** A table as the kernel gives it: struct ipt_getinfo, and the entries. */
export interface RawTable {
  readonly info: Uint8Array<ArrayBuffer>;
  readonly entries: Uint8Array<ArrayBuffer>;
}

/** A socket through which tables are read and written. It keeps the network namespace in which it was made. */
export class XtablesSocket implements Disposable {
  readonly #fd: number;
  readonly #level: number;
  #open = true;

  /** Opens it in the current network namespace. */
  constructor(family: TablesOf) {
    const [domain, level] = family === "ip" ? [UDP.AF_INET, UDP.SOL_IP] : [UDP.AF_INET6, UDP.SOL_IPV6];
    this.#level = level;
    this.#fd = libc().socket(domain, C.SOCK_RAW | C.SOCK_CLOEXEC, IPPROTO_RAW);
    if (this.#fd < 0) throw callFailed("open socket for the firewall's tables", lastErrno());
  }

  /** The whole table. The kernel makes it when it is not there, so ask only for those that are. */
  read(table: string): RawTable {
    for (let attempt = 1;; attempt++) {
      const info = named(table, INFO);
      this.#get(GET.info, info);
      const size = new DataView(info.buffer).getUint32(80, true);
      if (size > MAX_SIZE) {
        throw new MeshnetError("native/call-failed", `Table ${table} is too large: ${size} bytes`);
      }
      const whole = named(table, ENTRIES_AT + size);
      new DataView(whole.buffer).setUint32(NAME, size, true);
      const errno = this.#tryGet(GET.entries, whole);
      if (errno === 0) return { info, entries: whole.slice(ENTRIES_AT) };
      if (errno !== ERRNO.EAGAIN || attempt >= ATTEMPTS) {
        throw callFailed(`read table ${table} of the firewall`, errno);
      }
    }
  }

  /** Puts a table in place of the one that was read, in one step. `replacement`: struct ipt_replace with its entries, but
   * for the pointer to room for counters. `counters`: how many entries the old table had. Gives the old counters. Throws,
   * errno EAGAIN, when the table is not the one that was read. */
  replace(table: string, replacement: Uint8Array<ArrayBuffer>, counters: number): Uint8Array<ArrayBuffer> {
    const old = new Uint8Array(new ArrayBuffer(Math.max(1, counters) * COUNTER));
    const view = new DataView(replacement.buffer, replacement.byteOffset, replacement.byteLength);
    view.setBigUint64(88, BigInt(pointerOf(old)), true);
    this.#set(SET.replace, { value: replacement, what: `write table ${table} of the firewall` });
    return old;
  }

  /** Adds to the counters of a table's entries, all of them in order. */
  addCounters(table: string, counters: Uint8Array): void {
    const value = named(table, ENTRIES_AT + counters.length);
    new DataView(value.buffer).setUint32(NAME, counters.length / COUNTER, true);
    value.set(counters, ENTRIES_AT);
    this.#set(SET.addCounters, { value, what: `restore counters of table ${table}` });
  }

  #tryGet(option: number, value: Uint8Array<ArrayBuffer>): number {
    const length = new Uint8Array(Uint32Array.of(value.length).buffer);
    return packetCalls().getsockopt(this.#fd, this.#level, option, value, length) < 0 ? lastErrno() : 0;
  }

  #get(option: number, value: Uint8Array<ArrayBuffer>): void {
    const errno = this.#tryGet(option, value);
    if (errno !== 0) throw callFailed("read the firewall's tables", errno);
  }

  #set(
    option: number,
    { value, what }: { readonly value: Uint8Array<ArrayBuffer>; readonly what: string },
  ): void {
    if (libc().setsockopt(this.#fd, this.#level, option, value, value.length) < 0) {
      throw callFailed(what, lastErrno());
    }
  }

  /** Closes it. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#open) libc().close(this.#fd);
    this.#open = false;
  }
}

function named(table: string, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(Math.max(length, 128)));
  bytes.set(new TextEncoder().encode(table).subarray(0, NAME - 1));
  return bytes.subarray(0, length);
}
