/** Wiring namespaces into the network: what the daemon uses of this folder. */
export type { AttachAdapters, SwitchPorts, Sysctl } from "./adapters.ts";
export { type AddressWish, parseAddressWish } from "./address.ts";
export type { Attachment, AttachOptions, Reconciled } from "./attachment.ts";
export { Attachments } from "./attachments_shell.ts";
export { BridgePorts } from "./bridge_ports_shell.ts";
export { EbpfPorts } from "./ebpf_ports_shell.ts";
export { exposedIn, exposedNetworks } from "./exposed.ts";
export { Exposed } from "./exposed_shell.ts";
export { listLinks } from "./links_shell.ts";
export {
  CONTAINER_INTERFACE,
  CONTAINER_INTERFACE_WEAVE,
  isEndpointInterface,
  isHostInterface,
  macOf,
  outerInterface,
} from "./names.ts";
export { interfaceWith, presentAddresses } from "./present_shell.ts";
export { OvsPorts } from "./ovs_ports_shell.ts";
export {
  CONTAINER_PREFIX,
  type ContainerStanding,
  findTarget,
  isContainerName,
  parseAttachTarget,
} from "./target.ts";
export { EndpointMender, type LostEndpoint } from "./endpoint_mend_shell.ts";
export { EngineEndpoints } from "./endpoint_shell.ts";
export { ContainerLookups } from "./lookups_shell.ts";
