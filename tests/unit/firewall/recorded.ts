/** Rule sets read back from a real kernel, and a kernel that has them. */
import { fromHex, toHex } from "../../../mod/core/bytes.ts";
import type { XtablesPort } from "../../../mod/firewall/legacy_shell.ts";
import { type FilterSocket, readNft } from "../../../mod/firewall/nft_shell.ts";
import type { Hook, Table } from "../../../mod/wire/filter/model.ts";
import { readXtables, readXtablesInfo } from "../../../mod/wire/filter/xtables.ts";
import { loadVectors } from "../vectors.ts";

interface Recorded {
  readonly nft: Readonly<
    Record<string, readonly { readonly ask: string; readonly replies: readonly string[] }[]>
  >;
  readonly legacy: Readonly<
    Record<string, Partial<Record<"ip" | "ip6", { readonly info: string; readonly entries: string }>>>
  >;
}
/** All of them. */
export const RECORDED: Recorded = loadVectors<Recorded>("firewall-rules");

/** A socket to a kernel with a recorded rule set. What is sent to it is kept; nothing changes. */
export function recordedSocket(name: string, sent: Uint8Array[] = []): FilterSocket {
  const exchanges = RECORDED.nft[name]!;
  return {
    portId: 1,
    request(message) {
      const type = new DataView(message.buffer).getUint16(4, true).toString(16);
      const ask = `${type} ${toHex(message.subarray(16))}`;
      const found = exchanges.find((one) => one.ask === ask);
      if (found === undefined) throw new TypeError(`Nobody recorded ${ask}`);
      return found.replies.map((reply) => fromHex(reply)!);
    },
    send: (message) => void sent.push(message),
    receive: () => undefined,
    [Symbol.dispose]() {},
  };
}

/** The tables of a recorded rule set of nf_tables. */
export function recordedNft(name: string, hooks: readonly Hook[] = ["input", "forward"]): readonly Table[] {
  return readNft(recordedSocket(name), hooks).tables;
}

/** A recorded table of x_tables as the kernel gives it. */
export function recordedBlock(name: string, family: "ip" | "ip6") {
  const { entries, info } = RECORDED.legacy[name]![family]!;
  return { family, name: "filter", info: readXtablesInfo(fromHex(info)!), entries: fromHex(entries)! };
}

/** The same, read. */
export function recordedLegacy(name: string, family: "ip" | "ip6"): Table {
  const table = readXtables(recordedBlock(name, family));
  if (!table.ok) throw new TypeError(table.reason);
  return table.value;
}

/** A kernel with one table of x_tables, which changes. */
export class FakeXtables {
  info: Uint8Array;
  entries: Uint8Array;
  readonly counters: Uint8Array[] = [];

  constructor(name: string, readonly family: "ip" | "ip6") {
    const { entries, info } = RECORDED.legacy[name]![family]!;
    this.info = fromHex(info)!;
    this.entries = fromHex(entries)!;
  }

  open(): XtablesPort {
    return {
      read: () => ({ info: this.info, entries: this.entries }),
      replace: (_, replacement, counters) => {
        // struct ipt_replace has what struct ipt_getinfo has, in another order.
        const info = this.info.slice();
        info.set(replacement.subarray(44, 84), 36);
        info.set(replacement.subarray(36, 40), 76);
        info.set(replacement.subarray(40, 44), 80);
        this.info = info;
        this.entries = replacement.slice(96);
        return new Uint8Array(counters * 16).fill(7);
      },
      addCounters: (_, counters) => void this.counters.push(counters),
      [Symbol.dispose]() {},
    };
  }

  table(): Table {
    const { entries, family } = this;
    const read = readXtables({ entries, family, name: "filter", info: readXtablesInfo(this.info) });
    if (!read.ok) throw new TypeError(read.reason);
    return read.value;
  }
}
