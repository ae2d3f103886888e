import assert from "node:assert/strict";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import { putTag, SLEEVE_TAGS, SleeveTags, takeTag, withoutTag } from "../../../mod/datapath/sleeve_tags.ts";
import type { FlowAction, PortNo, SleeveKey, Ufid } from "../../../mod/wire/netlink/ovs_keys.ts";
import { emptyVirtio, readVirtio, VIRTIO_GSO, writeVirtio } from "../../../mod/wire/packet/virtio_net.ts";
import type { Vni } from "../../../mod/wire/packet/vxlan.ts";
import { seededRandom, withSeed } from "../properties.ts";

const key = (link: number, id: number): SleeveKey => ({ link: link as LinkId, id: id as Vni });
const ufid = (n: number) => n as Ufid;
const IN = { inPort: 1 as PortNo };
const send = (sleeve: SleeveKey): FlowAction => ({ kind: "sleeve", port: 9 as PortNo, sleeve });

Deno.test("SleeveTags gives every key a tag of its own that a VLAN tag can carry, until there are no more", () => {
  const tags = new SleeveTags({ perLink: SLEEVE_TAGS });
  const seen = new Set<number>();
  for (let n = 0; n < SLEEVE_TAGS; n++) {
    const tag = tags.tagOf(key(1, n));
    assert.ok(tag > 0 && tag < 0x1_0000 && (tag & 0x1000) === 0, `${tag}`);
    assert.ok((tag & 0xfff) > 0 && (tag & 0xfff) < 4095, `${tag}`);
    assert.deepEqual(tags.keyOf(tag), key(1, n));
    seen.add(tag);
  }
  assert.equal(seen.size, SLEEVE_TAGS);
  assert.equal(tags.tagOf(key(1, 5)), tags.tagOf(key(1, 5)));
  for (let tag = 0; tag < 0x1_0000; tag++) {
    if (!seen.has(tag)) assert.equal(tags.keyOf(tag), undefined, `${tag}`);
  }
});

Deno.test("SleeveTags gives a tag to somebody else only when no flow uses it and enough others rest", () => {
  const tags = new SleeveTags({ total: 4, perLink: 4, reserve: 1 });
  const first = tags.tagOf(key(1, 1));
  assert.ok(tags.bind(ufid(1), { ...IN, sleeve: key(1, 1) }, [send(key(2, 1)), send(key(2, 1))]));
  assert.ok(tags.bind(ufid(2), IN, [send(key(2, 2)), send(key(2, 3))]));
  assert.equal(tags.size, 4);
  assert.equal(tags.tagOf(key(2, 4)), 0);
  assert.equal(tags.bind(ufid(3), { ...IN, sleeve: key(2, 4) }, []), false);
  assert.equal(tags.refused, 2);
  tags.unbind(ufid(2));
  const reused = tags.tagOf(key(2, 4)); // that of (2, 2) rested longer than that of (2, 3)
  assert.deepEqual(tags.keyOf(reused), key(2, 4));
  assert.equal(tags.tagOf(key(1, 1)), first);
  assert.deepEqual(tags.keyOf(tags.tagOf(key(2, 3))), key(2, 3));
});

Deno.test("SleeveTags keeps the tags of a flow that is replaced, and lets go of those it no longer names", () => {
  const tags = new SleeveTags({ total: 2, perLink: 2, reserve: 0 });
  tags.bind(ufid(1), IN, [send(key(1, 1)), send(key(1, 2))]);
  tags.bind(ufid(1), IN, [send(key(1, 2))]);
  assert.notEqual(tags.tagOf(key(1, 3)), 0);
  assert.equal(tags.tagOf(key(1, 1)), 0 + tags.tagOf(key(1, 1)));
  assert.deepEqual(tags.keyOf(tags.tagOf(key(1, 2))), key(1, 2));
  tags.keepOnly([{ ufid: undefined }]);
  tags.tagOf(key(1, 4));
  assert.equal(tags.size, 2);
});

Deno.test("SleeveTags forgets a closed link at once, and gives its tags last", () => {
  const tags = new SleeveTags({ total: 3, perLink: 3, reserve: 0 });
  const gone = tags.tagOf(key(1, 1));
  tags.bind(ufid(1), { ...IN, sleeve: key(1, 1) }, []);
  tags.closeLink(1 as LinkId);
  assert.equal(tags.keyOf(gone), undefined);
  assert.equal(tags.size, 0);
  tags.unbind(ufid(1)); // its flow is deleted later
  const given = [key(2, 1), key(2, 2), key(2, 3)].map((k) => tags.tagOf(k));
  assert.equal(given.at(-1), gone);
  assert.deepEqual(tags.keyOf(gone), key(2, 3));
});

