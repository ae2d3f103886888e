/** What data planes in tests are made of. */
import { broadcastHops, graphOfView, unicastRoutes } from "../../../mod/mesh/topology/routes.ts";
import type { DataplaneOptions, RouteFactory } from "../../../mod/overlay/dataplane.ts";

/** Routes as the daemon composes them. */
export const routesOf: RouteFactory = (view) => {
  const graph = graphOfView(view);
  const unicast = unicastRoutes(graph, view.self);
  return {
    nextHop: (destination) => unicast[destination] ?? -1,
    broadcastHops: (source) => broadcastHops(graph, view.self, source),
  };
};

function probeNumbers(): () => number {
  let number = 1;
  return () => number++;
}

/** What a data plane is made of on a host with Open vSwitch and nothing special. */
export const OVS_HOST: DataplaneOptions = {
  ...{ kind: "ovs", overlays: ["fastdp"], noFastdp: undefined, extensions: [] },
  ...{ name: "meshnet", mtu: 1376, vxlanPort: 6784, firstUfid: 1, routes: routesOf },
  drawProbe: probeNumbers(),
};
