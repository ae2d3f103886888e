/** Our host loses an address: its peer of the original library gets a new connection within seconds, whatever the numbers. */
import assert from "node:assert/strict";
import type { Ip } from "../../mod/core/addr.ts";
import { parsePeerName } from "../../mod/core/names.ts";
import { freePort } from "../unit/free_port.ts";
import { GoPeer, missing, peerBinary } from "./go_peer.ts";
import { MeshPeer } from "./mesh_peer.ts";

const lacking = await missing();
const options = { ignore: lacking !== undefined };

const US = parsePeerName("02:00:00:00:00:01")!;
const GO_A = parsePeerName("02:00:00:00:00:0a")!;
const GO = "127.0.0.12";
const OURS = "127.0.0.22";
/** What stays free of numbers is what is left to chance: one in sixteen by luck alone. */
const MOVES = 4;
const LIMIT_MS = 20_000;

for (const password of [undefined, "secret of the interop test"]) {
  for (const dials of ["we", "the Go peer"]) {
    const how = password === undefined ? "in clear" : "with a password";
    Deno.test(`we lose the address of a connection that ${dials} dialled, ${how}`, options, async () => {
      const binary = await peerBinary();
      const port = freePort(OURS);
      const secret = password === undefined ? {} : { password };
      const peers = dials === "we" ? {} : { peers: `${OURS}:${port}` };
      const targets = dials === "we" ? [`${GO}:${port}`] : [];
      using ours = new MeshPeer({ name: US, host: OURS, port, targets, ...secret });
      await using go = new GoPeer(binary, { name: GO_A, host: GO, port, ...peers, ...secret });
      await go.event("start", (each) => each.event === "ready");
      const link = async (not: number | undefined) => {
        const { connections } = await ours.until(
          "a new connection",
          (mesh) => mesh.connections.some((each) => each.state === "established" && each.link !== not),
        );
        return connections.find((each) => each.state === "established" && each.link !== not)!.link;
      };
      let now = await link(undefined);
      for (let i = 0; i < MOVES; i++) {
        const started = performance.now();
        ours.router.networkChanged({ gone: [OURS as Ip], come: ["127.0.0.23" as Ip] });
        now = await link(now);
        const ms = Math.round(performance.now() - started);
        assert.ok(ms < LIMIT_MS, `${ms} ms:\n${ours.log.join("\n")}`);
      }
      const { peers: known } = ours.router.snapshot();
      assert.equal(known.length, 2);
    });
  }
}
