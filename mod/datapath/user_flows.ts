/** Flows in user space: what a kernel's datapath does with keys and actions, for hosts whose kernel has none. Pure. */
import { type Mac, macAt } from "../core/addr.ts";
import type { LinkId } from "../core/overlay_port.ts";
import { ETHERTYPE } from "../wire/packet/ethernet.ts";
import { u16At } from "../wire/packet/inner_frame.ts";
import type {
  FlowAction,
  FlowHandle,
  FlowKey,
  FlowRecord,
  SleeveKey,
  Ufid,
} from "../wire/netlink/ovs_keys.ts";
import type { GroupFlow } from "./group_frames.ts";
import type { Vni } from "../wire/packet/vxlan.ts";

/** One flow and what it carried. */
export interface UserFlow extends GroupFlow {
  readonly ufid: Ufid;
  readonly key: FlowKey;
  actions: readonly FlowAction[];
  packets: number;
  bytes: number;
}

const NO_HANDLE = new Uint8Array(0) as Uint8Array as FlowHandle;

/** Flows of one place that frames come from, by their addresses; a frame matches one flow at the most. */
class Corner {
  /** Flows that match whatever the MACs are; index 1: of tagged frames. */
  readonly wide: [UserFlow | undefined, UserFlow | undefined] = [undefined, undefined];
  readonly #bySource = new Map<Mac, Map<number, UserFlow>>();

  find(src: Mac, dst: Mac, tag: 0 | 1): UserFlow | undefined {
    return this.#bySource.get(src)?.get(dst * 2 + tag) ?? this.wide[tag];
  }

  knows(src: Mac): boolean {
    return this.#bySource.has(src);
  }

  put(flow: UserFlow): void {
    const { ethDst, ethSrc, tagged } = flow.key;
    const tag = tagged === true ? 1 : 0;
    if (ethSrc === undefined || ethDst === undefined) {
      this.wide[tag] = flow;
      return;
    }
    const there = this.#bySource.get(ethSrc);
    if (there === undefined) this.#bySource.set(ethSrc, new Map([[ethDst * 2 + tag, flow]]));
    else there.set(ethDst * 2 + tag, flow);
  }

  remove({ ethDst, ethSrc, tagged }: FlowKey): void {
    const tag = tagged === true ? 1 : 0;
    if (ethSrc === undefined || ethDst === undefined) {
      this.wide[tag] = undefined;
      return;
    }
    const there = this.#bySource.get(ethSrc);
    if (there?.delete(ethDst * 2 + tag) === true && there.size === 0) this.#bySource.delete(ethSrc);
  }

  get empty(): boolean {
    return this.#bySource.size === 0 && this.wide[0] === undefined && this.wide[1] === undefined;
  }
}

/** The flow of the last frame from one place, by its addresses as they are in the frame: frames come in trains. */
class LastHit {
  flow: UserFlow | undefined;
  #first = 0;
  #second = 0;
  #third = 0;
  #tag = 0;

  find(bytes: Uint8Array, at: number): UserFlow | undefined {
    const hit = i32At(bytes, at) === this.#first && i32At(bytes, at + 4) === this.#second &&
      i32At(bytes, at + 8) === this.#third && tagAt(bytes, at) === this.#tag;
    return hit ? this.flow : undefined;
  }

  keep(flow: UserFlow | undefined, bytes: Uint8Array, at: number): UserFlow | undefined {
    this.flow = flow;
    if (flow === undefined) return undefined;
    this.#first = i32At(bytes, at);
    this.#second = i32At(bytes, at + 4);
    this.#third = i32At(bytes, at + 8);
    this.#tag = tagAt(bytes, at);
    return flow;
  }
}

function i32At(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!;
}

/** 1 when the frame at `at` has a VLAN tag. */
export function tagAt(bytes: Uint8Array, at: number): 0 | 1 {
  return u16At(bytes, at + 12) === ETHERTYPE.vlan ? 1 : 0;
}

/** The table. Looking up allocates nothing. */
export class UserFlows {
  readonly #byId = new Map<Ufid, UserFlow>();
  /** Of frames from local containers. */
  readonly #local = new Corner();
  /** Of frames that came over links. */
  readonly #links = new Map<LinkId, Map<Vni, Corner>>();

