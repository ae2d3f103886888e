/** Flows in the kernel's maps: written, read, and found again by their ids. */
import { describeErrno, ERRNO } from "../../core/errno.ts";
import type { FlowAction, FlowHandle, FlowKey, FlowRecord, Ufid } from "../../wire/netlink/ovs_keys.ts";
import { EndedFlows } from "../ended_flows.ts";
import { metersOf, portOfMeter } from "../ovs_meters.ts";
import { FlowPlaces } from "./flow_places.ts";
import {
  countOf,
  HANDLE,
  handleOf,
  NO_HANDLE,
  outputInGroup,
  outputsOf,
  recordOf,
  ufidAt,
} from "./flow_records.ts";
import {
  ACTION,
  CHUNK,
  chunkOfSlot,
  CONFIG,
  CONFIG_AT,
  COUNT,
  FLOW,
  FLOW_GROUPS,
  GROUP,
  GROUP_KEY,
  KEY,
  type MapName,
  MAX_OUTPUTS,
  MISSES_PER_STRETCH,
  NEWS_RATE,
  numbersOfAction,
  numbersOfOrigin,
  ORIGIN_SIZE,
  RATE,
  readAction,
  readFlowKey,
  SLOTS,
  type Translator,
  writeAction,
  writeFlowKey,
  writeGroupKey,
} from "./layout.ts";
import type { MachineMap } from "./machine.ts";
import { OuterAddresses } from "./outer_addresses.ts";

/** What tells what interfaces are. */
export interface TableTranslator extends Omit<Translator, "addressOf" | "numberOf"> {
  kindOf(ifindex: number): "tunnel" | "tap" | "local";
}

const octets = (size: number) => new Uint8Array(new ArrayBuffer(size));

/** Owner of what the maps hold. One thread, synchronous. */
export class Tables {
  readonly #key = octets(KEY.size);
  readonly #flow = octets(FLOW.size);
  readonly #flowView = new DataView(this.#flow.buffer);
  readonly #old = octets(FLOW.size);
  readonly #groupKey = octets(GROUP_KEY.size);
  readonly #group = octets(GROUP.size);
  readonly #actions = octets(MAX_OUTPUTS * ACTION.size);
  readonly #places = new FlowPlaces();
  readonly #small = octets(4);
  readonly #rate = octets(RATE.size);
  readonly #config = octets(CONFIG.size);
  readonly #counts: Uint8Array<ArrayBuffer>;
  /** What flows had carried when they were deleted or changed. */
  readonly ended = new EndedFlows();
  #slot = 0;
  /** How many actions the last slot has, and which. */
  #inSlot = 0;
  readonly #slotActions = octets(MAX_OUTPUTS * ACTION.size);
  #tap = 0;
  #taken = 0;

  readonly translator: TableTranslator & Translator;

