/** Whether another machine has an address of this host, too. */
import assert from "node:assert/strict";
import type { ConnectionReport } from "../../../mod/control/api_types.ts";
import type { Ip, Mac } from "../../../mod/core/addr.ts";
import { type OwnAddress, usedTwice } from "../../../mod/daemon/checks/own_address.ts";
import { EXAMPLE } from "../control/example_status.ts";

const [USUAL] = EXAMPLE.connections as [ConnectionReport];
const ETH0: OwnAddress = { ip: "192.0.2.1" as Ip, name: "eth0", mac: 0x0200_0000_0001 as Mac };
const OTHER = 0x0200_0000_00ff as Mac;

async function found(addresses: readonly string[], macs: readonly Mac[]) {
  const asked: string[] = [];
  const faults = await usedTwice({ connections: addresses.map((address) => ({ ...USUAL, address })) }, {
    ownTowards: ({ ip }) => ip.startsWith("127.") ? undefined : ETH0,
    others: (own) => {
      asked.push(...own.map(({ ip, name }) => `${ip} ${name}`));
      return Promise.resolve(new Map([[ETH0.ip, macs]]));
    },
  });
  return { asked, faults };
}

Deno.test("usedTwice() asks once about each address by which others are reached, and names who has it too", async () => {
  const { asked, faults } = await found(["192.0.2.2:6783", "192.0.2.3:6783"], [OTHER]);
  assert.deepEqual(asked, ["192.0.2.1 eth0"]);
  assert.deepEqual(faults.map(({ message }) => message), [
    "Another machine has this host's address 192.0.2.1 (eth0), too: 02:00:00:00:00:ff answers for it, so what is sent to " +
    "this host may go there",
  ]);
  assert.match(faults[0]!.hint!, /02:00:00:00:00:ff/);
  const two = await found(["192.0.2.2:6783"], [OTHER, OTHER + 1 as Mac]);
  assert.match(
    two.faults[0]!.message,
    /^Other machines have .*: 02:00:00:00:00:ff and 02:00:00:00:01:00 answer for it/,
  );
});

Deno.test("usedTwice() asks nobody where no way leads out of an interface with MAC addresses, and finds nothing where nobody answers", async () => {
  for (const addresses of [[], ["127.0.0.1:6783"], ["[2001:db8::2]:6783"], ["host2"]]) {
    assert.deepEqual(await found(addresses, [OTHER]), { asked: [], faults: [] });
  }
  assert.deepEqual((await found(["192.0.2.2:6783"], [])).faults, []);
});
