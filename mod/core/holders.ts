/** Under which names this host holds what belongs to no target (source: spec dns.md section 4 and ipam.md). */

/** Its own addresses in the network, and its names. */
export const EXPOSE_HOLDER = "weave:expose";
/** Records of `dns add`. */
export const EXTERN_HOLDER = "weave:extern";
/** The name that it has of itself, `<nickname>.host.<domain>`. Ours: other makes take it for a container. */
export const HOST_HOLDER = "meshnet:host";
/** What a container of an engine's network holds, followed by its id, and addresses that an engine was given. */
export const ENGINE_PREFIX = "engine:";
