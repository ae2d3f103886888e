import assert from "node:assert/strict";
import { type Ip, parseCidr } from "../../../mod/core/addr.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import { ownerAmong } from "../../../mod/daemon/doctor/owner_among.ts";

Deno.test("ownerAmong() finds the owner of an address, over the end of the range too", () => {
  const entry = (token: string, size: number, peer: string) => ({
    ...{ token: token as Ip, size, peer: peer as PeerName, nickname: "", isKnownPeer: true, version: 1 },
  });
  const ring = {
    ...{ range: parseCidr("10.32.0.0/24")!, rangeSize: 256 },
    entries: [entry("10.32.0.16", 100, "a"), entry("10.32.0.116", 156, "b")],
  };
  const owner = (ip: string) => ownerAmong(ring, ip as Ip);
  assert.deepEqual(["10.32.0.16", "10.32.0.115", "10.32.0.116", "10.32.0.255", "10.32.0.3"].map(owner), [
    ..."aabbb",
  ]);
  assert.deepEqual(["10.33.0.1", "fd00::1"].map(owner), [undefined, undefined]);
});
