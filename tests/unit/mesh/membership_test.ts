import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import { good } from "../../../mod/core/brand.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import type { Parting } from "../../../mod/core/ports.ts";
import { DIGEST_CHANNEL, DIGEST_EXTENSION } from "../../../mod/mesh/gossip/topology_digest.ts";
import type { SocketId } from "../../../mod/mesh/mesh_ids.ts";
import type { Membership } from "../../../mod/mesh/membership.ts";
import { decodeGossipFrame, decodeTopology, encodeGossipFrame } from "../../../mod/wire/mesh/mesh_message.ts";
import { at, gossip, record, RouterParts, US } from "./router_parts.ts";

const B = "02:00:00:00:00:02" as PeerName;
const C = "02:00:00:00:00:03" as PeerName;
const D = "02:00:00:00:00:04" as PeerName;

/** What the membership has to send to a connection, if it says that there is something: records as `name@version`, other channels by name. */
function waiting(membership: Membership, id: LinkId): string[] {
  const found: string[] = [];
  for (
    let message = membership.engine.take(id);
    message !== undefined;
    message = membership.engine.take(id)
  ) {
    const frame = decodeGossipFrame(message);
    assert.ok(frame.ok);
    const { channel, payload } = frame.value;
    if (channel !== "topology") {
      found.push(channel);
      continue;
    }
    const records = decodeTopology(payload);
    assert.ok(records.ok);
    found.push(
      ...records.value.map(({ name, links }) =>
        `${name.slice(-2)}>${links.map(({ peer }) => peer.slice(-2))}`
      ),
    );
  }
  return found;
}

/** A membership with one connection to B, which has its say. */
function neighbour(extensions: readonly string[] = []) {
  const parts = new RouterParts();
  const { connection } = parts.connected({ name: B, shortId: 2, extensions }, at(1_000));
  const { membership } = parts;
  membership.settle(at(1_000));
  const id = connection.origin.id;
  waiting(membership, id);
  parts.taken();
  return { parts, membership, connection, id };
}

Deno.test("Membership begins with ourselves alone", () => {
  const parts = new RouterParts();
  const [request, ...more] = RouterParts.requests(parts.taken());
  assert.deepEqual(more, []);
  assert.deepEqual(request?.kind === "topology" && request.view.names, [US]);
  assert.equal(parts.membership.shortId, 1);
  assert.equal(parts.membership.nextWake(), 30_000);
});

Deno.test("Membership tells a new neighbour everything, and everybody at once of a change", () => {
  const parts = new RouterParts();
  const { connection } = parts.connected({ name: B, shortId: 2 }, at(1_000));
  parts.membership.settle(at(1_000));
  assert.equal(parts.membership.engine.pullable, true);
  assert.ok(waiting(parts.membership, connection.origin.id).includes("01>02"));
});

Deno.test("Membership tells a neighbour that comes to the mesh all that it knows, and one that belongs to it what is new", () => {
  const { id, membership, parts } = neighbour();
  membership.receive(id, gossip(B, [record(B, 2, [US, C]), record(C, 1, [B])]), at(2_000));
  membership.settle(at(2_000));
  membership.established(B, at(2_000));
  membership.settle(at(3_000));
  waiting(membership, id);
  const stranger = parts.connected({ name: D, shortId: 4 }, at(4_000)).connection.origin.id;
  membership.settle(at(4_000));
  const told = waiting(membership, stranger);
  assert.ok(["01>02,04", "02>01,03", "03>02"].every((each) => told.includes(each)), `${told}`);
  assert.ok(waiting(membership, id).includes("01>02,04"));
  const member = parts.connected({ name: C, shortId: 3, uid: 5n }, at(5_000)).connection.origin.id;
  membership.settle(at(5_000));
  const short = waiting(membership, member);
  assert.ok(short.includes("01>02,04,03") && !short.includes("02>01,03"), `${short}`);
});

