import assert from "node:assert/strict";
import { type Ip, isIpv4, type Mac } from "../../../mod/core/addr.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import { findPath, type PathParts } from "../../../mod/daemon/doctor/paths.ts";
import type { HopAnswer, HopQuestion } from "../../../mod/doctor/hop_messages.ts";
import { EXAMPLE } from "../control/example_status.ts";

const [SELF, TWO, FAR, GONE] = ["01", "02", "03", "04"].map((n) => `02:00:00:00:50:${n}` as PeerName);
const WEB = {
  ...{
    ...EXAMPLE.attachments[0]!,
    target: "container:abc",
    name: "web",
    mac: "02:00:00:00:00:01",
    attached: true,
  },
  ...{ addresses: ["10.32.0.1/12", "fd00::1/64"], problem: null },
};
const FAR_END = { target: "netns:db", name: null, mac: "02:00:00:00:00:03", problem: null };
const ANSWER: HopAnswer = {
  ...{
    id: 0,
    nickname: "",
    clock: 0,
    next: null,
    nextKnows: false,
    link: null,
    port: null,
    dropped: null,
    out: [],
  },
  ...{ there: -1, back: -1, end: null },
};
const LINK = {
  overlay: "sleeve",
  cipher: null,
  mtu: 1438,
  rttMs: 1,
  address: "192.0.2.2:6783",
  info: "",
} as const;

/** A line of three hosts; the last one has fd00::3. */
function look(at: PeerName, { id, ip, to }: HopQuestion): HopAnswer {
  const order = [SELF!, TWO!, FAR!];
  const next = to === null || to === at ? null : order[order.indexOf(at) + 1] ?? null;
  const end = at === FAR && ip === "fd00::3" ? FAR_END : null;
  return {
    ...ANSWER,
    id,
    nickname: at,
    next,
    nextKnows: next !== null,
    link: next === null ? null : LINK,
    end,
  };
}

function parts(change: Partial<PathParts> = {}): PathParts {
  return {
    ...{ self: SELF!, nickname: "h1", sendFrames: () => {}, pause: () => Promise.resolve() },
    look: (question) => Promise.resolve(look(SELF!, question)),
    channel: {
      ask: (peer, question) =>
        Promise.resolve({ answer: look(peer, { ...question, id: 1 }), ms: 1, clockMs: 0 }),
    },
    users: { all: () => Promise.resolve([]) },
    attachments: { holderOf: (target: string) => target, list: () => [WEB] } as never,
    members: () => [],
    interfaceOf: () => "eth0",
    peers: () => [SELF!, TWO!, FAR!].map((name) => ({ name, nickname: "" })),
    knows: (peer) => peer === TWO,
    lookUp: () => [],
    namespaceOf: () => "/x",
    wayOut: (_netns, ip) => Promise.resolve((isIpv4(ip) ? "10.32.0.1" : "fd00::1") as Ip),
    answersAfter: () => Promise.resolve(2.5),
    left: () => [{ peer: GONE!, name: "h4", ip: "192.0.2.4", reason: "it stopped", agoMs: 5_000 }],
    ownerOf: () => undefined,
    ...change,
  };
}

const ping = (to: string, change?: Partial<PathParts>) =>
  findPath({ to, from: null, probe: false }, parts(change));

Deno.test("findPath() finds a container here by its name and its target", async () => {
  const all: PathParts["users"]["all"] = (ip) =>
    Promise.resolve([{ ip, mac: 0x020000000001 as Mac, here: true, peer: undefined, ms: 1 }]);
  for (const word of ["web", "container:abc"]) {
    const report = await ping(word, { users: { all } });
    assert.deepEqual([report.from!.target, report.from!.name], ["container:abc", "web"]);
    assert.deepEqual([report.reached, report.to!.address, report.hops.length], [true, "10.32.0.1", 1]);
    await assert.rejects(
      findPath({ to: word, from: "web", probe: false }, parts({ users: { all } })),
      { code: "usage/bad-option", message: "Cannot look from web to itself: nothing lies between" },
    );
  }
});

