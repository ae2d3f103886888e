/** Messages between peers after the introduction (source: spec mesh.md, section 4). */
export {
  decodeOverlayControl,
  encodeBareControl,
  encodeOverlayControl,
  type OverlayControl,
} from "./mesh_control.ts";
export { decodeFeatures, encodeFeatures, type Features } from "./mesh_features.ts";
export { decodeGossipFrame, encodeGossipFrame, type GossipFrame } from "./mesh_frame.ts";
export { TAG } from "./mesh_tag.ts";
export { decodeTopology, encodeTopology, TopologyEncoder } from "./mesh_topology.ts";
export type { LinkRecord, PeerRecord, PeerSummary } from "../../core/topology_record.ts";
