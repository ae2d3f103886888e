/** What people may ask the data plane about frames between two addresses. */
import type { Mac } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";
import type { DropReason } from "./dataplane_types.ts";

/** Frames from one address to another, or from one peer to another that are passed on here. */
export interface FrameQuestion {
  readonly src: Mac | undefined;
  readonly dst: Mac | undefined;
  readonly from: PeerName | undefined;
  readonly to: PeerName | undefined;
}

/** Flows of one direction, and what they have carried. */
export interface FlowCount {
  readonly flows: number;
  readonly packets: number;
}

/** The answer. */
export interface FrameView {
  /** The port behind which the destination is, if it is here. */
  readonly port: string | undefined;
  /** The peer behind which it is, if that is known. */
  readonly peer: PeerName | undefined;
  /** Its address, if it is known here; undefined: frames to it go to everybody. */
  readonly known: string | undefined;
  /** Why such a frame of a container here would go nowhere. */
  readonly dropped: DropReason | undefined;
  /** Flows from source to destination. */
  readonly there: FlowCount;
  /** Flows of the way back. */
  readonly back: FlowCount;
  /** What the flows there do, in words. */
  readonly out: readonly string[];
}
