import assert from "node:assert/strict";
import type { Ip, Mac } from "../../../mod/core/addr.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import {
  AddressUsers,
  type AddressUsersParts,
  probePatience,
} from "../../../mod/daemon/addresses/address_users.ts";

const WANTED = "10.2.1.7" as Ip;
const MAC = 0x02_00_00_00_00_07 as Mac;
const H2 = "02:00:00:00:50:02" as PeerName;

/** Asks, and runs what was put off; `hears` is called with each question. */
async function ask(
  hears: (users: AddressUsers, question: number) => void = () => {},
  parts: Partial<AddressUsersParts> = {},
  ip = WANTED,
) {
  const asked: Ip[] = [];
  const waits: { ms: number; work: () => void }[] = [];
  const users: AddressUsers = new AddressUsers({
    ask: (ip) => void asked.push(ip),
    interfaceWith: () => undefined,
    presentAddresses: () => [],
    named: () => undefined,
    nickname: "h1",
    hostName: (peer) => peer === H2 ? "h2" : peer,
    patience: () => 40,
    now: () => 0,
    later: (ms, work) => void waits.push({ ms, work }),
    ...parts,
  });
  const user = users.userOf(ip, "netns:a");
  let seen = 0;
  const heard = () => {
    for (; seen < asked.length; seen++) hears(users, seen + 1);
  };
  heard();
  for (const { work } of waits.toSorted((a, b) => a.ms - b.ms)) {
    work();
    heard();
  }
  return { asked, user: await user, waits: waits.map(({ ms }) => ms) };
}

const answer = { ip: WANTED, mac: MAC, here: false, peer: H2 };

Deno.test("AddressUsers.userOf() asks twice, and nobody answers: the address is free", async () => {
  assert.deepEqual(await ask(), { asked: [WANTED, WANTED], user: undefined, waits: [20, 40] });
});

Deno.test("AddressUsers.userOf() names who answers, and the host where that is", async () => {
  const { asked, user } = await ask((users) => users.heard(answer));
  assert.deepEqual(user, {
    ip: WANTED,
    mac: "02:00:00:00:00:07",
    host: "h2",
    text: "02:00:00:00:00:07 on h2",
  });
  assert.equal(asked.length, 1, "an answer is enough");
  const late = await ask((users, question) => question === 2 && users.heard(answer));
  assert.deepEqual(late.user, user, "the first question may be lost");
  const other = await ask((users) => users.heard({ ...answer, ip: "10.2.1.8" as Ip }));
  assert.equal(other.user, undefined, "an answer to nothing is nothing");
  const unknown = await ask((users) => users.heard({ ...answer, peer: undefined }));
  assert.deepEqual([unknown.user?.host, unknown.user?.text], [null, "02:00:00:00:00:07"]);
});

Deno.test("AddressUsers.userOf() gives answers more time where its wait ends late, as this host is busy", async () => {
  for (const [lateMs, waits] of [[10, [20, 40]], [50, [20, 40, 250]], [9_000, [20, 40, 500]]] as const) {
    let ms = 0;
    const asked = new Set<number>();
    const timers: (() => void)[] = [];
    const users = new AddressUsers({
      ...{
        ask: () => {},
        interfaceWith: () => undefined,
        presentAddresses: () => [],
        named: () => undefined,
      },
      ...{ nickname: "h1", hostName: () => "h2", patience: () => 40, now: () => ms },
      later: (wait, work) => {
        asked.add(wait);
        timers.push(work);
      },
    });
    const user = users.userOf(WANTED, "netns:a");
    ms = 40 + lateMs;
    timers.forEach((work) => work());
    assert.deepEqual([...asked], waits);
    if (waits.length > 2) {
      users.heard(answer);
      assert.equal((await user)?.host, "h2");
    } else assert.equal(await user, undefined);
    timers.at(-1)!(); // nobody waits any more
  }
});

Deno.test("AddressUsers.userOf() names what is attached here, and passes over the target's own interface", async () => {
  const here = (users: AddressUsers) => users.heard({ ...answer, here: true, peer: undefined });
  const named = (mac: Mac) => mac === MAC ? "netns:b" : undefined;
  assert.equal((await ask(here, { named })).user?.text, "netns:b (02:00:00:00:00:07) on this host");
  assert.equal((await ask(here)).user?.text, "02:00:00:00:00:07 on this host");
  assert.equal((await ask(here, { presentAddresses: () => [WANTED] })).user, undefined);
});

Deno.test("AddressUsers.userOf() knows this host's own addresses, and asks nobody where nobody is", async () => {
  const own = await ask(undefined, { interfaceWith: () => "eth0" });
  assert.deepEqual([own.user?.mac, own.user?.text, own.asked], [
    null,
    "this host, on its interface eth0",
    [],
  ]);
  assert.deepEqual((await ask(undefined, { patience: () => undefined })).asked, []);
  assert.deepEqual((await ask(undefined, {}, "fd00::7" as Ip)).asked, []);
});

Deno.test("probePatience() grows with the way to the farthest host, up to half a second", () => {
  assert.deepEqual([[], [undefined, 0.4], [1, 30], [900]].map((all) => probePatience(all)), [
    100,
    101,
    160,
    500,
  ]);
});

Deno.test("AddressUsers.all() gives everybody who answers, each once", async () => {
  const waits: (() => void)[] = [];
  const asked: Ip[] = [];
  const own = 0x02_00_00_00_00_01 as Mac;
  const users = new AddressUsers({
    ask: (ip) => void asked.push(ip),
    interfaceWith: () => undefined,
    presentAddresses: () => [WANTED],
    named: () => undefined,
    nickname: "h1",
    hostName: () => "h2",
    patience: () => 40,
    now: () => 0,
    later: (_ms, work) => void waits.push(work),
  });
  const found = users.all(WANTED);
  for (let i = 0; i < 2; i++) {
    users.heard({ ip: WANTED, mac: own, here: true, peer: undefined });
    users.heard(answer);
  }
  waits.forEach((work) => work());
  assert.deepEqual((await found).map(({ mac, peer }) => [mac, peer]), [[own, undefined], [MAC, H2]]);
  assert.deepEqual(asked, [WANTED, WANTED]);
  users.heard(answer); // nobody listens any more
});

Deno.test("AddressUsers.all() asks anew as often as it is told, until somebody answers, and tells how long that took", async () => {
  const survey = async (answersAt: number, times: number) => {
    let [now, asked] = [0, 0];
    const users: AddressUsers = new AddressUsers({
      ask: () => void (++asked === answersAt && users.heard(answer)),
      interfaceWith: () => undefined,
      presentAddresses: () => [],
      named: () => undefined,
      nickname: "h1",
      hostName: () => "h2",
      patience: () => 40,
      now: () => now,
      later: (ms, work) =>
        queueMicrotask(() => {
          now += ms / 2;
          work();
        }),
    });
    const found = await users.all(WANTED, { times });
    return { asked, ms: found.map(({ ms }) => ms) };
  };
  assert.deepEqual(await survey(1, 4), { asked: 2, ms: [0] });
  assert.deepEqual(await survey(3, 4), { asked: 4, ms: [30] });
  assert.deepEqual(await survey(3, 1), { asked: 2, ms: [] });
  assert.deepEqual(await survey(99, 4), { asked: 8, ms: [] });
});
