import assert from "node:assert/strict";
import { ERRNO } from "../../../mod/core/errno.ts";
import type { MeshnetError } from "../../../mod/core/errors.ts";
import { findOvs, removeDatapath } from "../../../mod/daemon/host/ovs_host.ts";
import { fakeSocket, refusal } from "../kernel_messages.ts";

/** A kernel without Open vSwitch. */
const bare = fakeSocket(() => {
  throw refusal(ERRNO.ENOENT);
});

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
