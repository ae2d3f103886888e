import assert from "node:assert/strict";
import { announcedMtu, announceMtu } from "../../../../mod/overlay/ports/dataplane_types.ts";

Deno.test("announcedMtu() reads what announceMtu() says among extensions, and nothing else", () => {
  assert.equal(announcedMtu(["fastdp-beat", announceMtu(1410), "sleeve-beat"]), 1410);
  for (
    const text of ["mtu=", "mtu=0", "mtu=-5", "mtu=1e3", "mtu=123456", "mtu=1410x", "mtu", "fastdp-beat"]
  ) {
    assert.equal(announcedMtu([text]), undefined, text);
  }
});
