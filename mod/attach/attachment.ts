/** What the daemon asks of attaching and is told. Shapes follow the control socket, so reports pass through. */
import type { Cidr, Mac } from "../core/addr.ts";

/** What attach() and detach() are asked. */
export interface AttachmentRequest {
  /** `netns:NAME`, `pid:N`, `container:ID` or an absolute path. */
  readonly target: string;
  /** `address/prefix`, optionally with `ip:` in front; for detach none means all. */
  readonly addresses: readonly string[];
}

/** One attachment for people and reports. */
export interface Attachment {
  /** As given when it was attached. */
  readonly target: string;
  /** What people call it now, where that differs: the name of a container. */
  readonly name: string | null;
  /** Interface in the target. */
  readonly interface: string;
  /** Interface of the host's end. */
  readonly hostInterface: string;
  readonly mac: string | null;
  /** `address/prefix`, in the order of attaching. */
  readonly addresses: readonly string[];
  /** Whether it works now. */
  readonly attached: boolean;
  /** Why it does not work, a sentence without full stop; null when it does, and for a container that is stopped. */
  readonly problem: string | null;
}

/** What is remembered of an attachment. */
export interface Remembered {
  /** As given when it was attached. */
  readonly target: string;
  /** undefined: whatever the kernel drew. */
  readonly mac: Mac | undefined;
  readonly addresses: readonly Cidr[];
}

/** What attach() and detach() did. */
export interface AttachmentResult {
  readonly target: string;
  /** The addresses that this request added or removed. */
  readonly addresses: readonly string[];
  /** What is attached now; null when nothing is left. */
  readonly attachment: Attachment | null;
  /** What a person should know though all went well, sentences without full stop. */
  readonly warnings: readonly string[];
}

/** What reconcile() found and did, by target. */
export interface Reconciled {
  /** Nothing had to change. */
  readonly adopted: readonly string[];
  /** Something was missing and was made again. */
  readonly restored: readonly string[];
  /** No namespace has the name now; attached when one has. */
  readonly waiting: readonly string[];
  /** The target is gone. */
  readonly forgotten: readonly string[];
  /** It could not be put right; tried again next time. */
  readonly failed: readonly { readonly target: string; readonly reason: string }[];
  /** Host ends that no record knows; left alone. */
  readonly unknown: readonly string[];
}

/** What may no longer be as it was attached. */
export interface Suspects {
  /** Names of host ends. */
  readonly hostEnds: readonly string[];
  /** Indexes of interfaces in containers. */
  readonly guests: readonly number[];
  /** Targets. */
  readonly targets?: readonly string[];
}

/** How interfaces are made. */
export interface AttachOptions {
  /** MTU of the network. */
  readonly mtu: number;
  /** Name of the interface in containers; see names.ts. */
  readonly interface: string;
  /** Whether multicast leaves through it. */
  readonly multicastRoute: boolean;
  /** Whether it leads to the name server of this host. */
  readonly nameServer: boolean;
}