  /** `cpus`: how many the kernel may ever use. */
  constructor(
    readonly maps: Readonly<Record<MapName, MachineMap>>,
    translator: TableTranslator,
    cpus: number,
  ) {
    const { addressOf, numberOf } = new OuterAddresses(maps, () => this.#numbersInUse());
    this.translator = { ...translator, addressOf, numberOf };
    this.#counts = octets(8 * cpus);
  }

  /** Installs a flow, or gives the one of this id other outputs. Returns why it cannot, as a sentence without full stop. A
   * flow with too many outputs is none, and no failure either. */
  install(
    ufid: Ufid,
    { actions, key, meter, replace }: {
      readonly key: FlowKey;
      readonly actions: readonly FlowAction[];
      readonly replace: boolean;
      /** What its frames pass on their way to other hosts; undefined: nothing. */
      readonly meter: number | undefined;
    },
  ): string | undefined {
    if (!writeFlowKey(this.#key, key, this.translator)) {
      return "its port is gone, or there is no tag or no number for it";
    }
    const { count, locals } = this.#writeActions(actions);
    // Its frames go on being misses, and user space sends each of them.
    if (count > MAX_OUTPUTS) return void this.delete(ufid);
    const view = this.#flowView;
    this.#flow.fill(0);
    if (replace) {
      if (!this.maps.flows.get(this.#key, this.#old)) return describeErrno(ERRNO.ENOENT);
      this.#flow.set(this.#old.subarray(FLOW.packets, FLOW.count), FLOW.packets);
      this.ended.add(countOf(this.#old, ufid));
    }
    view.setBigUint64(FLOW.ufid, BigInt(ufid), true);
    view.setUint32(FLOW.count, count, true);
    view.setUint32(FLOW.locals, locals, true);
    view.setUint32(FLOW.meter, meter ?? 0, true);
    this.#flow.set(this.#actions.subarray(0, ACTION.size), FLOW.only);
    const before = this.#places.get(ufid)?.chunks ?? 0;
    const chunks = count <= 1 ? 0 : Math.ceil(count / CHUNK);
    const isFull = chunks > 0 && this.#places.groups - before + chunks > FLOW_GROUPS;
    const failed = (isFull ? ERRNO.ENOSPC : this.#putGroup(ufid, 0, count <= 1 ? 0 : count)) ||
      this.maps.flows.put(this.#key, this.#flow, replace ? "present" : "absent");
    if (failed !== 0) {
      // Outputs of the old flow may be half overwritten: without it, its frames are misses.
      if (replace) this.delete(ufid);
      this.#deleteGroup(ufid, 0, chunks);
      return describeErrno(failed);
    }
    this.#deleteGroup(ufid, chunks, before);
    this.#places.set(ufid, this.#key, chunks);
    return undefined;
  }

  #writeActions(actions: readonly FlowAction[]): { readonly count: number; readonly locals: number } {
    let count = 0;
    let locals = 0;
    for (const action of actions) {
      if (count === MAX_OUTPUTS) return { count: count + 1, locals };
      if (!writeAction(this.#actions, count * ACTION.size, action, this.translator)) continue;
      count++;
      if (action.kind === "output") locals++;
    }
    return { count, locals };
  }

  /** Writes `count` actions as elements from `first` on. Returns 0, or the number of the error. */
  #putGroup(ufid: Ufid | 0, first: number, count: number): number {
    const view = new DataView(this.#group.buffer);
    for (let done = 0, chunk = first; done < count; done += CHUNK, chunk++) {
      const part = this.#actions.subarray(done * ACTION.size, Math.min(count, done + CHUNK) * ACTION.size);
      this.#group.fill(0);
      view.setUint32(GROUP.count, count, true);
      this.#group.set(part, GROUP.actions);
      writeGroupKey(this.#groupKey, { ufid, chunk });
      const failed = this.maps.groups.put(this.#groupKey, this.#group);
      if (failed !== 0) return failed;
    }
    return 0;
  }

  #deleteGroup(ufid: Ufid, from: number, to: number): void {
    for (let chunk = from; chunk < to; chunk++) {
      writeGroupKey(this.#groupKey, { ufid, chunk });
      this.maps.groups.delete(this.#groupKey);
    }
  }

  /** Outputs for one frame that user space sends: its tag. 0: it goes nowhere; undefined: the kernel refuses. */
  slotOf(actions: readonly FlowAction[]): number | undefined {
    const { count } = this.#writeActions(actions);
    if (count === 0) return 0;
    if (this.#isInSlot(count)) return this.#slot;
    this.#inSlot = 0;
    this.#slot = this.#slot % (SLOTS - 1) + 1; // 0 is no tag
    if (this.#putGroup(0, chunkOfSlot(this.#slot), count) !== 0) return undefined;
    this.#inSlot = count;
    this.#slotActions.set(this.#actions.subarray(0, count * ACTION.size));
    return this.#slot;
  }

  /** Whether the last slot has the actions that were just written: misses often go the same way as the one before. */
  #isInSlot(count: number): boolean {
    if (count !== this.#inSlot) return false;
    for (let i = 0; i < count * ACTION.size; i++) {
      if (this.#actions[i] !== this.#slotActions[i]) return false;
    }
    return true;
  }

  /** Deletes one of our flows; that it is gone already is no error. */
  delete(ufid: Ufid): void {
    const place = this.#places.get(ufid);
    if (place === undefined) return;
    this.#key.set(place.key);
    const { chunks } = place;
    this.#places.delete(ufid);
    if (this.maps.flows.get(this.#key, this.#old)) this.ended.add(countOf(this.#old, ufid));
    this.maps.flows.delete(this.#key);
    this.#deleteGroup(ufid, 0, chunks);
  }

  /** Deletes the flow that a record is of. */
  deleteHandle(handle: FlowHandle): void {
    if (handle.length !== HANDLE) return;
    const ufid = Number(new DataView(handle.buffer, handle.byteOffset).getBigUint64(KEY.size, true)) as Ufid;
    if (this.#places.get(ufid) !== undefined) return this.delete(ufid);
    this.#key.set(handle.subarray(0, KEY.size));
    this.maps.flows.delete(this.#key);
  }

  /** What every flow has carried. */
  counts(): readonly FlowRecord[] {
    const records: FlowRecord[] = [];
    this.#each((keys, keyAt, values, at) => {
      const ufid = ufidAt(values, at);
      const known = this.#places.get(ufid) !== undefined;
      const handle = known ? NO_HANDLE : handleOf(keys, keyAt, ufid);
      records.push(recordOf(values, at, { ufid: known ? ufid : undefined, handle }));
    });
    return records;
  }

  /** Every flow, keys and actions too: what an earlier process left. */
  all(): readonly FlowRecord[] {
    const groups = this.#groups();
    const records: FlowRecord[] = [];
    const stale: FlowHandle[] = [];
    this.#each((keys, keyAt, values, at) => {
      const ufid = ufidAt(values, at);
      const key = readFlowKey(keys, keyAt, this.translator);
      const count = new DataView(values.buffer, values.byteOffset + at).getUint32(FLOW.count, true);
      const chunks = count <= 1 ? 0 : Math.ceil(count / CHUNK);
      const actions = outputsOf(
        { count, only: () => readAction(values, at + FLOW.only, this.translator) },
        (i) => outputInGroup(groups, { ufid, i }, this.translator),
      );
      this.#places.set(ufid, keys.subarray(keyAt, keyAt + KEY.size), chunks);
      // An interface of it is gone: its next frame is decided anew.
      if (key === undefined || actions === undefined) return void stale.push(handleOf(keys, keyAt, ufid));
      records.push({ ...recordOf(values, at, { ufid, handle: handleOf(keys, keyAt, ufid) }), key, actions });
    });
    for (const handle of stale) this.deleteHandle(handle);
    for (const [key, place] of groups) this.#dropOrphan(key, place.key);
    return records;
  }

  /** Outputs of a flow that a process had no time to install, or to delete. */
  #dropOrphan(text: string, key: Uint8Array): void {
    const ufid = Number(text.split(" ")[0]) as Ufid;
    if (ufid !== 0 && this.#places.get(ufid) !== undefined) return;
    this.#groupKey.set(key);
    this.maps.groups.delete(this.#groupKey);
  }

  #groups(): ReadonlyMap<string, { readonly key: Uint8Array; readonly value: Uint8Array }> {
    const groups = new Map<string, { key: Uint8Array; value: Uint8Array }>();
    this.maps.groups.each((keys, values, count) => {
      for (let i = 0; i < count; i++) {
        const key = keys.slice(i * GROUP_KEY.size, (i + 1) * GROUP_KEY.size);
        const view = new DataView(key.buffer);
        const text = `${view.getBigUint64(GROUP_KEY.ufid, true)} ${view.getUint32(GROUP_KEY.chunk, true)}`;
        groups.set(text, { key, value: values.slice(i * GROUP.size, (i + 1) * GROUP.size) });
      }
    });
    return groups;
  }

  /** Numbers of IPv6 addresses that flows have, or frames that user space sends. */
  #numbersInUse(): ReadonlySet<number> {
    const used = new Set<number>();
    const note = (numbers: readonly number[]) => numbers.forEach((number) => used.add(number));
    this.#each((keys, keyAt, values, at) => {
      note(numbersOfOrigin(keys, keyAt));
      note(numbersOfAction(values, at + FLOW.only));
    });
    this.maps.origins.each((keys, _, count) => {
      for (let i = 0; i < count; i++) note(numbersOfOrigin(keys, i * ORIGIN_SIZE));
    });
    this.maps.ways.each((_, values, count) => {
      for (let i = 0; i < count; i++) note(numbersOfAction(values, i * ACTION.size));
    });
    this.maps.groups.each((_, values, count) => {
      for (let i = 0; i < count * CHUNK; i++) {
        const at = Math.floor(i / CHUNK) * GROUP.size + GROUP.actions + (i % CHUNK) * ACTION.size;
        note(numbersOfAction(values, at));
      }
    });
    return used;
  }

  #each(take: (keys: Uint8Array, keyAt: number, values: Uint8Array, at: number) => void): void {
    this.maps.flows.each((keys, values, count) => {
      for (let i = 0; i < count; i++) take(keys, i * KEY.size, values, i * FLOW.size);
    });
  }

  /** Has the rates of a port: for its misses, and for news of it. */
  putRates(ifindex: number): void {
    this.putRate("rates", ifindex, MISSES_PER_STRETCH);
    this.putRate("rates", (ifindex | NEWS_RATE.bit) >>> 0, NEWS_RATE.perStretch);
  }

  /** Has a rate for a port's misses, or for a meter; one that is there goes on. Returns 0, or the number of the error. */
  putRate(map: "rates" | "meters", id: number, limit: number): number {
    this.#number(id);
    this.#rate.fill(0);
    new DataView(this.#rate.buffer).setUint32(RATE.limit, limit, true);
    const failed = this.maps[map].put(this.#small, this.#rate, "absent");
    return failed === ERRNO.EEXIST ? 0 : failed;
  }

  /** Forgets the rates of all interfaces but those: others went while nobody looked. */
  keepRates(ifindexes: ReadonlySet<number>): void {
    const gone = new Set<number>();
    const look = (map: "rates" | "meters", ifindexOf: (id: number) => number) =>
      this.maps[map].each((keys, _, count) => {
        const view = new DataView(keys.buffer, keys.byteOffset);
        for (let i = 0; i < count; i++) {
          const ifindex = ifindexOf(view.getUint32(4 * i, true));
          if (!ifindexes.has(ifindex)) gone.add(ifindex);
        }
      });
    look("rates", (id) => (id & ~NEWS_RATE.bit) >>> 0);
    look("meters", portOfMeter);
    for (const ifindex of gone) this.dropRates(ifindex);
  }

  /** Forgets the rates of an interface that is gone. */
  dropRates(ifindex: number): void {
    for (const id of [ifindex, (ifindex | NEWS_RATE.bit) >>> 0]) {
      this.#number(id);
      this.maps.rates.delete(this.#small);
    }
    for (const meter of metersOf(ifindex)) {
      this.#number(meter);
      this.maps.meters.delete(this.#small);
    }
  }

  /** Sends misses to a TAP from now on. */
  directMisses(tap: number): void {
    this.#tap = tap;
    this.#taken = this.#given();
    this.#putSettings();
  }

  /** Misses of local ports were taken from the TAP: so many, or all that there were. */
  tookMisses(what: { readonly all: true } | { readonly all: false; readonly count: number }): void {
    const before = this.#taken;
    this.#taken = what.all ? this.#given() : (before + what.count) >>> 0;
    if (this.#taken !== before) this.#putSettings();
  }

  #given(): number {
    this.#number(CONFIG_AT.given);
    if (!this.maps.config.get(this.#small, this.#config)) return this.#taken;
    return new DataView(this.#config.buffer).getUint32(CONFIG.given, true);
  }

  #putSettings(): void {
    const view = new DataView(this.#config.buffer);
    view.setUint32(CONFIG.tap, this.#tap, true);
    view.setUint32(CONFIG.taken, this.#taken, true);
    this.#number(CONFIG_AT.settings);
    this.maps.config.put(this.#small, this.#config);
  }

  /** What the programs have counted. */
  counted(): Readonly<Record<keyof typeof COUNT, number>> {
    const sum = (index: number) => {
      this.#number(index);
      if (!this.maps.counts.get(this.#small, this.#counts)) return 0;
      const view = new DataView(this.#counts.buffer);
      let total = 0;
      for (let at = 0; at < this.#counts.length; at += 8) total += Number(view.getBigUint64(at, true));
      return total;
    };
    const { bounded, dropped, hits, misses } = COUNT;
    return { hits: sum(hits), misses: sum(misses), bounded: sum(bounded), dropped: sum(dropped) };
  }

  #number(value: number): void {
    new DataView(this.#small.buffer).setUint32(0, value, true);
  }
}
