/** Makes the kernel's flows follow decisions: installs, decides again what a change concerns, sweeps, takes over old ones. */
import type { LogEvent } from "../../core/log_events.ts";
import type { Mac } from "../../core/addr.ts";
import type { LogFields } from "../../core/ports.ts";
import type { Millis } from "../../core/time.ts";
import type { FlowAction, FlowHandle, FlowKey, FlowRecord, Miss, Ufid } from "../../wire/netlink/ovs_keys.ts";
import { vniSource } from "../../wire/packet/vxlan.ts";
import type { MutableCounters } from "../ports/counters.ts";
import type { SwitchedEvent } from "../ports/switched_types.ts";
import type { DataplaneEffect, DataplaneLimits, FlowCarried } from "../ports/dataplane_types.ts";
import { type FlowEntry, FlowTable, keyText } from "./flow_table.ts";
import {
  decide,
  type Decision,
  type ForwardContext,
  identityOf,
  orderedActions,
  sameActions,
} from "./forward.ts";
import { localPlace, peerPlace } from "./place.ts";
import { Traffic } from "./traffic.ts";

/** A flow that carried nothing for this long is deleted. */
export const FLOW_IDLE_MS = 300_000;
/** People have flows counted no more often than that; more rarely where there are many: 65,536 take a tenth of a second. */
const COUNT_GAP_MS = 250;
const FLOWS_PER_GAP_MS = 8;
/** Frames refused by the loop guard get flows of their own, but not more than this many. */
const MAX_GUARDS = 256;
/** A flow that the switch does not seem to have is installed again no more often than that. */
const AGAIN_MS = 1_000;
/** For so long after a flow was installed its frames may still be misses that waited. */
const TURN_MS = 20;
/** This part of all flows is for frames of local ports only. */
const LOCAL_SHARE = 4;

/** What the keeper is made of. */
export interface FlowKeeperOptions {
  readonly context: ForwardContext;
  readonly counters: MutableCounters;
  readonly limits: DataplaneLimits;
  readonly firstUfid: number;
  /** Where effects go. */
  readonly out: { readonly effects: DataplaneEffect[] };
}

/** Owner of the flow table. Until endGrace(), adopted flows stay while knowledge about them is missing. */
export class FlowKeeper {
  /** When people may have flows counted again. */
  #countAt = 0;
  /** The registry; others may mark entries to be decided again. */
  readonly table = new FlowTable();
  /** What was carried from and to each neighbour. */
  readonly traffic = new Traffic();
  readonly #options: FlowKeeperOptions;
  #nextUfid: number;
  /** Flows with a lower id were there when the last dump was asked for. */
  #dumpBarrier = 0;
  #grace = false;
  /** Flows found at start that cannot be read, to be deleted when the grace is over. */
  #unreadable: FlowHandle[] = [];

  constructor(options: FlowKeeperOptions) {
    this.#options = options;
    this.#nextUfid = Math.max(1, options.firstUfid);
  }

  /** Runs actions on the frame of a miss once. */
  execute({ frame, key }: { frame: Uint8Array; key: FlowKey }, actions: readonly FlowAction[]): void {
    if (actions.length === 0) return;
    this.#options.counters.executed++;
    this.traffic.passed(key, actions, frame.length);
    this.#push({ kind: "execute", frame, inPort: key.inPort, actions });
  }

  /** Installs the flow of a decision about a miss and runs its actions on the frame. */
  install(miss: Miss, decision: Decision, now: Millis): void {
    this.#install(miss.key, miss.frame, decision, now);
  }

  /** A frame that was on its way up already when its flow was installed goes where that says. False: there is none. */
  repeat(miss: Miss, now: Millis): boolean {
    const entry = this.table.find(miss.key);
    if (entry === undefined || entry.foreign !== undefined || entry.actions.length === 0) return false;
    if (entry.adopted || now - entry.usedAt >= TURN_MS) return false;
    this.execute(miss, entry.actions);
    return true;
  }

