import assert from "node:assert/strict";
import type { Mac } from "../../../mod/core/addr.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { Dataplane } from "../../../mod/overlay/dataplane.ts";
import type { FlowKey, PortNo, Ufid } from "../../../mod/wire/netlink/ovs_keys.ts";
import { OVS_HOST } from "./ovs_host.ts";
import { frameOf, vport } from "./kernel.ts";

Deno.test("Dataplane gives frames with a VLAN tag flows of their own, since no flow of the kernel matches both", () => {
  const core = new Dataplane(OVS_HOST);
  const ports = [vport(0, "netdev", "vmn0"), vport(1, "netdev", "vmn1"), vport(2, "netdev", "vmn2")];
  core.step({ kind: "started", ports, flows: [] }, 0 as Millis);
  const key = { inPort: 1 as PortNo, ethSrc: 0x02_00_00_00_00_01 as Mac, ethDst: 0xffff_ffff_ffff as Mac };
  const installed = (tagged: true | undefined, at = 1): readonly (readonly [Ufid, boolean, FlowKey])[] =>
    core.step({ kind: "miss", miss: { key: { ...key, tagged }, frame: frameOf(0, 0) } }, at as Millis)
      .flatMap((effect) =>
        effect.kind === "install" ? [[effect.ufid, effect.replace, effect.key] as const] : []
      );
  assert.deepEqual(installed(undefined), [[1, false, { ...key, tagged: undefined }]]);
  assert.deepEqual(installed(true), [[2, false, { ...key, tagged: true }]]);
  assert.deepEqual(installed(true, 100), [[2, true, { ...key, tagged: true }]]);
});
