/** The data plane's core (being written): see dataplane_types.ts for its events and effects. */
export * from "./dataplane_types.ts";
