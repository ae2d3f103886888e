import assert from "node:assert/strict";
import { parsePeerName } from "../../mod/core/names.ts";
import { freePort as freePortOn } from "../unit/free_port.ts";
import { DEADLINE, GoPeer, type GoStatus, missing, peerBinary } from "./go_peer.ts";
import { MeshPeer, words } from "./mesh_peer.ts";

const lacking = await missing();
if (lacking !== undefined) console.error(`tests/interop: skipped, ${lacking}`);
const options = { ignore: lacking !== undefined };

const US = parsePeerName("02:00:00:00:00:01")!;
const GO_A = parsePeerName("02:00:00:00:00:0a")!;
const GO_B = parsePeerName("02:00:00:00:00:0b")!;
const GO = "127.0.0.10";
const OURS = "127.0.0.20";

const freePort = () => freePortOn(OURS);

async function withPeer(run: (binary: string) => Promise<void>): Promise<void> {
  await run(await peerBinary());
}

function linked(status: GoStatus, from: string, to: string): boolean {
  const peer = status.Peers.find((each) => each.Name === from);
  return peer?.Connections?.some((each) => each.Name === to && each.Established) ?? false;
}

/** Waits until a Go peer knows a connection as established from both ends. */
async function knows(peer: GoPeer, a: string, b: string): Promise<void> {
  for (const end = performance.now() + DEADLINE; performance.now() < end;) {
    const status = await peer.status();
    if (linked(status, a, b) && linked(status, b, a)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`a Go peer never saw ${a} and ${b} connected:\n${peer.log}`);
}

const established = (count: number) => (mesh: ReturnType<MeshPeer["router"]["snapshot"]>) =>
  mesh.connections.filter((each) => each.state === "established").length === count;

for (const password of [undefined, "secret of the interop test"]) {
  const how = password === undefined ? "in clear" : "with a password";
  const secret = password === undefined ? {} : { password };

  Deno.test(
    `a Go peer dials us ${how}: topology and gossip both ways`,
    options,
    () =>
      withPeer(async (binary) => {
        const port = freePort();
        using ours = new MeshPeer({ name: US, host: OURS, port, ...secret });
        await using go = new GoPeer(binary, {
          name: GO_A,
          host: GO,
          port: freePort(),
          peers: `${OURS}:${port}`,
          say: "hello from go",
          ...secret,
        });
        const mesh = await ours.until("the connection", established(1));
        assert.equal(mesh.connections[0]?.peer, GO_A);
        assert.equal(mesh.connections[0]?.outbound, false);
        assert.equal(mesh.connections[0]?.encrypted, password !== undefined);
        await knows(go, US, GO_A);
        await ours.until("gossip of the Go peer", (_, peer) => peer.channel.known.has("hello from go"));
        await ours.until(
          "both ends established",
          ({ peers }) =>
            peers.length === 2 && peers.every((each) => each.connections[0]?.established === true),
        );
        await talk(ours, go);
      }),
  );

  Deno.test(
    `we dial a Go peer ${how}: topology and gossip both ways`,
    options,
    () =>
      withPeer(async (binary) => {
        const goPort = freePort();
        await using go = new GoPeer(binary, { name: GO_A, host: GO, port: goPort, ...secret });
        await go.event("start", (each) => each.event === "ready");
        const targets = [`${GO}:${goPort}`];
        using ours = new MeshPeer({ name: US, host: OURS, port: freePort(), targets, ...secret });
        const mesh = await ours.until("the connection", established(1));
        assert.equal(mesh.targets[0]?.state, "connected");
        assert.equal(mesh.connections[0]?.outbound, true);
        await knows(go, US, GO_A);
        await talk(ours, go);
      }),
  );
}

async function talk(ours: MeshPeer, go: GoPeer): Promise<void> {
  await go.tell(`unicast ${US} to you alone`);
  await ours.until(
    "a unicast",
    (_, peer) => peer.channel.unicasts.some((each) => each.text === "to you alone"),
  );
  assert.equal(ours.channel.unicasts[0]?.source, GO_A);
  await go.tell("broadcast to everybody");
  await ours.until(
    "a broadcast",
    (_, peer) => peer.channel.broadcasts.some((each) => each.text === "to everybody"),
  );
  ours.router.unicast("interop", GO_A, new TextEncoder().encode("back to you"));
  const unicast = await go.event("unicast", (each) => each.event === "unicast");
  assert.deepEqual([unicast["source"], unicast["text"]], [US, "back to you"]);
  ours.router.broadcast("interop", words("from meshnet"));
  const broadcast = await go.event("broadcast", (each) => each.event === "broadcast");
  assert.deepEqual([broadcast["source"], broadcast["text"]], [US, "from meshnet"]);
  ours.router.gossip("interop", words("news from meshnet"));
  await go.event("gossip", (each) => each.event === "gossip" && each["text"] === "news from meshnet");
}

Deno.test(
  "we relay topology, unicasts, broadcasts and gossip between two Go peers",
  options,
  () =>
    withPeer(async (binary) => {
      const port = freePort();
      using ours = new MeshPeer({ name: US, host: OURS, port });
      const peers = `${OURS}:${port}`;
      await using a = new GoPeer(binary, {
        name: GO_A,
        host: GO,
        port: freePort(),
        peers,
        say: "a was here",
      });
      await using b = new GoPeer(binary, { name: GO_B, host: "127.0.0.11", port: freePort(), peers });
      await ours.until("two connections", established(2));
      await knows(a, US, GO_B);
      await knows(b, US, GO_A);
      await b.event("gossip of a", (each) => each.event === "gossip" && each["text"] === "a was here");
      await a.tell(`unicast ${GO_B} over you`);
      const unicast = await b.event("unicast", (each) => each.event === "unicast");
      assert.deepEqual([unicast["source"], unicast["text"]], [GO_A, "over you"]);
      await b.tell("broadcast through the middle");
      const broadcast = await a.event("broadcast", (each) => each.event === "broadcast");
      assert.deepEqual([broadcast["source"], broadcast["text"]], [GO_B, "through the middle"]);
      assert.equal(ours.channel.broadcasts.length, 1);
      assert.equal(
        b.events.filter((each) => each.event === "broadcast").length,
        0,
        "nobody hears his own broadcast",
      );
      const routes = ours.router.routes();
      assert.deepEqual(routes.unicast.map(({ via }) => via).sort(), [GO_A, GO_B]);
    }),
);

for (
  const [title, theirs, ours, sentence] of [
    ["another password", "theirs", "ours", /passwords (probably )?differ/],
    [
      "a password only there",
      "theirs",
      undefined,
      /the peer (probably )?has a password and this host has none/,
    ],
    ["a password only here", undefined, "ours", /this host has a password and the peer (probably )?has none/],
  ] as const
) {
  Deno.test(`a Go peer with ${title} is refused in plain words`, options, () =>
    withPeer(async (binary) => {
      const goPort = freePort();
      const secret = theirs === undefined ? {} : { password: theirs };
      await using go = new GoPeer(binary, { name: GO_A, host: GO, port: goPort, ...secret });
      await go.event("start", (each) => each.event === "ready");
      const password = ours === undefined ? {} : { password: ours };
      using peer = new MeshPeer({
        name: US,
        host: OURS,
        port: freePort(),
        targets: [`${GO}:${goPort}`],
        ...password,
      });
      const mesh = await peer.until("the failure", ({ targets }) => targets[0]?.state === "failed");
      assert.match(mesh.targets[0]!.info, sentence);
      assert.match(mesh.connections[0]!.info, sentence);
      assert.ok(peer.log.some((line) => sentence.test(line)), peer.log.join("\n"));
    }));
}

Deno.test(
  "a Go peer of our own name is refused as a clone and not dialled again",
  options,
  () =>
    withPeer(async (binary) => {
      const goPort = freePort();
      await using go = new GoPeer(binary, { name: US, host: GO, port: goPort });
      await go.event("start", (each) => each.event === "ready");
      using ours = new MeshPeer({ name: US, host: OURS, port: freePort(), targets: [`${GO}:${goPort}`] });
      const mesh = await ours.until("the failure", ({ targets }) => targets[0]?.state === "failed");
      assert.match(
        mesh.targets[0]!.info,
        /another host announces the same peer name .* \(cloned machine\?\)/,
      );
      assert.equal(mesh.targets[0]!.retryInMs, null);
    }),
);

Deno.test("a connection to ourselves ends in silence, and its target says whose address that is", async () => {
  const port = freePort();
  using ours = new MeshPeer({ name: US, host: OURS, port, targets: [`${OURS}:${port}`] });
  const mesh = await ours.until("the discovery", ({ targets }) => targets[0]?.state === "itself");
  assert.deepEqual([mesh.connections.length, mesh.terminations], [0, 0]);
  assert.ok(!ours.log.some((line) => /failed|clone/.test(line)), ours.log.join("\n"));
});

Deno.test("startRouter() says that the port is taken", () => {
  const port = freePort();
  using _first = new MeshPeer({ name: US, host: OURS, port });
  assert.throws(() => new MeshPeer({ name: GO_A, host: OURS, port }), { code: "up/port-taken" });
});
