/** This host's own place in the network. */
import { inNetns } from "../../../ffi/netns.ts";
import { sendFrames } from "../../../ffi/packet_socket.ts";
import { Exposed } from "../../attach/mod.ts";
import type { Firewall } from "../../firewall/firewall_shell.ts";
import { Timers } from "../../sys/clock.ts";
import { ProcSysctl } from "../../sys/sysctl.ts";
import { DATAPATH } from "../host/ovs_host.ts";
import type { Base } from "./open_base.ts";
import type { LoadedDataplane } from "./open_dataplane.ts";
import type { Host } from "./open_host.ts";
import type { State } from "./open_state.ts";

const OWN_NAMESPACE = "/proc/thread-self/ns/net";

/** Puts right what is exposed. Disposing it ends that; addresses and rules stay. */
export function openExposed(
  { base: { faults, logger }, dataplane: { handle }, firewall, host, owner, state: { store } }: {
    readonly base: Pick<Base, "faults" | "logger">;
    readonly dataplane: Pick<LoadedDataplane, "handle">;
    readonly firewall: Firewall;
    readonly host: Pick<Host, "openRoute">;
    /** Disposes of what this is made of. */
    readonly owner: { use<T extends Disposable>(resource: T): T };
    readonly state: Pick<State, "store">;
  },
): Exposed {
  const timers = owner.use(new Timers(faults));
  const exposed = new Exposed({
    ...{ leg: DATAPATH, store, log: logger },
    host: owner.use(host.openRoute()),
    sysctl: new ProcSysctl(inNetns),
    setLeg: (open) => handle.setLeg(open),
    letThrough: (networks) => void firewall.expose(networks),
    sendFrames: (frames) => sendFrames(OWN_NAMESPACE, DATAPATH, frames),
    later: (ms, work) => timers.later("announce this host's addresses again", ms, work),
  });
  exposed.keep();
  return exposed;
}
