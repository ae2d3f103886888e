/** How keys of the store begin that more than one part reads: a copy of a machine gives up what is under them. */

/** Names of targets: followed by the target. */
export const NAMES_PREFIX = "names/target/";
/** Health checks: followed by the target. */
export const HEALTH_PREFIX = "names/health/";
/** Containers in an engine's networks of ours: followed by the container's id. */
export const MEMBER_PREFIX = "engine/container/";
