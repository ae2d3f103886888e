/** A container's interface in an engine's network, made again: the engine made it once, and does not look after it. */
import type { Cidr, Mac } from "../core/addr.ts";
import { MeshnetError } from "../core/errors.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import type { AttachAdapters } from "./adapters.ts";
import { applySteps } from "./apply_shell.ts";
import { TargetKernel } from "./kernel_shell.ts";
import { outerInterface } from "./names.ts";
import { planAttach, type Wanted } from "./plan.ts";

/** More interfaces of ours than this are in no container. */
const MAX_NUMBER = 64;

/** An endpoint whose pair is gone while its container runs. */
export interface LostEndpoint {
  readonly endpoint: string;
  /** Where the container's namespace is. */
  readonly path: string;
  readonly address: Cidr;
  /** As the engine has it; undefined: whatever the kernel draws. */
  readonly mac: Mac | undefined;
}

/** Makes pairs again. */
export class EndpointMender {
  /** `host` is an rtnetlink socket of the daemon's namespace, borrowed. `prefix`: what the interface is called in
   * containers, before its number. */
  constructor(
    readonly adapters: AttachAdapters,
    readonly host: NetlinkSocket,
    readonly options: { readonly mtu: number; readonly prefix: string },
  ) {}

  /** Gives a container its interface again, with the name, address and MAC address that it had. Routes that are not the
   * network's own are left to whoever looks after look-ups. Throws "attach/failed"; then nothing is left. */
  mend({ address, endpoint, mac, path }: LostEndpoint): void {
    const { mtu, prefix } = this.options;
    using kernel = new TargetKernel(this.adapters, this.host, path);
    const names = kernel.names();
    const name = Array.from({ length: MAX_NUMBER }, (_, n) => `${prefix}${n}`).find((one) => !names.has(one));
    const other = kernel.otherNetworks("").addresses.find(({ cidr }) => cidr.ip === address.ip);
    if (name === undefined || other !== undefined) {
      const why = other === undefined ? "it has too many interfaces" : `${other.name} has its address`;
      throw new MeshnetError("attach/failed", `Cannot give its interface back: ${why}`);
    }
    const wanted: Wanted = {
      ...{ hostName: outerInterface(endpoint), name, mtu, mac, addresses: [address] },
      multicastRoute: false,
      nameServer: false,
    };
    const planned = planAttach(wanted, kernel.observe(wanted));
    const warnings = applySteps(planned, (step) => kernel.perform(step), "give its interface back");
    for (const reason of warnings) this.adapters.log.debug("attach-warning", { interface: name, reason });
  }
}
