import assert from "node:assert/strict";
import { parseCidr } from "../../../mod/core/addr.ts";
import { refuseRouted } from "../../../mod/daemon/addresses/routed.ts";
import type { HostRoute } from "../../../mod/daemon/checks/routes.ts";

const route = (text: string, viaGateway = false): HostRoute => ({
  ...{ destination: parseCidr(text)!, interface: "eth0", viaGateway },
});
const ROUTES = [
  ...[route("0.0.0.0/0", true), route("0.0.0.0/1", true), route("fe80::/64"), route("192.168.50.0/24")],
  ...[route("10.0.0.0/8", true), route("10.7.7.0/24", true), route("2001:db8::/64")],
];
const refuse = (address: string) => refuseRouted([parseCidr(address)!], "netns:a", () => ROUTES);

Deno.test("refuseRouted() refuses what this host reaches elsewhere: neighbours always, by a router what is as near", () => {
  for (
    const address of ["192.168.50.9/24", "192.168.0.1/16", "10.7.7.7/24", "10.7.0.1/16", "2001:db8::9/64"]
  ) {
    assert.throws(() => refuse(address), { code: "attach/in-use", message: /a route to / }, address);
  }
  for (const address of ["10.2.1.1/24", "172.30.0.1/16", "fd00::1/64"]) refuse(address);
});

Deno.test("refuseRouted() asks for no routes where no address is given", () => {
  refuseRouted([], "netns:a", () => assert.fail("it asked"));
});
