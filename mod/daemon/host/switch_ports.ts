/** The ports of this host's switch. */
import { interfaceIndex } from "../../../ffi/process.ts";
import { BridgePorts, OvsPorts, type SwitchPorts } from "../../attach/mod.ts";
import { openNetlinkIn } from "./netlink.ts";
import { DATAPATH, findOvs } from "./ovs_host.ts";

/** Opens a way to them; `owner` disposes of it. */
export function openSwitchPorts(kind: "ovs" | "bridge", owner: DisposableStack): SwitchPorts {
  if (kind === "bridge") return new BridgePorts(owner.use(openNetlinkIn({ protocol: "route" })), DATAPATH);
  const socket = owner.use(openNetlinkIn({ protocol: "generic" }));
  return new OvsPorts(socket, findOvs(socket, interfaceIndex), interfaceIndex(DATAPATH));
}
