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
  setLink,
} from "./rtnetlink_link.ts";
export {
  addAddress,
  decodeAddress,
  dumpAddresses,
  IFA_F,
  type InterfaceAddress,
  removeAddress,
} from "./rtnetlink_address.ts";
export {
  addLinkRoute,
  decodeRoute,
  dumpRoutes,
  MAIN_TABLE,
  type Route,
  ROUTE_TYPE,
} from "./rtnetlink_route.ts";
export { BLACKHOLE, dropWhatLeaves, linksOfQdiscNotice, QDISC_NOTICES } from "./rtnetlink_qdisc.ts";
