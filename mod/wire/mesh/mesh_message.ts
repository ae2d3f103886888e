/** Messages between peers after the introduction (source: spec mesh.md, section 4). */
export { decodeFeatures, encodeFeatures, type Features } from "./mesh_features.ts";
export { decodeGossipFrame, encodeGossipFrame, type GossipFrame } from "./mesh_frame.ts";
export { TAG } from "./mesh_tag.ts";
export { decodeTopology, TopologyEncoder } from "./mesh_topology.ts";
