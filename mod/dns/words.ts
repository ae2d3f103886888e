/** What people are told about names. */
import type { DirectoryOutcome } from "./directory_types.ts";

/** A name that no name can be. */
export function badName(hostname: string): DirectoryOutcome {
  return {
    ...{ kind: "refused", code: "bad-name" },
    message: `Cannot use ${JSON.stringify(hostname.slice(0, 80))} as a name`,
    hint:
      "A name has parts of 1 to 63 letters, digits or hyphens with dots between them, 253 characters in all",
  };
}

/** There are too many names of this host. */
export function tooMany(limit: number): DirectoryOutcome {
  return {
    ...{ kind: "refused", code: "too-many" },
    message: `Cannot add another name: this host has ${limit} already`,
    hint: `Remove names with "meshnet dns remove"`,
  };
}

/** The name belongs to somebody else's domain. */
export function outside(hostname: string, domain: string): DirectoryOutcome {
  return { kind: "ignored", message: `${hostname} is not below ${domain}` };
}

/** Two hosts have different times. */
export function skewed(delta: number, limit: number): string {
  return `host clock skew of ${delta}s exceeds ${limit}s limit`;
}
