/** Who is in networks of ours, and whose addresses wait, through starts, stops and removals in any order. */
import assert from "node:assert/strict";
import { type Ip, parseCidr } from "../../../mod/core/addr.ts";
import type { Known } from "../../../mod/docker/follower.ts";
import { NetworkMembers, readMember, troubleOf, writeMember } from "../../../mod/docker/members.ts";
import { namesOfContainer } from "../../../mod/docker/container_names.ts";
import { knownContainer } from "./known.ts";

const WEB = "4f".repeat(32);
const DB = "5e".repeat(32);
const SUBNET = parseCidr("10.32.0.0/12")!;
const isOurs = (endpoint: string) => endpoint.startsWith("e");
const ip = (n: number) => `10.32.0.${n}` as Ip;

/** A container in the network mesh, and in another one. */
function running(endpoint: string, n: number, about: Partial<Known> = {}): Known {
  const endpoints = [
    {
      network: "mesh",
      id: endpoint,
      address: parseCidr(`10.32.0.${n}/12`)!,
      aliases: ["front", "4f4f4f4f4f4f"],
    },
    { network: "own", id: "x1", address: parseCidr("172.18.0.2/16")!, aliases: ["elsewhere"] },
  ];
  return knownContainer({ endpoints, sandbox: "/run/docker/netns/a", ...about });
}

function stopped(): Known {
  const endpoints = [{ network: "mesh", id: "", address: undefined, aliases: [] }];
  return knownContainer({ endpoints, process: undefined });
}

Deno.test("namesOfContainer() takes name, host name, aliases of our networks and the label, and no id", () => {
  const labels = new Map([["meshnet.name", "shop, store"]]);
  const names = (about: Partial<Known>) =>
    namesOfContainer(WEB, running("e1", 1, { labels, ...about }), { domain: "mesh.internal.", isOurs });
  assert.deepEqual(names({ hostname: "4f4f4f4f4f4f" }), ["web", "front", "shop", "store"]);
  assert.deepEqual(names({ hostname: "www.corp.example" })[1], "www");
  assert.deepEqual(names({ hostname: "www.Mesh.internal" })[1], "www.Mesh.internal");
  const aliases = Array.from({ length: 1_000 }, (_, i) => `n${i}`);
  const endpoints = [{ network: "mesh", id: "e1", address: parseCidr("10.32.0.1/12")!, aliases }];
  assert.equal(names({ endpoints }).length, 100);
});

Deno.test("a container that is stopped keeps its address, and gets it again", () => {
  const members = new NetworkMembers("mesh.internal.");
  assert.deepEqual(members.learn(WEB, running("e1", 1), isOurs), []);
  assert.deepEqual(members.get(WEB)?.endpoints.map(({ network }) => network), ["mesh"]);
  assert.equal(members.left("e1"), WEB);
  assert.equal(members.keeps(ip(1)), WEB);
  assert.equal(members.keeps(ip(9)), undefined, "nobody had it");
  assert.deepEqual(members.learn(WEB, stopped(), isOurs), []);
  assert.deepEqual(members.waiting(SUBNET), [WEB]);
  assert.deepEqual(members.waiting(parseCidr("10.40.0.0/16")!), []);
  assert(members.isKept(ip(1)));
  assert.equal(members.give(WEB, SUBNET), ip(1));
  assert.equal(members.give(WEB, SUBNET), undefined, "it is given once");
  assert.deepEqual(members.waiting(SUBNET), []);
  assert.deepEqual(members.learn(WEB, running("e2", 1), isOurs), []);
  assert(!members.isKept(ip(1)));
});

Deno.test("an address that was given out comes back to its container when the start fails", () => {
  const members = new NetworkMembers("");
  members.learn(WEB, running("e1", 1), isOurs);
  members.learn(WEB, stopped(), isOurs);
  members.give(WEB, SUBNET);
  assert.equal(members.keeps(ip(1)), WEB);
  assert(members.isKept(ip(1)));
});

Deno.test("what is removed, or leaves the network, frees what waits for it", () => {
  const members = new NetworkMembers("");
  members.learn(WEB, running("e1", 1), isOurs);
  members.left("e1");
  assert.deepEqual(members.learn(WEB, undefined, isOurs), [ip(1)], "removed");
  assert.equal(members.keeps(ip(1)), undefined);

  members.learn(WEB, running("e1", 1), isOurs);
  members.left("e1");
  assert.deepEqual(members.learn(WEB, knownContainer(), isOurs), [ip(1)], "it runs on without us");

  members.learn(WEB, running("e1", 1), isOurs);
  members.learn(WEB, stopped(), isOurs);
  assert.deepEqual(members.learn(WEB, running("e2", 7), isOurs), [ip(1)], "it has another one");
  assert.equal(members.get(WEB)?.kept.length, 0);
});

Deno.test("who asks for an address by name gets it while its container is stopped", () => {
  const members = new NetworkMembers("");
  members.learn(WEB, running("e1", 1), isOurs);
  assert.equal(members.take(ip(1)), undefined, "it is in use");
  members.learn(WEB, stopped(), isOurs);
  assert.equal(members.take(ip(1)), WEB);
  assert.deepEqual(members.learn(DB, running("e2", 1), isOurs), []);
  assert.equal(members.keeps(ip(1)), DB);
});

Deno.test("when no address is free, the one that has waited longest is given up", () => {
  const members = new NetworkMembers("");
  members.learn(WEB, running("e1", 1), isOurs);
  members.learn(DB, running("e2", 2), isOurs);
  assert.equal(members.giveUp(SUBNET), undefined, "all are in use");
  members.learn(DB, stopped(), isOurs);
  members.learn(WEB, stopped(), isOurs);
  assert.equal(members.giveUp(SUBNET), ip(2));
  assert.equal(members.giveUp(SUBNET), ip(1));
  assert.equal(members.keeps(ip(2)), undefined, "it is free");
});

Deno.test("a paused container does not answer, nor does one whose check has not passed yet", () => {
  const healths = (["none", "healthy", "starting", "unhealthy"] as const).map((health) =>
    troubleOf({ health, paused: false })
  );
  assert.deepEqual(healths, [undefined, undefined, "starting", "unhealthy"]);
  assert.equal(troubleOf({ health: "healthy", paused: true }), "paused");
  assert.equal(troubleOf({ health: "unhealthy", paused: true }), "paused");
});

Deno.test("a container shares its names with other networks, but for those in which the engine answers none", () => {
  const members = new NetworkMembers("mesh.internal.");
  members.learn(WEB, running("e1", 1), isOurs);
  assert.equal(members.get(WEB)!.shares, true);
  const [ours, own] = running("e1", 1).endpoints;
  for (const network of ["bridge", "host"]) {
    members.learn(WEB, running("e1", 1, { endpoints: [ours!, { ...own!, network }] }), isOurs);
    assert.equal(members.get(WEB)!.shares, false);
  }
});

Deno.test("a member is read as it was written, and anything else is none", () => {
  const members = new NetworkMembers("mesh.internal.");
  members.learn(WEB, running("e1", 1, { labels: new Map([["meshnet.health", "tcp:80"]]) }), isOurs);
  const member = members.get(WEB)!;
  assert.deepEqual(readMember(writeMember(member)), member);
  members.learn(WEB, stopped(), isOurs);
  assert.deepEqual(readMember(writeMember(members.get(WEB)!)), members.get(WEB));
  for (
    const odd of [
      "",
      "{}",
      "[]",
      "null",
      "7",
      '{"version":1}',
      writeMember(member).replace('"version":1', '"version":2'),
    ]
  ) {
    assert.equal(readMember(odd), undefined);
  }
});