  readonly #lastLocal = new LastHit();
  readonly #lastLink = new LastHit();
  #lastFrom: SleeveKey = { link: -1 as LinkId, id: -1 as Vni };

  /** Number of flows. */
  get size(): number {
    return this.#byId.size;
  }

  /** The flow of the frame at `at`, from a local container. */
  ofLocal(bytes: Uint8Array, at: number): UserFlow | undefined {
    const last = this.#lastLocal.find(bytes, at);
    if (last !== undefined) return last;
    const found = this.fromLocal(macAt(bytes, at + 6), macAt(bytes, at), tagAt(bytes, at));
    return this.#lastLocal.keep(found, bytes, at);
  }

  /** The flow of the frame at `at` that came over a link. */
  ofLink(key: SleeveKey, bytes: Uint8Array, at: number): UserFlow | undefined {
    const { link, id } = this.#lastFrom;
    const last = key.link === link && key.id === id ? this.#lastLink.find(bytes, at) : undefined;
    if (last !== undefined) return last;
    const found = this.fromLink(key, macAt(bytes, at + 6), macAt(bytes, at), tagAt(bytes, at));
    if (found !== undefined) this.#lastFrom = found.key.sleeve!;
    return this.#lastLink.keep(found, bytes, at);
  }

  /** The flow of frames between these addresses from a local container; `tag` 1: with a VLAN tag. */
  fromLocal(src: Mac, dst: Mac, tag: 0 | 1): UserFlow | undefined {
    return this.#local.find(src, dst, tag);
  }

  /** The flow of frames between these addresses that came over a link. */
  fromLink(key: SleeveKey, src: Mac, dst: Mac, tag: 0 | 1): UserFlow | undefined {
    return this.#links.get(key.link)?.get(key.id)?.find(src, dst, tag);
  }

  /** Installs a flow, or gives the one with this id other actions. */
  install(ufid: Ufid, key: FlowKey, actions: readonly FlowAction[]): void {
    const known = this.#byId.get(ufid);
    if (known !== undefined) {
      known.actions = actions;
      return;
    }
    this.#lastLocal.flow = this.#lastLink.flow = undefined;
    const flow = { ufid, key, actions, packets: 0, bytes: 0, windowAt: -Infinity, windowCount: 0 };
    this.#byId.set(ufid, flow);
    this.#corner(key).put(flow);
  }

  /** Whether there are flows of frames from this address of a local container. */
  knowsLocal(src: Mac): boolean {
    return this.#local.knows(src);
  }

  /** The flow of this id. */
  get(ufid: Ufid): UserFlow | undefined {
    return this.#byId.get(ufid);
  }

  /** Deletes a flow; that it is gone already is fine. */
  delete(ufid: Ufid): void {
    const flow = this.#byId.get(ufid);
    if (flow === undefined) return;
    this.#byId.delete(ufid);
    this.#lastLocal.flow = this.#lastLink.flow = undefined;
    const { sleeve } = flow.key;
    const corner = this.#corner(flow.key);
    corner.remove(flow.key);
    if (sleeve === undefined || !corner.empty) return;
    const link = this.#links.get(sleeve.link)!;
    link.delete(sleeve.id);
    if (link.size === 0) this.#links.delete(sleeve.link);
  }

  #corner({ sleeve }: FlowKey): Corner {
    if (sleeve === undefined) return this.#local;
    let link = this.#links.get(sleeve.link);
    if (link === undefined) this.#links.set(sleeve.link, link = new Map());
    let corner = link.get(sleeve.id);
    if (corner === undefined) link.set(sleeve.id, corner = new Corner());
    return corner;
  }

  /** What each flow has carried; keys and actions are left out. */
  records(): readonly FlowRecord[] {
    return [...this.#byId.values()].map(({ ufid, packets, bytes }) => ({
      ...{ ufid, packets, bytes },
      ...{ handle: NO_HANDLE, key: undefined, actions: undefined, usedAt: undefined },
    }));
  }
}
