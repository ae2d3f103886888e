import assert from "node:assert/strict";
import { Firewall } from "../../../mod/firewall/firewall_shell.ts";
import { NetlinkWriter } from "../../../mod/wire/netlink/netlink_writer.ts";

const [NEW_CHAIN, GET_CHAIN, NEW_RULE] = [0x0a03, 0x0a04, 0x0a06];

/** A chain of the forward hook (2), or of another. */
function chain(family: number, drops: boolean, hook = 2): Uint8Array {
  const be32 = (n: number) => Uint8Array.of(0, 0, 0, n);
  const writer = new NetlinkWriter().begin(NEW_CHAIN!, 0).u8(family).u8(0).u16(0);
  writer.attrText(1, "filter").attrText(3, "FORWARD").attrBytes(5, be32(drops ? 0 : 1));
  const nest = writer.openNested(4);
  return writer.attrBytes(1, be32(hook)).close(nest).end().finish();
}

/** A rule of that chain with such an expression. */
function rule(family: number, text: string): Uint8Array {
  const writer = new NetlinkWriter().begin(NEW_RULE!, 0).u8(family).u8(0).u16(0);
  return writer.attrText(1, "filter").attrText(2, "FORWARD").attrText(4, text).end().finish();
}

function trial() {
  const host = { chains: [] as Uint8Array[], rules: [] as Uint8Array[], sees: "1", fails: false, opened: 0 };
  const said: string[] = [];
  const say = (event: string) => void said.push(event);
  const firewall = new Firewall({
    bridge: "meshnet",
    setting: () => host.sees,
    open: () => {
      host.opened++;
      if (host.fails) throw new Error("no netfilter");
      const request = (message: Uint8Array) =>
        new DataView(message.buffer).getUint16(4, true) === GET_CHAIN ? host.chains : host.rules;
      return { portId: 1, request, send: () => {}, [Symbol.dispose]: () => {} };
    },
    log: { warn: say, info: say, debug: say },
  });
  return { firewall, host, said };
}

Deno.test("Firewall says what comes and what has gone, once", () => {
  const { firewall, host, said } = trial();
  assert.deepEqual(firewall.check(), []);
  host.chains = [chain(2, true), chain(10, false), chain(2, true, 1), Uint8Array.of(1)];
  for (let i = 0; i < 3; i++) assert.equal(firewall.check().length, 1);
  assert.deepEqual(said.splice(0), ["this host's firewall sees traffic of containers"]);
  host.rules = [rule(2, "eth0"), rule(2, "meshnet")];
  assert.deepEqual(firewall.check(), []);
  assert.deepEqual(said, ["this host's firewall lets traffic of containers through"]);
});

Deno.test("Firewall looks at nothing where frames of bridges do not pass it, and survives what it cannot see", () => {
  const { firewall, host } = trial();
  host.sees = "0";
  host.chains = [chain(2, true)];
  assert.deepEqual([firewall.check(), host.opened], [[], 0]);
  host.sees = "1";
  host.fails = true;
  assert.deepEqual(firewall.check(), []);
});