Deno.test("Membership passes on what a neighbour tells", () => {
  const { id, membership, parts } = neighbour([DIGEST_EXTENSION]);
  const other =
    parts.connected({ name: D, shortId: 4, extensions: [DIGEST_EXTENSION] }, at(1_000)).connection.origin.id;
  membership.receive(other, gossip(D, [record(D, 2, [US])]), at(2_000));
  membership.settle(at(2_000));
  membership.settle(at(3_000));
  waiting(membership, other);
  waiting(membership, id);
  membership.receive(id, gossip(B, [record(B, 2, [US, C]), record(C, 1, [B])]), at(4_000));
  membership.settle(at(4_000));
  membership.settle(at(4_100));
  const told = waiting(membership, other);
  assert.ok(told.includes("02>01,03") && told.includes("03>02"), `${told}`);
});

Deno.test("Membership announces further changes at most every 100 ms in a small mesh", () => {
  const { id, membership, parts } = neighbour();
  parts.connected({ name: C, shortId: 3 }, at(1_010));
  membership.settle(at(1_010));
  assert.deepEqual(waiting(membership, id), []);
  assert.equal(membership.nextWake(), 1_100);
  membership.settle(at(1_099));
  assert.deepEqual(waiting(membership, id), []);
  membership.settle(at(1_100));
  assert.ok(waiting(membership, id).includes("01>02,03"));
  parts.taken();
});

Deno.test("Membership routes over links that both ends have established, and tells the data plane", () => {
  const { id, membership, parts } = neighbour();
  membership.established(B, at(2_000));
  membership.settle(at(2_000));
  assert.equal(membership.routes!.reaches(B), false, "B has not said so");
  assert.ok(membership.receive(id, gossip(B, [record(B, 2, [US, C]), record(C, 1, [B])]), at(3_000)).ok);
  membership.settle(at(3_000));
  assert.deepEqual([membership.routes!.reaches(B), membership.routes!.reaches(C)], [true, true]);
  const views = RouterParts.requests(parts.taken()).flatMap((one) =>
    one.kind === "topology" ? [one.view] : []
  );
  assert.deepEqual(views.at(-1)!.names, [US, B, C]);
  assert.deepEqual([...views.at(-1)!.edges], [0, 1, 1, 0, 1, 2, 2, 1]);
});

Deno.test("Membership recalculates routes at most every 100 ms in a small mesh", () => {
  const { id, membership } = neighbour();
  membership.established(B, at(2_000));
  membership.settle(at(2_000));
  membership.receive(id, gossip(B, [record(B, 2, [US])]), at(2_050));
  membership.settle(at(2_050));
  assert.equal(membership.routes!.reaches(B), false);
  membership.settle(at(2_100));
  assert.equal(membership.routes!.reaches(B), true);
});

Deno.test("Membership forgets who can no longer be reached", () => {
  const { connection, id, membership, parts } = neighbour();
  membership.established(B, at(2_000));
  membership.receive(id, gossip(B, [record(B, 2, [US, C]), record(C, 1, [B])]), at(2_000));
  membership.settle(at(2_200));
  membership.settle(at(4_000)); // what the merge left is collected
  assert.deepEqual([...membership.topology.all()].map(({ name }) => name).sort(), [US, B, C]);
  parts.connections.end(connection, { reason: "test", orderly: true }, at(5_000));
  membership.settle(at(5_000));
  assert.deepEqual([...membership.topology.all()].map(({ name }) => name), [US]);
  assert.equal(membership.routes!.reaches(B), false);
  assert.deepEqual(membership.topology.own.links, []);
});

Deno.test("Membership.receive() gives the reason for which gossip cannot be used", () => {
  const { id, membership } = neighbour();
  for (const message of [Uint8Array.of(4), Uint8Array.of(4, 1, 2, 3)]) {
    const taken = membership.receive(id, message, at(2_000));
    assert.ok(!taken.ok && taken.reason.length > 0);
  }
  const broken = encodeGossipFrame({
    tag: "gossip",
    channel: "topology",
    source: B,
    payload: Uint8Array.of(1, 2, 3),
  });
  assert.equal(membership.receive(id, broken, at(2_000)).ok, false);
});