Deno.test("SleeveTags keeps a link that says it is ever new peers from taking the others' tags", () => {
  const tags = new SleeveTags({ total: 40, perLink: 10, reserve: 2 });
  const other = tags.tagOf(key(2, 1));
  for (let id = 0; id < 1_000; id++) tags.tagOf(key(1, id));
  assert.equal(tags.size, 11);
  assert.equal(tags.tagOf(key(2, 1)), other);
  for (let id = 0; id < 10; id++) tags.bind(ufid(id + 1), IN, [send(key(3, id))]);
  assert.equal(tags.tagOf(key(3, 11)), 0);
  assert.notEqual(tags.tagOf(key(2, 2)), 0);
});

Deno.test("SleeveTags never gives away a tag that a flow uses, whatever happens", () =>
  withSeed(() => {
    const random = seededRandom();
    const tags = new SleeveTags({ total: 24, perLink: 8, reserve: 2 });
    const used = new Map<Ufid, (readonly [SleeveKey, number])[]>();
    const any = () => key(1 + random.below(5), random.below(12));
    for (let i = 0; i < 20_000; i++) {
      const flow = ufid(1 + random.below(12));
      const dice = random.below(40);
      if (dice < 10) {
        const actions = [any(), any()].map(send);
        tags.bind(flow, IN, actions);
        const before = tags.refused;
        const pairs = actions.flatMap((action) => {
          if (action.kind !== "sleeve") return [];
          const tag = tags.tagOf(action.sleeve);
          return tag === 0 ? [] : [[action.sleeve, tag] as const];
        });
        used.set(flow, tags.refused === before ? pairs : []);
      } else if (dice < 25) {
        tags.unbind(flow);
        used.delete(flow);
      } else if (dice === 39) {
        const link = 1 + random.below(5);
        tags.closeLink(link as LinkId);
        for (const [id, pairs] of used) used.set(id, pairs.filter(([k]) => k.link !== link));
      } else {
        const one = any();
        const tag = tags.tagOf(one);
        if (tag !== 0) assert.deepEqual(tags.keyOf(tag), one);
      }
      for (const pairs of used.values()) for (const [k, tag] of pairs) assert.deepEqual(tags.keyOf(tag), k);
      assert.ok(tags.size <= 24);
    }
  }));

Deno.test("putTag() and takeTag() are each other's opposite, but for the kernel's hint", () => {
  const random = seededRandom();
  for (let i = 0; i < 500; i++) {
    const length = 24 + random.below(200);
    const bytes = new Uint8Array(300);
    const from = 4 + random.below(50);
    for (let at = 0; at < length; at++) bytes[from + at] = random.below(256);
    const before = bytes.slice(from, from + length);
    const header = { ...readVirtio(bytes, from) };
    const tag = 1 + random.below(4094);
    putTag(bytes, from, tag);
    const inside = readVirtio(bytes, from - 4);
    const partial = (header.flags & 1) !== 0;
    assert.equal(inside.checksumStart, header.checksumStart + (partial ? 4 : 0) & 0xffff);
    assert.equal(inside.headers, header.headers === 0 ? 0 : header.headers + 4 & 0xffff);
    assert.equal(takeTag(bytes, from - 4, from + length), tag);
    writeVirtio(bytes, from, { ...readVirtio(bytes, from), headers: header.headers });
    assert.deepEqual(bytes.subarray(from, from + length), before);
  }
});

Deno.test("takeTag() leaves alone what has no tag", () => {
  const bytes = new Uint8Array(64);
  bytes.set([0x08, 0x00], 22);
  assert.equal(takeTag(bytes, 0, 64), 0);
  bytes.set([0x81, 0x00, 0, 5], 22);
  assert.equal(takeTag(bytes, 0, 26), 0); // too short for a type behind it
  assert.equal(takeTag(bytes, 0, 28), 5);
});

Deno.test("takeTag() reads what Linux 6.1 gave for a super-packet", () => {
  // Origin: a TCP super-packet from a veth, push_vlan(vid=7,pcp=1), read from a TAP: the hint is without the tag.
  const bytes = Uint8Array.fromHex(
    "010142002c0526001000" + "020000000002020000000001" + "81002007" + "080045001a101fd740004006eb0a0a020101",
  );
  assert.equal(takeTag(bytes, 0, bytes.length), 0x2007);
  assert.deepEqual(readVirtio(bytes, 4, emptyVirtio()), {
    flags: 1,
    gso: VIRTIO_GSO.tcp4,
    headers: 66,
    size: 1324,
    checksumStart: 34,
    checksumOffset: 16,
  });
});

Deno.test("withoutTag() cuts the first tag out of a frame", () => {
  const frame = Uint8Array.fromHex(
    "020000000002" + "020000000001" + "81002007" + "81000005" + "0806" + "0001",
  );
  assert.deepEqual(
    withoutTag(frame),
    Uint8Array.fromHex("020000000002" + "020000000001" + "81000005" + "0806" + "0001"),
  );
});
