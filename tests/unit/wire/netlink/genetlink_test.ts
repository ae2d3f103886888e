import assert from "node:assert/strict";
import { MeshnetError } from "../../../../mod/core/errors.ts";
import type { NetlinkSocket } from "../../../../mod/core/ports.ts";
import { decodeFamily, encodeFamilyRequest, findFamily } from "../../../../mod/wire/netlink/genetlink.ts";
import { NetlinkWriter } from "../../../../mod/wire/netlink/netlink_writer.ts";
import { fuzz } from "../../fuzz.ts";
import { assertSends, messagesOf } from "./ovs_vectors.ts";

const LOOKUPS = "family lookups (ctrl GETFAMILY x4)";
const NAMES = ["ovs_datapath", "ovs_vport", "ovs_flow", "ovs_packet"];

function socket(answer: () => readonly Uint8Array[]): NetlinkSocket {
  return { portId: 1, request: answer, send: () => {}, [Symbol.dispose]: () => {} };
}

Deno.test("encodeFamilyRequest() is what was seen", () => {
  NAMES.forEach((name, i) => assertSends(encodeFamilyRequest(name), LOOKUPS, i));
});

Deno.test("decodeFamily() reads numbers, versions and groups", () => {
  const families = messagesOf(LOOKUPS, "RX").map((message) => decodeFamily(message));
  assert.deepEqual(
    families.map((f) => f.ok && [f.value.name, f.value.id, f.value.version, [...f.value.groups]]),
    [
      ["ovs_datapath", 26, 2, [["ovs_datapath", 3]]],
      ["ovs_vport", 27, 1, [["ovs_vport", 4]]],
      ["ovs_flow", 28, 1, [["ovs_flow", 5]]],
      ["ovs_packet", 29, 1, []],
    ],
  );
});

Deno.test("decodeFamily() refuses a reply without number", () => {
  const message = new NetlinkWriter().begin(16, 0).u32(0).attrText(2, "x").end().finish();
  assert.deepEqual(decodeFamily(message), { ok: false, reason: "family reply has no number" });
});

Deno.test("findFamily() is undefined for a family the kernel lacks, and passes other errors on", () => {
  const refuse = (errno: number) => () => {
    throw new MeshnetError("netlink/request-failed", "refused", { errno });
  };
  assert.equal(findFamily(socket(refuse(2)), "ovs_flow"), undefined);
  assert.throws(() => findFamily(socket(refuse(1)), "ovs_flow"), { errno: 1 });
  assert.throws(() => findFamily(socket(() => []), "ovs_flow"), { message: /no reply/ });
});

Deno.test("decodeFamily() returns for whatever it gets", () => fuzz(decodeFamily, messagesOf(LOOKUPS, "RX")));