  /** Installs the flow of frames that the switch has carried, one of which it tells of now. */
  installLate({ bytes, key }: SwitchedEvent, now: Millis): void {
    const entry = this.table.find(key);
    // More frames went before the flow was there: it is.
    if (entry !== undefined && entry.foreign === undefined && now - entry.usedAt < AGAIN_MS) {
      return this.traffic.passed(key, entry.actions, bytes);
    }
    const decision = decide(key, this.#options.context, now);
    if (decision.verdict !== "flow") return;
    this.traffic.passed(key, decision.actions, bytes);
    this.#install(key, undefined, decision, now);
  }

  #install(ofFrame: FlowKey, carry: Uint8Array | undefined, decision: Decision, now: Millis): void {
    const { context, counters, limits } = this.#options;
    const { inPort, sleeve, tagged, tunnel } = ofFrame;
    const local = identityOf(ofFrame) === undefined;
    const transit = { inPort, tunnel, sleeve, tagged };
    const key = decision.wide ? transit : ofFrame;
    let entry = this.table.find(key);
    if (entry?.foreign !== undefined) {
      this.delete(entry);
      entry = undefined;
    }
    const replace = entry !== undefined;
    if (entry === undefined) {
      if (decision.until < Infinity && this.table.timed >= MAX_GUARDS) return;
      // Peers choose which of them their frames say they are from: together they must leave local ports a share.
      const room = local ? limits.flows : limits.flows - Math.floor(limits.flows / LOCAL_SHARE);
      if (this.table.size >= room || this.table.countFrom(key) >= limits.flowsPerSource) {
        counters.flowLimit++;
        return carry && this.execute({ key: ofFrame, frame: carry }, decision.actions);
      }
      const wide = local || decision.wide ? undefined : this.table.find(transit);
      if (wide !== undefined) this.delete(wide); // flows must not overlap
      entry = newEntry(this.#newUfid(), key, decision, now);
      this.table.add(entry, context.network);
      this.traffic.assign(entry);
    } else {
      // A second frame was on its way up already, or the kernel lost the flow: then it refuses, and the next frame's
      // flow is a new one.
      this.#change(entry, decision);
      entry.usedAt = now;
    }
    counters.installed++;
    const frame = decision.actions.length > 0 ? carry : undefined;
    if (frame !== undefined) {
      counters.executed++;
      this.traffic.passed(key, decision.actions, frame.length);
    }
    this.#push({ kind: "install", ufid: entry.ufid, replace, key, actions: decision.actions, frame });
  }

  /** Decides again the flows that were marked, and makes the kernel follow. */
  redecide(now: Millis): void {
    if (!this.table.hasDirty) return;
    const { context, counters } = this.#options;
    for (const entry of this.table.takeDirty()) {
      const decision = decide(entry.key, context, now);
      const fits = decision.verdict === "flow" && decision.wide === (entry.key.ethDst === undefined) &&
        entry.until > now;
      if (fits && sameActions(decision.actions, entry.actions)) {
        this.table.update(entry, decision, context.network);
      } else if (entry.adopted && decision.missing && !inClear(entry, context)) {
        // Not knowing is not knowing better.
        this.table.update(entry, { ...decision, actions: entry.actions, until: Infinity }, context.network);
      } else if (fits && entry.foreign === undefined) {
        this.#change(entry, decision);
        counters.replaced++;
        const { ufid, key, actions } = entry;
        this.#push({ kind: "install", ufid, replace: true, key, actions, frame: undefined });
      } else this.delete(entry);
    }
  }

  #change(entry: FlowEntry, decision: Decision): void {
    this.traffic.ends(entry);
    this.table.update(entry, decision, this.#options.context.network);
    this.table.confirm(entry);
    this.traffic.assign(entry);
  }

  /** The datapath tells what flows had carried when they were deleted or changed. */
  carried(counts: readonly FlowCarried[], now: Millis): void {
    for (const count of counts) {
      const entry = this.table.get(count.ufid);
      if (entry !== undefined && entry.packets !== count.packets) entry.usedAt = now;
      this.traffic.told(count, entry);
    }
  }

  /** Deletes a flow at once. */
  delete(entry: FlowEntry): void {
    if (entry.cells?.length !== 0) this.traffic.ends(entry);
    this.table.remove(entry);
    if (entry.foreign !== undefined) return this.#deleteForeign(entry.foreign);
    this.#options.counters.deleted++;
    this.#push({ kind: "delete", ufid: entry.ufid });
  }

  /** The kernel refused a flow. */
  installFailed(ufid: Ufid, reason: string): void {
    const entry = this.table.get(ufid);
    if (entry === undefined) return;
    this.table.remove(entry);
    this.#log("warn", "overlay/flow-install-failed", { flow: keyText(entry.key), reason });
  }

  /** Asks for a look at all flows; sweep() takes the answer. */
  requestDump(): void {
    this.#dumpBarrier = this.#nextUfid;
    this.#push({ kind: "dump-flows" });
  }

  /** Asks for a look on behalf of people, unless they had one just now. */
  count(now: Millis): void {
    if (now < this.#countAt) return;
    this.#countAt = now + COUNT_GAP_MS + this.table.size / FLOWS_PER_GAP_MS;
    this.requestDump();
  }

  /** Looks at what every flow has carried since the last time. */
  sweep(records: readonly FlowRecord[], now: Millis): void {
    const seen = new Set<Ufid>();
    for (const { ufid, handle, packets, bytes } of records) {
      const entry = ufid === undefined ? undefined : this.table.get(ufid);
      if (entry !== undefined) {
        seen.add(entry.ufid);
        this.#look(entry, { packets, bytes }, now);
      } else if (!this.#grace) {
        if (ufid === undefined) this.#deleteForeign(handle);
        else this.#push({ kind: "delete", ufid });
      }
    }
    for (const entry of [...this.table.all()]) {
      const gone = entry.ufid < this.#dumpBarrier && entry.foreign === undefined && !seen.has(entry.ufid);
      if (gone) this.table.remove(entry);
    }
    this.traffic.swept();
  }

  #look(entry: FlowEntry, { bytes, packets }: Omit<FlowCarried, "ufid">, now: Millis): void {
    if (packets !== entry.packets) {
      this.traffic.look(entry, packets, bytes);
      entry.usedAt = now;
      const { ethSrc, inPort } = entry.key;
      if (ethSrc === undefined) return;
      const id = identityOf(entry.key);
      const place = id === undefined ? localPlace(inPort) : peerPlace(vniSource(id));
      this.#options.context.macs.refresh(ethSrc, place, now);
    } else if (now - entry.usedAt >= FLOW_IDLE_MS) this.delete(entry);
  }

  /** Deletes those of the flows found at start that go through a tunnel, and gives the others. */
  refuseTunnels(records: readonly FlowRecord[]): readonly FlowRecord[] {
    this.#stepOver(records);
    const refused = new Set(records.filter(isOfTunnel));
    for (const { handle } of refused) this.#deleteForeign(handle);
    if (refused.size > 0) this.#log("warn", "overlay/flows-refused", { count: refused.size });
    return records.filter((record) => !refused.has(record));
  }

  /** Takes over flows found at start; the context already believes what they say. */
  adopt(records: readonly FlowRecord[], now: Millis): void {
    this.#grace = true;
    this.#stepOver(records);
    for (const record of records) this.#adoptOne(record, now);
    this.table.touchAll();
    if (records.length === 0) return;
    this.#log("info", "overlay/flows-adopted", {
      count: this.table.size,
      unreadable: this.#unreadable.length,
    });
  }

  #adoptOne(record: FlowRecord, now: Millis): void {
    const { ufid, key, actions, handle, packets, bytes } = record;
    // What names a link that user space had: it has no meaning any more.
    if (isOfUserSpace(record)) return this.#deleteForeign(handle);
    const odd = (key?.ethSrc === undefined) !== (key?.ethDst === undefined);
    if (key === undefined || actions === undefined || odd) return void this.#unreadable.push(handle);
    const { context, limits } = this.#options;
    const fits = context.ports.get(key.inPort) !== undefined && this.table.find(key) === undefined;
    if (!fits || this.table.size >= limits.flows) return this.#deleteForeign(handle);
    const foreign = ufid === undefined ? handle : undefined;
    const nothing = { actions: orderedActions(actions), unicast: -1, broadcast: -1, locals: false };
    const entry = newEntry(ufid ?? this.#newUfid(), key, { ...nothing, until: Infinity }, now);
    this.table.add({ ...entry, adopted: true, foreign, packets, bytes }, context.network);
  }

  /** What was found at start has no privilege any more; what somebody else made goes. */
  endGrace(): void {
    this.#grace = false;
    for (const handle of this.#unreadable) this.#deleteForeign(handle);
    this.#unreadable = [];
    for (const entry of [...this.table.all()]) {
      if (entry.foreign !== undefined) this.delete(entry);
      else this.table.confirm(entry);
    }
    this.table.touchAll();
  }

  /** Marks the flows of MAC addresses whose binding changed. */
  touchMacs(macs: Iterable<Mac>): void {
    for (const mac of macs) this.table.touchMac(mac);
  }

  /** Marks the flows of MAC addresses that are no longer known. */
  forgetMacs(macs: Iterable<Mac>): void {
    for (const mac of macs) this.table.forgetMac(mac);
  }

  #stepOver(records: readonly FlowRecord[]): void {
    for (const { ufid } of records) this.#nextUfid = Math.max(this.#nextUfid, (ufid ?? 0) + 1);
  }

  #newUfid(): Ufid {
    return this.#nextUfid++ as Ufid;
  }

  #deleteForeign(handle: FlowHandle): void {
    this.#options.counters.deleted++;
    this.#push({ kind: "delete-foreign", handle });
  }

  #log(level: "info" | "warn", event: LogEvent, fields: LogFields): void {
    this.#push({ kind: "log", level, event, fields });
  }

  #push(effect: DataplaneEffect): void {
    this.#options.out.effects.push(effect);
  }
}

function isOfUserSpace({ key, actions }: FlowRecord): boolean {
  return key?.sleeve !== undefined || actions?.some((action) => action.kind === "sleeve") === true;
}

function isOfTunnel({ key, actions }: FlowRecord): boolean {
  return key?.tunnel !== undefined || actions?.some((action) => action.kind === "tunnel") === true;
}

/** Whether a flow takes frames in clear from, or sends them to, an address for which they must be encrypted. */
function inClear({ key, actions }: FlowEntry, { network }: ForwardContext): boolean {
  if (key.tunnel !== undefined && network.mustBeSealed(key.tunnel.src)) return true;
  return actions.some((action) => action.kind === "tunnel" && network.mustBeSealed(action.tunnel.dst));
}

function newEntry(
  ufid: Ufid,
  key: FlowEntry["key"],
  decision: Pick<Decision, "actions" | "unicast" | "broadcast" | "locals" | "until">,
  now: Millis,
): FlowEntry {
  const { actions, unicast, broadcast, locals, until } = decision;
  return {
    ufid,
    key,
    actions,
    unicast,
    broadcast,
    locals,
    until,
    adopted: false,
    foreign: undefined,
    packets: 0,
    bytes: 0,
    cells: undefined,
    usedAt: now,
  };
}
