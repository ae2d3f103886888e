/** What is known of a container, for tests that care about little of it. */
import type { Known } from "../../../mod/docker/follower.ts";

/** A running container; `about` says what is not usual about it. */
export function knownContainer(about: Partial<Known> = {}): Known {
  return {
    ...{ name: "web", labels: new Map(), process: { pid: 100, mark: "m" }, hostname: "" },
    ...{ endpoints: [], sandbox: "", health: "none", paused: false },
    ...about,
  };
}
