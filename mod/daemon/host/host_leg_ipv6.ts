/** The kernel's own IPv6 on interfaces that only pass frames on. */
import type { Sysctl } from "../../attach/mod.ts";

/** Switches IPv6 off on an interface. Otherwise the kernel gives it a link-local address, looks for routers and reports
 * its groups through it, to the whole mesh. Returns why it did not work, if so. */
export function withoutIpv6(sysctl: Pick<Sysctl, "read" | "write">, name: string): unknown {
  const key = `net/ipv6/conf/${name}/disable_ipv6`;
  try {
    if (sysctl.read(undefined, key) === "0") sysctl.write(undefined, key, "1");
    return undefined;
  } catch (thrown) {
    return thrown;
  }
}
