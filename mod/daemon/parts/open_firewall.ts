/** This host's firewall, kept as meshnet needs it. */
import { inNetns } from "../../../ffi/netns.ts";
import { interfaceIndex } from "../../../ffi/process.ts";
import { exposedIn, exposedNetworks } from "../../attach/mod.ts";
import { Firewall } from "../../firewall/firewall_shell.ts";
import type { MeshPort } from "../../firewall/wanted.ts";
import { Timers } from "../../sys/clock.ts";
import { ProcSysctl } from "../../sys/sysctl.ts";
import type { Config } from "../config/config.ts";
import { LEGACY_TABLES } from "../host/legacy_tables.ts";
import { listRoutes, openNetlinkIn } from "../host/netlink.ts";
import { DATAPATH } from "../host/ovs_host.ts";
import { meshFamilies } from "../host/underlay.ts";
import type { Base } from "./open_base.ts";
import type { DataplaneHooks } from "./open_dataplane.ts";
import type { Host } from "./open_host.ts";
import type { State } from "./open_state.ts";

/** Looks, mends, and begins to hear of changes by others. Disposing it ends that; rules stay. */
export function openFirewall(
  config: Pick<Config, "firewall" | "host" | "password" | "peers" | "port">,
  { base: { clock, faults, logger }, hooks, host: { choice, openRoute }, owner, state: { store } }: {
    readonly base: Base;
    readonly hooks: DataplaneHooks;
    readonly host: Host;
    /** Disposes of what this is made of. */
    readonly owner: { use<T extends Disposable>(resource: T): T };
    readonly state: Pick<State, "store">;
  },
): Firewall {
  const sysctl = new ProcSysctl(inNetns);
  const timers = owner.use(new Timers(faults));
  const firewall = new Firewall({
    mode: config.firewall,
    exposures: exposedNetworks(exposedIn(store)), // rules of the last run stay
    leg: DATAPATH,
    indexOf: interfaceIndex,
    // Under the programs of eBPF lies a bridge, which carries what they let pass for a moment.
    bridge: choice.kind !== "ovs",
    ports: meshPorts(config, choice.overlays),
    families: familiesOf(config, openRoute),
    setting: (key) => sysctl.read(undefined, key),
    open: () => openNetlinkIn({ protocol: "netfilter" }),
    legacy: LEGACY_TABLES,
    ...{ clock, log: logger },
    later: (ms, work) => timers.later("look after the firewall", ms, work),
  });
  firewall.begin();
  hooks.onFirewall = faults.guard("look after the firewall", () => void firewall.check());
  return firewall;
}

function meshPorts(
  { password, port }: Pick<Config, "password" | "port">,
  overlays: readonly string[],
): readonly MeshPort[] {
  const tunnels = overlays.includes("fastdp");
  return [
    { protocol: "tcp", port },
    { protocol: "udp", port },
    ...tunnels ? [{ protocol: "udp" as const, port: port + 1 }] : [],
    ...tunnels && password !== undefined ? [{ protocol: "esp" as const }] : [],
  ];
}

function familiesOf(
  config: Pick<Config, "host" | "peers">,
  openRoute: Host["openRoute"],
): readonly ("ip" | "ip6")[] {
  if (config.host !== undefined) return meshFamilies(config, []);
  using socket = openRoute();
  return meshFamilies(config, listRoutes(socket));
}
