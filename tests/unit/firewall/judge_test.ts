import assert from "node:assert/strict";
import { judgeFirewall } from "../../../mod/firewall/judge.ts";
import type { ForwardChain } from "../../../mod/wire/netlink/nftables.ts";

const BRIDGE = "meshnet";
const BOTH = { ipv4: true, ipv6: true };
const chain = (more: Partial<ForwardChain> = {}): ForwardChain => ({
  ...{ family: "ip", table: "filter", name: "FORWARD", drops: true },
  ...more,
});
const hints = (dropping: readonly ForwardChain[], sees = BOTH) =>
  judgeFirewall({ bridge: BRIDGE, dropping, sees }).map(({ hint }) => hint.replace("Let it through: ", ""));

Deno.test("judgeFirewall() names the command for each table", () => {
  assert.deepEqual(hints([chain(), chain({ family: "ip6" }), chain({ family: "inet", name: "fwd" })]), [
    "iptables -I FORWARD -i meshnet -j ACCEPT",
    "ip6tables -I FORWARD -i meshnet -j ACCEPT",
    "nft insert rule inet filter fwd iifname meshnet accept",
  ]);
});

Deno.test("judgeFirewall() says which of IPv4 and IPv6 is lost, and nothing where frames do not pass it", () => {
  const said = (sees: typeof BOTH, family: ForwardChain["family"]) =>
    judgeFirewall({ bridge: BRIDGE, dropping: [chain({ family })], sees }).map(({ message }) =>
      /sees (.*) traffic/.exec(message)?.[1]
    );
  assert.deepEqual(said(BOTH, "inet"), ["IPv4 and IPv6"]);
  assert.deepEqual(said({ ipv4: false, ipv6: true }, "inet"), ["IPv6"]);
  assert.deepEqual(said({ ipv4: false, ipv6: true }, "ip"), []);
  assert.deepEqual(said({ ipv4: true, ipv6: false }, "ip6"), []);
  assert.deepEqual(hints([]), []);
});