Deno.test("Membership takes another short id when a peer with an earlier claim has ours", () => {
  const { id, membership, parts } = neighbour();
  const lower = "00:00:00:00:00:01" as PeerName;
  membership.receive(id, gossip(B, [record(B, 2, [US, lower]), record(lower, 1, [B], 1)]), at(2_000));
  membership.settle(at(2_000));
  assert.notEqual(membership.shortId, 1);
  const told = parts.taken().filter((one) => one.kind === "short-id");
  assert.deepEqual(told.map((one) => one.kind === "short-id" && one.shortId), [membership.shortId]);
});

Deno.test("Membership compares digests with neighbours that understand them: soon after a change, else every 30 s", () => {
  const { id, membership } = neighbour([DIGEST_EXTENSION]);
  const seen: string[] = [];
  for (let now = 1_000; now <= 66_000; now = Math.max(now + 1, membership.nextWake())) {
    membership.settle(at(now));
    if (waiting(membership, id).includes(DIGEST_CHANNEL)) seen.push(`${now}`);
  }
  assert.deepEqual(seen, ["3000", "33000", "63000"]);
});

Deno.test("Membership sends its complete state to others every 30 s", () => {
  const { id, membership } = neighbour();
  const seen: number[] = [];
  for (let now = 2_000; now <= 65_000; now = Math.max(now + 1, membership.nextWake())) {
    membership.settle(at(now));
    if (waiting(membership, id).length > 0) seen.push(now);
  }
  assert.deepEqual(seen.filter((now) => now > 5_000), [30_000, 60_000]);
});

Deno.test("Membership says how a peer that leaves parted, where its host may be there still", () => {
  const address = { ip: "192.0.2.9" as Ip, port: 6783 };
  const cases: readonly [string, (made: ReturnType<typeof neighbour>, id: SocketId) => void, boolean][] = [
    ["its system closed the connection", ({ parts }, socket) => {
      parts.connections.closed({ kind: "closed", socket, reason: "closed" }, at(2_000));
    }, true],
    ["its system does not answer", ({ parts }, socket) => {
      parts.connections.closed({ kind: "closed", socket, reason: "timed out", silent: true }, at(2_000));
    }, false],
    ["no overlay works", ({ id, parts }) => {
      parts.connections.overlay({ kind: "failed", link: id, reason: "no overlay" }, at(2_000));
    }, false],
    ["its daemon says nothing", ({ parts }) => parts.connections.wake(at(61_000)), true],
  ];
  for (const [what, end, there] of cases) {
    for (const overlay of ["fastdp", "sleeve"] as const) {
      const made = neighbour();
      const told: (ReadonlyMap<PeerName, Parting> | undefined)[] = [];
      const { connection, id, membership, parts } = made;
      membership.engine.register({
        ...{ name: "listening", fullState: () => undefined },
        ...{ onGossip: () => good(undefined), onBroadcast: () => good(undefined) },
        ...{ onUnicast: () => good(undefined), onPeersRemoved: (_, partings) => void told.push(partings) },
      });
      const status = { overlay, mtu: 1410, encrypted: false, rttMs: undefined, why: undefined };
      parts.connections.overlay({ kind: "status", link: id, status }, at(1_500));
      const lost = { ...status, overlay: undefined };
      parts.connections.overlay({ kind: "status", link: id, status: lost }, at(1_600));
      end(made, connection.origin.socket);
      for (let now = 61_000; told.length === 0 && now < 70_000; now += 100) membership.settle(at(now));
      const parting = told[0]?.get(B);
      assert.deepEqual(
        parting && { address: parting.address, carried: parting.carried },
        there ? { address, carried: overlay === "fastdp" } : undefined,
        `${what}, ${overlay}`,
      );
    }
  }
});
