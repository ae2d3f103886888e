import assert from "node:assert/strict";
import { toShortId } from "../../../../mod/core/names.ts";
import { vniDestination, vniOf, vniSource } from "../../../../mod/wire/packet/vxlan.ts";
import { loadVectors } from "../../vectors.ts";

Deno.test("vniOf() puts the source into the low 12 bits, as observed", () => {
  for (const row of loadVectors("dataplane-fastdp").tunnel_ids) {
    const vni = vniOf(toShortId(row.src_short_id)!, toShortId(row.dst_short_id)!);
    assert.equal(vni, row.vni);
    assert.equal(vniSource(vni), row.src_short_id);
    assert.equal(vniDestination(vni), row.dst_short_id);
  }
});
