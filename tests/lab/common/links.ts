/** Interfaces of a namespace. */
import { exec, pause } from "./process.ts";

/** What `ip -j link` says of an interface. */
export interface Link {
  readonly ifname: string;
  readonly mtu: number;
  readonly address: string;
}

/** All interfaces of a namespace. */
export async function links(netns: string): Promise<readonly Link[]> {
  return JSON.parse(await exec(["ip", "-j", "link"], { netns }));
}

/** The link-local address of `ethmesh`, once it is no longer tentative. */
export async function linkLocal(netns: string): Promise<string> {
  for (let tries = 0; tries < 100; tries++) {
    const text = await exec(["ip", "-j", "-6", "addr", "show", "dev", "ethmesh", "scope", "link"], { netns });
    const [found] = JSON.parse(text || "[]") as { addr_info?: { local: string; tentative?: boolean }[] }[];
    const address = found?.addr_info?.find((info) => info.local !== undefined && info.tentative !== true);
    if (address !== undefined) return address.local;
    await pause(100);
  }
  throw new Error(`ethmesh in ${netns} has no link-local address`);
}
