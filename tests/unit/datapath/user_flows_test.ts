import assert from "node:assert/strict";
import { type Mac, macToBytes } from "../../../mod/core/addr.ts";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import { UserFlows } from "../../../mod/datapath/user_flows.ts";
import type { FlowKey, PortNo, SleeveKey, Ufid } from "../../../mod/wire/netlink/ovs_keys.ts";
import type { Vni } from "../../../mod/wire/packet/vxlan.ts";
import { SEED, seededRandom, withSeed } from "../properties.ts";

const sleeveOf = (link: number, id: number): SleeveKey => ({ link: link as LinkId, id: id as Vni });

/** The head of a frame with these addresses, two octets from the start. */
function frameOf(key: FlowKey): Uint8Array {
  const type = key.tagged ? [0x81, 0] : [8, 0];
  return Uint8Array.of(9, 9, ...macToBytes(key.ethDst!), ...macToBytes(key.ethSrc!), ...type);
}

/** What a frame is matched against, the slow way. */
function matches(flow: FlowKey, key: Required<Pick<FlowKey, "ethSrc" | "ethDst">> & FlowKey): boolean {
  return flow.sleeve?.link === key.sleeve?.link && flow.sleeve?.id === key.sleeve?.id &&
    (flow.tagged === true) === (key.tagged === true) &&
    (flow.ethSrc === undefined || flow.ethSrc === key.ethSrc && flow.ethDst === key.ethDst);
}

Deno.test("UserFlows finds what a list of flows would, after any changes", () => {
  withSeed(() => {
    const random = seededRandom(SEED);
    const flows = new UserFlows();
    const model = new Map<Ufid, FlowKey>();
    const draw = () => {
      const sleeve = random.below(2) === 0 ? undefined : sleeveOf(1 + random.below(2), random.below(3));
      const tagged = random.below(4) === 0 ? true as const : undefined;
      const [ethSrc, ethDst] = [1 + random.below(3) as Mac, 1 + random.below(3) as Mac] as const;
      return { inPort: (sleeve === undefined ? 1 : 2) as PortNo, sleeve, tagged, ethSrc, ethDst };
    };
    for (let step = 1; step <= 4_000; step++) {
      const key = draw();
      const frame = draw();
      const known = [...model.keys()];
      if (random.below(3) === 0 && known.length > 0) {
        const gone = known[random.below(known.length)]!;
        flows.delete(gone);
        model.delete(gone);
      } else if (![...model.values()].some((flow) => matches(flow, key))) {
        const ufid = step as Ufid;
        const wide = key.sleeve !== undefined && key.sleeve.id === 2;
        const { inPort, sleeve, tagged } = key;
        model.set(ufid, wide ? { inPort, sleeve, tagged } : key);
        flows.install(ufid, model.get(ufid)!, []);
      }
      assert.equal(flows.size, model.size);
      const tag = frame.tagged ? 1 : 0;
      const found = frame.sleeve === undefined
        ? flows.fromLocal(frame.ethSrc!, frame.ethDst!, tag)
        : flows.fromLink(frame.sleeve, frame.ethSrc!, frame.ethDst!, tag);
      const bytes = frameOf(frame);
      for (let again = 0; again < 2; again++) {
        const same = frame.sleeve === undefined
          ? flows.ofLocal(bytes, 2)
          : flows.ofLink({ ...frame.sleeve }, bytes, 2);
        assert.equal(same, found);
      }
      const [expected] = [...model].find(([, flow]) => matches(flow, frame)) ?? [];
      assert.equal(found?.ufid, expected);
    }
    for (const ufid of model.keys()) flows.delete(ufid);
    assert.deepEqual([flows.size, flows.records()], [0, []]);
  });
});

Deno.test("UserFlows gives a flow other actions under its id and keeps its counts", () => {
  const flows = new UserFlows();
  const key = { inPort: 1 as PortNo, ethSrc: 1 as Mac, ethDst: 2 as Mac };
  flows.install(7 as Ufid, key, []);
  flows.fromLocal(key.ethSrc, key.ethDst, 0)!.packets = 5;
  const actions = [{ kind: "output", port: 1 as PortNo }] as const;
  flows.install(7 as Ufid, key, actions);
  assert.equal(flows.fromLocal(key.ethSrc, key.ethDst, 0)!.actions, actions);
  assert.equal(flows.records()[0]!.packets, 5);
});
