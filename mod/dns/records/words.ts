/** What people are told about names. */
import type { Endpoint } from "../../core/addr.ts";
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

/** Why nothing listens on an address, and what to do. */
export function heldBack(
  why:
    | { readonly kind: "taken"; readonly endpoint: Endpoint; readonly by: string | undefined }
    | { readonly kind: "no-address" | "not-permitted"; readonly endpoint: Endpoint },
): { readonly reason: string; readonly hint: string } {
  const { ip, port } = why.endpoint;
  switch (why.kind) {
    case "taken": {
      const by = why.by === undefined ? "another program" : why.by;
      const reason = `port ${port} of ${ip} is taken by ${by}`;
      return { reason, hint: `Stop ${why.by ?? "it"}, or name another address with --dns-listen` };
    }
    case "no-address":
      return { reason: `this host has no address ${ip}`, hint: "Name one of its own with --dns-listen" };
    case "not-permitted":
      return {
        reason: `this process may not listen on port ${port}`,
        hint: "Run it as root, or give it the capability CAP_NET_BIND_SERVICE",
      };
  }
}
