/** What IPsec is needed for: nothing is opened on a host that never encrypted. */
import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import type { Logger, NetlinkSocket, Store } from "../../../mod/core/ports.ts";
import { ipsecUse } from "../../../mod/daemon/threads/ipsec_parts.ts";
import { OWN_MARK } from "../../../mod/ipsec/xfrm_plan.ts";
import { newSa } from "../../../mod/wire/netlink/xfrm.ts";
import { FakeXfrm } from "../ipsec/fake_xfrm.ts";

interface Host {
  use(encrypts: boolean): Promise<string>;
  opened: number;
  /** The disk takes nothing. */
  full: boolean;
  readonly warnings: string[];
}

function host(kernel: NetlinkSocket | undefined): Host {
  const records = new Map<string, string>();
  const store: Store = {
    get: (key) => records.get(key),
    put: (key, value) => void records.set(key, value),
    putAll: (pairs) => pairs.forEach(([key, value]) => records.set(key, value!)),
    remove: (key) => {
      if (made.full) throw new Error("No space left on device");
      records.delete(key);
    },
    list: () => [...records],
  };
  const log = { debug() {}, warn: (...told: unknown[]) => void made.warnings.push(told.map(String).join()) };
  const made: Host = {
    opened: 0,
    full: false,
    warnings: [],
    use: (encrypts: boolean) => ipsecUse(encrypts, { store, log: log as unknown as Logger, open }),
  };
  function open(): NetlinkSocket {
    made.opened++;
    if (kernel === undefined) throw new Error("no IPsec");
    return kernel;
  }
  return made;
}

Deno.test("ipsecUse() opens nothing on a host that never encrypted", async () => {
  const made = host(new FakeXfrm());
  assert.deepEqual([await made.use(false), await made.use(false), made.opened], ["off", "off", 0]);
});

Deno.test("ipsecUse() finds what an earlier run left, until nothing is left", async () => {
  const kernel = new FakeXfrm();
  const made = host(kernel);
  assert.deepEqual([await made.use(true), await made.use(true), made.opened], ["on", "on", 0]);
  const ends = { src: "192.0.2.1" as Ip, dst: "192.0.2.2" as Ip };
  kernel.request(newSa({ ...ends, spi: 0x2000, key: new Uint8Array(36), reqid: OWN_MARK, bound: true }));
  assert.deepEqual([await made.use(false), await made.use(false), made.opened], [
    "leftovers",
    "leftovers",
    2,
  ]);
  kernel.flushSas();
  assert.deepEqual([await made.use(false), await made.use(false), made.opened], ["off", "off", 3]);
});

Deno.test("ipsecUse() does not mind a kernel that has lost its IPsec", async () => {
  const made = host(undefined);
  assert.deepEqual([await made.use(true), await made.use(false), await made.use(false)], [
    "on",
    "off",
    "off",
  ]);
  assert.equal(made.opened, 1);
});

Deno.test("ipsecUse() tells of a full disk, goes on, and looks again next time", async () => {
  const made = host(new FakeXfrm());
  await made.use(true);
  made.full = true;
  assert.equal(await made.use(false), "off");
  assert.equal(made.warnings.length, 1);
  made.full = false;
  assert.deepEqual([await made.use(false), await made.use(false), made.opened], ["off", "off", 2]);
});
