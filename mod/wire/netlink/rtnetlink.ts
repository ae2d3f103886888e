/** rtnetlink: requests about links, addresses and routes, and what answers them. */
export {
  type BridgeSettings,
  decodeLink,
  deleteLink,
  dumpLinks,
  getLink,
  type Interface as Link,
  LINK_NOTICES,
  type LinkChanges,
  MAX_LINK_NAME,
  namesInNotice,
  type NamespaceRef,
  newBridge,
  newVeth,
  setLink,
  type VethEnd,
} from "./rtnetlink_link.ts";
export {
  addAddress,
  ADDRESS_NOTICES,
  decodeAddress,
  dumpAddresses,
  IFA_F,
  type InterfaceAddress,
  removeAddress,
  tellsOfAddress,
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
