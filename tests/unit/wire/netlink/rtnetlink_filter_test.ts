import assert from "node:assert/strict";
import { NetlinkWriter } from "../../../../mod/wire/netlink/netlink_writer.ts";
import {
  decodeFilter,
  decodeLink,
  deleteFilter,
  dumpFilters,
  FILTER_PLACE,
  linksOfFilterNotice,
  newFilterHooks,
  newVxlan,
  setBpfFilter,
} from "../../../../mod/wire/netlink/rtnetlink.ts";

/** By include/uapi/linux/rtnetlink.h, pkt_sched.h and pkt_cls.h; the lab has a kernel take them. */
const REQUESTS: readonly (readonly [string, Uint8Array, string])[] = [
  [
    "both hooks of interface 5",
    newFilterHooks(5),
    "2f000000" + "24000506" + "0000000000000000" + "00000000" + "05000000" + "0000ffff" + "f1ffffff" +
    "00000000" +
    "0b000100636c7361637400",
  ],
  [
    "a program at the first hook",
    setBpfFilter(5, { ...FILTER_PLACE, hook: "in", fd: 9, name: "x" }),
    "48000000" + "2c000505" + "0000000000000000" + "00000000" + "05000000" + "01000000" + "f2ffffff" +
    "0003801a" +
    "08000100" + "62706600" + "1c000200" + "0800060009000000" + "0600070078000000" + "0800080001000000",
  ],
  [
    "its end",
    deleteFilter(5, { ...FILTER_PLACE, hook: "out" }),
    "2c000000" + "2d000500" + "0000000000000000" + "00000000" + "05000000" + "01000000" + "f3ffffff" +
    "0003801a" +
    "0800010062706600",
  ],
  [
    "a list",
    dumpFilters(5, "in"),
    "24000000" + "2e000103" + "0000000000000000" + "00000000" + "05000000" + "00000000" + "f2ffffff" +
    "00000000",
  ],
];

for (const [what, message, octets] of REQUESTS) {
  Deno.test(`rtnetlink filter: ${what}`, () => assert.equal(hex(message), octets));
}

Deno.test("a filter of the kernel is read, whatever its kind", () => {
  const told = (kind: string) => {
    const writer = new NetlinkWriter(128).begin(44, 0).u8(0).u8(0).u16(0);
    writer.u32(5).u32(1).u32(0xffff_fff2).u32((6784 << 16 | 0x0300) >>> 0).attrText(1, kind);
    const options = writer.open(2);
    return writer.attrText(7, "x").attrU32(11, 77).close(options).end().finish();
  };
  const place = { ifindex: 5, handle: 1, priority: 6784 };
  assert.deepEqual(decodeFilter(told("bpf")), {
    ok: true,
    value: { ...place, kind: "bpf", name: "x", program: 77 },
  });
  assert.deepEqual(decodeFilter(told("u32")), {
    ok: true,
    value: { ...place, kind: "u32", name: undefined, program: undefined },
  });
  assert.deepEqual([linksOfFilterNotice(told("bpf")), linksOfFilterNotice(Uint8Array.of(1))], [[5], []]);
  assert.equal(decodeFilter(told("bpf").subarray(0, 30)).ok, false);
});

Deno.test("a VXLAN interface that is told its tunnels is asked for, and read again", () => {
  const request = newVxlan({ name: "vxlan-6784", port: 6784, mtu: 65_000 });
  const told = request.slice();
  new DataView(told.buffer).setInt32(20, 9, true); // the kernel gives it an index
  const link = decodeLink(told);
  assert.ok(link.ok);
  assert.deepEqual([link.value.name, link.value.kind, link.value.mtu], ["vxlan-6784", "vxlan", 65_000]);
  assert.deepEqual(link.value.vxlan, { port: 6784, external: true });
});

function hex(octets: Uint8Array): string {
  return [...octets].map((octet) => octet.toString(16).padStart(2, "0")).join("");
}
