import assert from "node:assert/strict";
import { OvsPorts } from "../../../mod/attach/mod.ts";
import { ERRNO } from "../../../mod/core/errno.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { AttributeReader } from "../../../mod/wire/netlink/netlink.ts";
import { encodeVportNew, OVS_CMD, OVS_HEADERS, type OvsFamilies } from "../../../mod/wire/netlink/ovs.ts";

const FAMILIES: OvsFamilies = {
  datapath: 30,
  vport: 31,
  flow: 32,
  packet: 33,
  vportGroup: 7,
  datapathGroup: 8,
};
const DATAPATH = 5;

/** The vport family of a kernel with some interfaces; counts the changes asked for. */
function fakeVports(interfaces: readonly string[], elsewhere: readonly string[] = []) {
  const ports = new Map<string, number>();
  const requests: number[] = [];
  const refuse = (errno: number) => new MeshnetError("netlink/request-failed", "refused", { errno });
  const request = (message: Uint8Array<ArrayBuffer>): readonly Uint8Array[] => {
    const command = message[16]!;
    const reader = new AttributeReader(message, OVS_HEADERS);
    let name = "";
    let port = -1;
    let pid = -1;
    while (reader.next()) {
      if (reader.type === 3) name = reader.text();
      if (reader.type === 1) port = reader.u32();
      if (reader.type === 5) pid = reader.u32();
    }
    if (command !== OVS_CMD.get) requests.push(command);
    const reply = (datapath: number, named: string, number: number) => {
      const bytes = encodeVportNew(FAMILIES, datapath, { name: named, kind: "netdev", upcallPid: 0 });
      // What a kernel answers has the number too: attribute 1 appended.
      const answer = new Uint8Array(((bytes.length + 3) & ~3) + 8);
      answer.set(bytes);
      const view = new DataView(answer.buffer);
      view.setUint32(0, answer.length, true);
      view.setUint16(answer.length - 8, 8, true);
      view.setUint16(answer.length - 6, 1, true);
      view.setUint32(answer.length - 4, number, true);
      return [answer];
    };
    if (command === OVS_CMD.get) {
      if (elsewhere.includes(name)) return reply(DATAPATH + 1, name, 3);
      if (!ports.has(name)) throw refuse(ERRNO.ENODEV);
      return reply(DATAPATH, name, ports.get(name)!);
    }
    if (command === OVS_CMD.new) {
      assert.equal(pid, 0);
      if (ports.has(name) || elsewhere.includes(name)) throw refuse(ERRNO.EBUSY);
      if (!interfaces.includes(name)) throw refuse(ERRNO.ENODEV);
      ports.set(name, ports.size + 1);
      return reply(DATAPATH, name, ports.size);
    }
    assert.equal(command, OVS_CMD.del);
    const found = [...ports].find(([, number]) => number === port);
    if (found === undefined) throw refuse(ERRNO.ENODEV);
    ports.delete(found[0]);
    return [];
  };
  const socket = { portId: 1, request, send: () => {}, [Symbol.dispose]: () => {} };
  return { switchPorts: new OvsPorts(socket, FAMILIES, DATAPATH), ports, requests };
}

Deno.test("OvsPorts adds, finds and removes, each as often as one likes", () => {
  const { switchPorts, ports } = fakeVports(["vmn1", "vmn2"]);
  assert.equal(switchPorts.has("vmn1"), false);
  switchPorts.add("vmn1");
  switchPorts.add("vmn2");
  switchPorts.add("vmn1");
  assert.deepEqual([...ports.keys()], ["vmn1", "vmn2"]);
  assert.equal(switchPorts.has("vmn1"), true);
  switchPorts.remove("vmn1");
  switchPorts.remove("vmn1");
  assert.deepEqual([...ports.keys()], ["vmn2"]);
});

Deno.test("OvsPorts leaves ports of other datapaths alone", () => {
  const { switchPorts, requests } = fakeVports(["vmn1"], ["vmn1"]);
  assert.equal(switchPorts.has("vmn1"), false);
  switchPorts.remove("vmn1");
  assert.deepEqual(requests, []);
  assert.throws(() => switchPorts.add("vmn1"), { errno: ERRNO.EBUSY });
});

Deno.test("OvsPorts passes on what the kernel refuses", () => {
  const { switchPorts } = fakeVports([]);
  assert.throws(() => switchPorts.add("vmn9"), { errno: ERRNO.ENODEV });
});
