/** rtnetlink: requests about links, addresses and routes, and what answers them. */
export {
  type BridgeSettings,
  decodeLink,
  deleteLink,
  dumpLinks,
  getLink,
  type Interface as Link,
  LINK_NOTICES,
  namesInNotice,
  newBridge,
  newVeth,
  readInterfaceNotice,
  setLink,
} from "./rtnetlink_link.ts";
export {
  addAddress,
  addedAddresses,
  ADDRESS_NOTICES,
  decodeAddress,
  dumpAddresses,
  IFA_F,
  type InterfaceAddress,
  linksOfRemovedAddresses,
  removeAddress,
} from "./rtnetlink_address.ts";
export {
  addLinkRoute,
  decodeRoute,
  dumpRoutes,
  MAIN_TABLE,
  removeLinkRoute,
  type Route,
  ROUTE_TYPE,
} from "./rtnetlink_route.ts";
export { decodeSendDropped, getStatistics } from "./rtnetlink_statistics.ts";
export { BLACKHOLE, dropWhatLeaves, letLeave, linksOfQdiscNotice, QDISC_NOTICES } from "./rtnetlink_qdisc.ts";
export {
  deleteBridgeEntry,
  dumpBridgeTable,
  learntAtPorts,
  NEIGHBOUR_NOTICES,
  setBridgeEntry,
  setBridgePort,
} from "./rtnetlink_bridge.ts";
export { decodeNeighbour, dumpNeighbours, setNeighbour } from "./rtnetlink_neighbour.ts";
export { newVxlan } from "./rtnetlink_vxlan.ts";
export {
  type BpfFilter,
  decodeFilter,
  deleteFilter,
  dumpFilters,
  FILTER_PLACE,
  type FilterHook,
  linksOfFilterNotice,
  newFilterHooks,
  setBpfFilter,
} from "./rtnetlink_filter.ts";