Deno.test("findPath() finds an address of IPv6 on a host far away, and asks it from the container", async () => {
  const asked: string[] = [];
  const answersAfter = (netns: string, ip: Ip) => (asked.push(`${netns} ${ip}`), Promise.resolve(2.5));
  const report = await ping("fd00::3", { answersAfter });
  assert.deepEqual(report.hops.map(({ peer }) => peer), [SELF, TWO, FAR]);
  assert.deepEqual([report.reached, report.ms, report.to!.target, asked], [true, 2.5, "netns:db", [
    "/x fd00::3",
  ]]);
  const deaf = await ping("fd00::3", { answersAfter: () => Promise.resolve(undefined) });
  assert.match(deaf.verdict, /^netns:db on .* was asked and did not answer/);
});

Deno.test("findPath() does not call reached what the target itself has no way to", async () => {
  const all: PathParts["users"]["all"] = (ip) =>
    Promise.resolve([{ ip, mac: 0x020000000003 as Mac, here: false, peer: FAR, ms: 1 }]);
  const none = { users: { all }, wayOut: () => Promise.resolve("none" as const) };
  const follow = (to: string, from: string | null, change: Partial<PathParts>) =>
    findPath({ to, from, probe: false }, parts(change));
  const lost = await follow("10.2.1.3", "web", none);
  assert.deepEqual([lost.reached, lost.from!.target, lost.hops.length], [false, "container:abc", 3]);
  assert.match(
    lost.verdict,
    /^web has no route to 10\.2\.1\.3, as it has 10\.32\.0\.1\/12 and fd00::1\/64: .*`meshnet attach CIDR web`$/,
  );
  const over6 = await follow("fd00::3", "web", { ...none, answersAfter: () => Promise.resolve(undefined) });
  assert.match(over6.verdict, /^web has no route to fd00::3/);
  const elsewhere = await follow("10.2.1.3", "web", {
    ...{ users: { all }, wayOut: () => Promise.resolve("172.17.0.2" as Ip) },
  });
  assert.match(elsewhere.verdict, /^web sends .* another way than into this network: from 172\.17\.0\.2,/);
  const silent = await follow("10.9.9.9", "web", { ...none, users: { all: () => Promise.resolve([]) } });
  assert.match(silent.verdict, /^nobody answers for 10\.9\.9\.9/, "what the mesh lacks comes first");
});

Deno.test("findPath() looks from a target that has a way, by the address it sends from, if none is named", async () => {
  const all: PathParts["users"]["all"] = (ip) =>
    Promise.resolve([{ ip, mac: 0x020000000003 as Mac, here: false, peer: FAR, ms: 1 }]);
  const near = { ...WEB, target: "netns:near", name: null, addresses: ["10.9.0.1/24", "10.2.1.1/24"] };
  const frames: Uint8Array[] = [];
  const change: Partial<PathParts> = {
    users: { all },
    attachments: { holderOf: (target: string) => target, list: () => [WEB, near] } as never,
    namespaceOf: (target) => target,
    wayOut: (netns) => Promise.resolve(netns === near.target ? "10.2.1.1" as Ip : "none"),
    sendFrames: (_netns, _name, sent) => void frames.push(...sent),
  };
  const { from, reached } = await findPath({ to: "10.2.1.3", from: null, probe: false }, parts(change));
  assert.deepEqual([from!.target, from!.address, reached], ["netns:near", "10.2.1.1", true]);
  await findPath({ to: "10.2.1.3", from: null, probe: true }, parts(change));
  assert.deepEqual([...frames[0]!.subarray(28, 32)], [10, 2, 1, 1], "the probe's sender");
  const nobody = await findPath({ to: "10.2.1.3", from: null, probe: false }, {
    ...parts(change),
    wayOut: () => Promise.resolve("none" as const),
  });
  assert.deepEqual([nobody.from, nobody.reached], [null, true], "the host asks by itself");
});

