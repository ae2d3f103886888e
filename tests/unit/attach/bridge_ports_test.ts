import assert from "node:assert/strict";
import { BridgePorts } from "../../../mod/attach/mod.ts";
import { ERRNO } from "../../../mod/core/errno.ts";
import { FakeKernel } from "./fake_kernel.ts";

function bridgeWith(...names: readonly string[]) {
  const kernel = new FakeKernel();
  const bridge = kernel.add("", "meshnet", "bridge");
  for (const name of names) kernel.add("", name, "veth");
  return { kernel, bridge, ports: new BridgePorts(kernel.open(undefined), "meshnet") };
}

Deno.test("BridgePorts adds, finds and removes, each as often as one likes", () => {
  const { kernel, ports } = bridgeWith("vmn1", "vmn2");
  assert.equal(ports.has("vmn1"), false);
  ports.add("vmn1");
  ports.add("vmn2");
  ports.add("vmn1");
  assert.equal(kernel.changes, 4);
  assert.equal(ports.has("vmn1"), true);
  ports.remove("vmn1");
  ports.remove("vmn1");
  ports.remove("never there");
  assert.equal(kernel.changes, 5);
  assert.deepEqual([...kernel.ports], ["vmn2"]);
});

Deno.test("BridgePorts knows no port that hands frames to reserved groups to this host", () => {
  const { kernel, ports } = bridgeWith("vmn1");
  ports.add("vmn1");
  kernel.passesReserved.delete("vmn1");
  assert.equal(ports.has("vmn1"), false);
  ports.add("vmn1");
  assert.equal(ports.has("vmn1"), true);
  kernel.passesReserved.delete("vmn1");
  ports.remove("vmn1");
  assert.deepEqual([...kernel.ports], []);
});

Deno.test("BridgePorts says which interface is missing", () => {
  const { kernel, bridge, ports } = bridgeWith("vmn1");
  assert.throws(() => ports.add("vmn9"), { message: /there is no vmn9/ });
  kernel.delete(bridge);
  assert.throws(() => ports.add("vmn1"), { message: /there is no meshnet/ });
  assert.equal(ports.has("vmn1"), false);
});

Deno.test("BridgePorts passes on what the kernel refuses", () => {
  const { kernel, ports } = bridgeWith("vmn1");
  kernel.failAt = kernel.changes;
  assert.throws(() => ports.add("vmn1"), { errno: ERRNO.EIO });
});
