import assert from "node:assert/strict";
import { ERRNO } from "../../../mod/core/errno.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import type { NetlinkSocket } from "../../../mod/core/ports.ts";
import { findOvs, removeDatapath } from "../../../mod/daemon/ovs_host.ts";

/** A kernel without Open vSwitch. */
const bare: NetlinkSocket = {
  portId: 1,
  request() {
    throw new MeshnetError("netlink/request-failed", "No such family", { errno: ERRNO.ENOENT });
  },
  send() {},
  [Symbol.dispose]() {},
};

Deno.test("findOvs() asks for the module, then names it and the fix", () => {
  const probed: string[] = [];
  assert.throws(() => findOvs(bare, (name) => probed.push(name)), (error: MeshnetError) => {
    assert.equal(error.code, "datapath/module-missing");
    assert.match(error.message, /openvswitch/);
    assert.match(error.hint ?? "", /modprobe openvswitch/);
    return true;
  });
  assert.deepEqual(probed, ["openvswitch"]);
});

Deno.test("removeDatapath() has nothing to do where there is no Open vSwitch", () => {
  assert.equal(removeDatapath(bare, "meshnet"), false);
});
