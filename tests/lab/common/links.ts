/** Interfaces of a namespace. */
import { exec } from "./process.ts";

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
