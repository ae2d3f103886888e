/** The ports of this host's switch. */
import { interfaceIndex } from "../../../ffi/process.ts";
import { BridgePorts, EbpfPorts, OvsPorts, type SwitchPorts } from "../../attach/mod.ts";
import type { PortProgram } from "../../overlay/ports/dataplane_messages.ts";
import type { DatapathKind } from "../../overlay/ports/dataplane_types.ts";
import { openNetlinkIn } from "./netlink.ts";
import { DATAPATH, findOvs } from "./ovs_host.ts";

/** Opens a way to them; `owner` disposes of it. */
export function openSwitchPorts(
  kind: DatapathKind,
  owner: DisposableStack,
  program: PortProgram | undefined,
): SwitchPorts {
  if (kind !== "ovs") {
    const route = owner.use(openNetlinkIn({ protocol: "route" }));
    return program === undefined ? new BridgePorts(route, DATAPATH) : new EbpfPorts(route, DATAPATH, program);
  }
  const socket = owner.use(openNetlinkIn({ protocol: "generic" }));
  return new OvsPorts(socket, findOvs(socket, interfaceIndex), interfaceIndex(DATAPATH));
}
