/** The single changes that attaching and detaching are made of. */
import { type Cidr, formatCidr, type Mac } from "../core/addr.ts";
import { assertNever } from "../core/brand.ts";

/** Which namespace a step works in: the daemon's own, or that of the target. */
export type Side = "host" | "target";

/** One change. Interfaces are named, so that a step can be told to people and repeated. */
export type Step =
  /** Makes a veth pair: `name` in the target, `hostName` on the host, both down. */
  | {
    readonly kind: "create-pair";
    readonly name: string;
    readonly hostName: string;
    readonly mtu: number;
    readonly mac: Mac | undefined;
  }
  /** Removes a link, and with it its other end; one that is not there is fine. */
  | { readonly kind: "delete-link"; readonly side: Side; readonly name: string }
  | { readonly kind: "rename-link"; readonly side: Side; readonly name: string; readonly to: string }
  | { readonly kind: "set-mtu"; readonly side: Side; readonly name: string; readonly mtu: number }
  | { readonly kind: "set-up"; readonly side: Side; readonly name: string; readonly up: boolean }
  /** Makes a host interface a port of the switch. */
  | { readonly kind: "add-port"; readonly name: string }
  /** Ends that; a port that is not there is fine. */
  | { readonly kind: "remove-port"; readonly name: string }
  | { readonly kind: "add-address"; readonly name: string; readonly cidr: Cidr }
  | { readonly kind: "remove-address"; readonly name: string; readonly cidr: Cidr }
  /** Sends 224.0.0.0/4 out of the interface, which must be up. */
  | { readonly kind: "add-multicast-route"; readonly name: string }
  /** Leads to the name server of this host through the interface, which must be up. Failing is only worth a warning. */
  | { readonly kind: "add-name-server"; readonly name: string }
  /** Ends that. */
  | { readonly kind: "remove-name-server"; readonly name: string }
  /** Writes below /proc/sys; a key that this kernel does not have is skipped. Failing is only worth a warning. */
  | { readonly kind: "set-sysctl"; readonly side: Side; readonly key: string; readonly value: string }
  /** Tells everybody on the network who has these addresses now, and the name server, which hears nothing that is for
   * everybody. Failing is only worth a warning. */
  | {
    readonly kind: "announce";
    readonly name: string;
    readonly addresses: readonly Cidr[];
    readonly nameServer: boolean;
  };

/** A step with what takes it back; undefined where nothing needs to be or can be taken back. */
export interface PlannedStep {
  readonly step: Step;
  readonly undo: Step | undefined;
}

/** Whether an attachment works without this step, so that failing is only worth a warning. */
export function isOptional(step: Step): boolean {
  return step.kind === "set-sysctl" || step.kind === "announce" || step.kind.endsWith("-name-server");
}

/** A step in words, to follow "Cannot". */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case "create-pair":
      return `make interface ${step.name} with host end ${step.hostName}`;
    case "delete-link":
      return `remove interface ${step.name}`;
    case "rename-link":
      return `rename interface ${step.name} to ${step.to}`;
    case "set-mtu":
      return `set the MTU of ${step.name} to ${step.mtu}`;
    case "set-up":
      return `set ${step.name} ${step.up ? "up" : "down"}`;
    case "add-port":
      return `add ${step.name} to the switch`;
    case "remove-port":
      return `take ${step.name} out of the switch`;
    case "add-address":
      return `add address ${formatCidr(step.cidr)} to ${step.name}`;
    case "remove-address":
      return `remove address ${formatCidr(step.cidr)} from ${step.name}`;
    case "add-multicast-route":
      return `add the multicast route through ${step.name}`;
    case "add-name-server":
      return `lead to the name server through ${step.name}`;
    case "remove-name-server":
      return `end the way to the name server through ${step.name}`;
    case "set-sysctl":
      return `set ${step.key.replaceAll("/", ".")} to ${step.value}`;
    case "announce":
      return `announce the addresses of ${step.name}`;
    default:
      return assertNever(step);
  }
}