Deno.test("findPath() says what became of a host that left, and of what it had", async () => {
  for (const word of ["h4", GONE!]) {
    const { reached, verdict } = await ping(word);
    assert.equal(reached, false);
    assert.match(verdict, /^h4 was here and left 5 s ago \(it stopped\); .*`meshnet check 192\.0\.2\.4`/);
  }
  assert.match(
    (await ping("10.32.9.9")).verdict,
    /^nobody answers .*; it may have been on h4, which left 5 s ago/,
  );
  const owned = await ping("10.32.9.9", { ownerOf: () => GONE! });
  assert.match(owned.verdict, /it is of the addresses of h4\. h4 was here and left/);
  assert.match(
    (await ping("10.32.9.9", { left: () => [] })).verdict,
    /^nobody answers for 10\.32\.9\.9, and no host/,
  );
  const deaf = { left: () => [], channel: { ask: () => Promise.resolve(undefined) } };
  assert.match(
    (await ping("10.32.9.9", deaf)).verdict,
    /no host that could be asked has it attached; 02:00:00:00:50:02 did not answer within 2 s$/,
  );
  await assert.rejects(ping("nothing"), { code: "peer/unknown", hint: /names go with their host: .*h4/ });
});

Deno.test("findPath() begins at a container of the engine's networks, by all that it is called, and by its own interface", async () => {
  const members: PathParts["members"] = () => [{
    ...{ target: `container:${"a".repeat(64)}`, name: "app", mac: 0x020000000009 as Mac },
    ips: ["10.36.0.1" as Ip],
  }];
  const all: PathParts["users"]["all"] = (ip) =>
    Promise.resolve([{ ip, mac: 0x020000000001 as Mac, here: true, peer: undefined, ms: 1 }]);
  for (const from of ["app", "container:app", `container:${"a".repeat(64)}`]) {
    const sent: string[] = [];
    const sendFrames: PathParts["sendFrames"] = (netns, name) => void sent.push(`${netns} ${name}`);
    const wayOut: PathParts["wayOut"] = () => Promise.resolve("10.36.0.1" as Ip);
    const change = { members, sendFrames, users: { all }, interfaceOf: () => "eth1", wayOut };
    const report = await findPath({ to: "10.32.0.1", from, probe: true }, parts(change));
    assert.deepEqual([report.from!.name, report.from!.address], ["app", "10.36.0.1"]);
    assert.deepEqual([...new Set(sent)], ["/x eth1"]);
  }
  const empty = {
    attachments: { holderOf: (word: string) => word, list: () => [] } as never,
    users: { all },
    wayOut: () => Promise.resolve("10.36.0.1" as Ip),
  };
  const first = await findPath({ to: "app", from: null, probe: false }, parts({ members, ...empty }));
  assert.deepEqual([first.from!.name, first.to!.address], ["app", "10.36.0.1"]);
  for (const [from, meant] of [["ap", "app"], ["abc", "container:abc"]] as const) {
    await assert.rejects(
      findPath({ to: "app", from, probe: false }, parts({ members })),
      {
        message: `Cannot look from ${from}: it is not attached`,
        hint: new RegExp(`^Did you mean ${meant}\\?`),
      },
    );
  }
});

Deno.test("findPath() looks again for what flows have carried, as a busy host counts late", async () => {
  const all: PathParts["users"]["all"] = (ip) =>
    Promise.resolve([{ ip, mac: 0x020000000003 as Mac, here: false, peer: TWO!, ms: 1 }]);
  const pauses: number[] = [];
  const trace = (countedAfter: number) => {
    let looks = 0;
    pauses.length = 0;
    const look = (question: HopQuestion) => {
      const packets = looks++ < countedAfter ? 3 : 7;
      return Promise.resolve({ ...ANSWER, id: question.id, there: packets, back: packets });
    };
    const pause = (ms: number) => Promise.resolve(void pauses.push(ms));
    return findPath(
      { to: "10.32.0.3", from: "web", probe: true },
      parts({ users: { all }, look, pause }),
    );
  };
  assert.deepEqual([(await trace(1)).reached, pauses.filter((ms) => ms === 350).length], [true, 1]);
  const late = await trace(3);
  assert.deepEqual([late.reached, late.hops[0]!.back], [true, { before: 3, after: 7 }]);
  await trace(100);
  assert.equal(pauses.filter((ms) => ms === 350).length, 4);
});
