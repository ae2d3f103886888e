import assert from "node:assert/strict";
import type { Mac } from "../../../mod/core/addr.ts";
import type { Logger } from "../../../mod/core/ports.ts";
import { mendBridge } from "../../../mod/daemon/host/bridge_host.ts";
import { fakeSocket, linkMessage } from "../kernel_messages.ts";

function recorder() {
  const said: string[] = [];
  const say = (event: string) => void said.push(event);
  return { said, logger: { debug: say, info: say, warn: say, error: say } satisfies Logger };
}

/** What a kernel answers about a link with these attributes. */
function linkReply(index: number, name: string, kind: string, master = 0): Uint8Array {
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 1);
  return linkMessage({ index, name, kind, mac, mtu: 1410, master: master === 0 ? undefined : master });
}

/** A host whose bridge has no spanning tree and no snooping, as old kernels tell it: by silence. */
function hostWith(master: number, gone = false) {
  const requests: number[] = [];
  let asked = 0;
  const request = (message: Uint8Array<ArrayBuffer>): readonly Uint8Array[] => {
    if (gone) throw new Error("the kernel says nothing");
    const type = new DataView(message.buffer).getUint16(4, true);
    if (type !== 18) requests.push(type);
    if (type !== 18) return [];
    return [asked++ < 2 ? linkReply(3, "meshnet", "bridge") : linkReply(4, "mesh-tap", "tun", master)];
  };
  const socket = fakeSocket(request);
  const quieted: string[] = [];
  const mac = 0x02_00_00_00_00_01 as Mac;
  const quiet = (name: string) => void quieted.push(name);
  const parts = { name: "meshnet", tap: "mesh-tap", mtu: 1410, mac, quiet, leg: { keep: () => false } };
  return { parts, requests, openRoute: () => socket };
}

Deno.test("mendBridge() puts the TAP back and says so, and is silent when all is well", () => {
  const { said, logger } = recorder();
  const well = hostWith(3);
  mendBridge(well.parts, { ...well, logger });
  assert.deepEqual([well.requests, said], [[], []]);
  const broken = hostWith(0);
  mendBridge(broken.parts, { ...broken, logger });
  assert.deepEqual(broken.requests, [16, 19]); // a port again, with the settings of one
  assert.deepEqual(said, ["the bridge was changed by another program, and is mended"]);
  const gone = hostWith(0, true);
  assert.throws(() => mendBridge(gone.parts, { ...gone, logger }));
});
