/** What the main thread and the data plane's worker say to each other: plain data that can be copied. */
import type { LogEvent } from "../../core/log_events.ts";
import type { Ip, Mac } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";
import type { OverlayEvent, OverlayName, OverlayRequest } from "../../core/overlay_port.ts";
import { type ErrorCode, MeshnetError, messageOf } from "../../core/errors.ts";
import type { LogFields } from "../../core/ports.ts";
import type { DatapathCounts } from "./datapath_port.ts";
import type {
  AddressChange,
  AddressUse,
  DatapathKind,
  DataplaneLimits,
  DataplaneReport,
} from "./dataplane_types.ts";

import type { FrameQuestion, FrameView } from "./frame_view.ts";

/** What the data plane is started with. */
export interface DataplaneConfig {
  /** What moves frames. */
  readonly kind: DatapathKind;
  /** Our own name: packets of user space bear it. */
  readonly peer: PeerName;
  /** Our overlays, in the order in which they are advertised. */
  readonly overlays: readonly OverlayName[];
  /** Why fastdp is not among them, for people. */
  readonly noFastdp: string | undefined;
  /** What our overlays understand beyond the protocol. */
  readonly extensions: readonly string[];
  /** Where sleeve's UDP socket listens: the mesh port, and an address unless it is all. */
  readonly sleeve: { readonly port: number; readonly host: Ip | undefined };
  /** Name of the datapath and of its own interface. */
  readonly name: string;
  /** MTU of that interface. */
  readonly mtu: number;
  /** Main VXLAN port: mesh port + 1. */
  readonly vxlanPort: number;
  /** Whether links may have to be encrypted: whether there is a password. */
  readonly encrypts: boolean;
  /** Whether an earlier run let others have in clear what this one encrypts. */
  readonly distrusts: boolean;
  /** What the kernel's IPsec is needed for: to encrypt, to clean up after an earlier run that did, or for nothing. */
  readonly ipsec: "on" | "leftovers" | "off";
  /** Whether to tell when other programs change this host's firewall. */
  readonly watchFirewall: boolean;
  /** Whether the switch's own leg is open. */
  readonly legOpen: boolean;
  /** Bounds that are not the usual ones. */
  readonly limits?: Partial<DataplaneLimits>;
}

/** A program that whoever adds a port is to put at its hook at once, before a frame can come in. */
export interface PortProgram {
  /** Descriptor, of this process. */
  readonly fd: number;
  /** What the filter is called. */
  readonly name: string;
}

/** The report of the core, and what the kernel counted. */
export interface DataplaneStatus extends DataplaneReport {
  /** Counts of the kernel and of the shell. */
  readonly kernel: DatapathCounts;
}

/** To the worker. Each is followed by one signal of the wake-up counter. */
export type ToDataplane =
  /** First and once; not followed by a signal. */
  | { readonly kind: "start"; readonly config: DataplaneConfig; readonly wakeupFd: number }
  /** In this order; what one turn of the main thread brings about comes together. */
  | { readonly kind: "requests"; readonly requests: readonly OverlayRequest[] }
  /** `count`: with what flows have carried until now, which has a price. */
  | { readonly kind: "report"; readonly id: number; readonly count: boolean }
  /** What becomes of frames between two addresses. */
  | { readonly kind: "explain"; readonly id: number; readonly question: FrameQuestion }
  /** Ask everybody who uses an IPv4 address, in the name of a MAC address that nobody else has. */
  | { readonly kind: "who-has"; readonly ip: Ip; readonly mac: Mac }
  /** Opens the switch's own leg, or closes it. */
  | { readonly kind: "leg"; readonly open: boolean }
  /** The kernel has loaded what IPsec needs, or never will. */
  | { readonly kind: "ciphers-ready" }
  | { readonly kind: "stop" };

/** From the worker. */
export type FromDataplane =
  /** The datapath is open and every port and flow in it is known. */
  | { readonly kind: "started"; readonly portProgram?: PortProgram | undefined }
  /** In this order; what one round of the loop brings about comes together. */
  | { readonly kind: "events"; readonly events: readonly OverlayEvent[] }
  | { readonly kind: "report"; readonly id: number; readonly status: DataplaneStatus }
  | { readonly kind: "explained"; readonly id: number; readonly view: FrameView }
  | {
    readonly kind: "log";
    readonly level: "debug" | "info" | "warn" | "error";
    readonly event: LogEvent;
    readonly fields: LogFields;
  }
  /** Somebody uses an address that was asked for. */
  | { readonly kind: "address-used" } & AddressUse
  /** The leg is as the message of this kind asked for; one for each. */
  | { readonly kind: "leg" }
  /** This host's interfaces, addresses or routes have changed. */
  | { readonly kind: "network-changed"; readonly change: NetworkChange }
  /** What containers hang on was changed by others and is mended: they may have lost their places. */
  | { readonly kind: "mended" }
  /** Something happened to interfaces of containers. */
  | { readonly kind: "attached-disturbed"; readonly disturbed: Disturbed }
  /** These IPv4 addresses came to interfaces, ours or not, on this host or in containers. */
  | { readonly kind: "addresses-added"; readonly added: readonly Ip[] }
  /** Other programs have changed this host's firewall. */
  | { readonly kind: "firewall-changed" }
  /** It ended as asked to; the datapath and its flows stay. */
  | { readonly kind: "stopped" }
  /** It ended, or never began, for a reason. */
  | { readonly kind: "failed"; readonly failure: PlainFailure };

/** What may no longer be as it was attached. */
export interface Disturbed {
  /** Names of host ends. */
  readonly hostEnds: readonly string[];
  /** Indexes that interfaces have in their containers; which containers is not told. */
  readonly guests: readonly number[];
}

/** What has changed in this host's network. */
export interface NetworkChange extends AddressChange {
  /** Whether addresses may have changed. */
  readonly addresses: boolean;
}

/** A MeshnetError as data. */
export interface PlainFailure {
  /** See MeshnetError. */
  readonly code: ErrorCode;
  /** What could not be done, and why. */
  readonly message: string;
  /** What to try next. */
  readonly hint: string | undefined;
  /** Error number of the failed system call. */
  readonly errno: number | undefined;
}

/** Any thrown value as data; what is no MeshnetError is a defect of the data plane and keeps its stack. */
export function toPlainFailure(thrown: unknown): PlainFailure {
  if (thrown instanceof MeshnetError) {
    const { code, message, hint, errno } = thrown;
    return { code, message, hint, errno };
  }
  const stack = thrown instanceof Error ? thrown.stack ?? thrown.message : messageOf(thrown);
  const message = `Data plane failed: ${stack}`;
  return { code: "datapath/unavailable", message, hint: undefined, errno: undefined };
}

/** The error that was made data. */
export function fromPlainFailure(failure: PlainFailure): MeshnetError {
  const { code, message, hint, errno } = failure;
  return new MeshnetError(code, message, errno === undefined ? { hint } : { hint, errno });
}
