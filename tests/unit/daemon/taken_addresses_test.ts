import assert from "node:assert/strict";
import { type Ip, type Mac, parseCidr } from "../../../mod/core/addr.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import type { TimedUse } from "../../../mod/daemon/addresses/address_users.ts";
import {
  endAt,
  NOT_GIVEN,
  TakenAddresses,
  type TakenAddressesParts,
  type UserHere,
} from "../../../mod/daemon/addresses/taken_addresses.ts";

const SELF = "02:00:00:00:50:01" as PeerName;
const H2 = "02:00:00:00:50:02" as PeerName;
const H3 = "02:00:00:00:50:03" as PeerName;
const IP = "10.32.0.7" as Ip;
const MINE = 0x02_00_00_00_00_01 as Mac;
const OTHER = 0x02_00_00_00_00_02 as Mac;
const WEB: UserHere = { target: "netns:web", name: null, mac: MINE, ips: [IP] };

const here = (mac: Mac): TimedUse => ({ ip: IP, mac, here: true, peer: undefined, ms: 1 });
const at = (peer: PeerName, mac: Mac): TimedUse => ({ ip: IP, mac, here: false, peer, ms: 1 });

/** A host where these answer, and what it does. */
function trial(uses: readonly TimedUse[], change: Partial<TakenAddressesParts> = {}) {
  const state = { uses };
  const asked: Ip[] = [];
  const told: string[] = [];
  const logged: string[] = [];
  const timers: { ms: number; work: () => void }[] = [];
  const pending: Promise<unknown>[] = [];
  const taken = new TakenAddresses({
    users: {
      all(ip) {
        asked.push(ip);
        return Promise.resolve(state.uses);
      },
    },
    range: parseCidr("10.32.0.0/12")!,
    here: () => [WEB],
    ownerOf: () => SELF,
    self: SELF,
    nickname: "h1",
    hostName: (peer) => peer === H2 ? "h2" : peer === H3 ? "h3" : peer,
    askAt: () => Promise.resolve(undefined),
    tell: (peer, ip) => void told.push(`${peer} ${ip}`),
    later: (ms, work) => void timers.push({ ms, work }),
    faults: { later: (_what, work) => void pending.push(Promise.resolve(work)) },
    logger: { info: (event) => void logged.push(event), warn: (event) => void logged.push(event) },
    ...change,
  });
  /** Runs the timers that are set now. */
  const pass = async () => {
    const due = timers.splice(0);
    for (const { work } of due) work();
    await Promise.all(pending.splice(0));
    return due.map(({ ms }) => ms);
  };
  const look = async () => {
    taken.appeared([IP]);
    await pass();
    return taken.problems().map(({ message }) => message);
  };
  return { asked, logged, look, pass, state, taken, told };
}

Deno.test("TakenAddresses looks at addresses of the range alone, once, after a while", async () => {
  const { asked, pass, taken, told } = trial([here(MINE)]);
  taken.appeared(["192.168.1.1" as Ip, "fd00::1" as Ip]);
  assert.deepEqual(await pass(), []);
  taken.appeared([IP]);
  taken.appeared([IP]);
  assert.deepEqual([await pass(), asked, taken.problems(), told], [[1_500], [IP], [], []]);
  const off = trial([here(MINE), here(OTHER)], { range: undefined });
  assert.deepEqual(await off.look(), []);
});

Deno.test("TakenAddresses names a container that took the address of another one on its host", async () => {
  const thief: UserHere = { target: "netns:svc1", name: null, mac: OTHER, ips: ["10.32.0.9" as Ip] };
  const { look, taken, told } = trial([here(OTHER), here(MINE)], { here: () => [WEB, thief] });
  assert.deepEqual(await look(), [
    "10.32.0.7 is in use twice: by netns:web (02:00:00:00:00:01) on h1, and by netns:svc1 (02:00:00:00:00:02) on h1, " +
    "which was not given it",
  ]);
  assert.match(
    taken.problems()[0]!.hint!,
    /^Take it away from netns:svc1: there, `ip netns exec svc1 ip addr show/,
  );
  assert.deepEqual(told, []);
});

Deno.test("TakenAddresses names both where one is on another host, and has that host look, once", async () => {
  const askAt: TakenAddressesParts["askAt"] = (_peer, _ip, mac) =>
    Promise.resolve({
      target: "container:1234",
      name: "aa",
      mac: mac === OTHER ? "02:00:00:00:00:02" : null,
      problem: NOT_GIVEN,
    });
  const { logged, look, pass, state, taken, told } = trial([here(MINE), at(H2, OTHER)], { askAt });
  const [message] = await look();
  assert.equal(
    message,
    "10.32.0.7 is in use twice: by netns:web (02:00:00:00:00:01) on h1, and by aa (02:00:00:00:00:02) on h2, which " +
      "was not given it",
  );
  assert.match(
    taken.problems()[0]!.hint!,
    /nsenter -n -t \$\(docker inspect -f \{\{\.State\.Pid\}\} aa\) ip addr/,
  );
  assert.deepEqual(await pass(), [15_000]);
  assert.deepEqual([told, logged, taken.problems().length], [[`${H2} ${IP}`], ["address-in-use-twice"], 1]);
  state.uses = [here(MINE)];
  assert.deepEqual(await pass(), [15_000]);
  assert.equal(taken.problems().length, 1, "an answer may be lost");
  assert.deepEqual(await pass(), [15_000]);
  assert.deepEqual([taken.problems(), logged[1]], [[], "address-in-use-once"]);
  assert.deepEqual(await pass(), [], "nothing is looked at any more");
});

Deno.test("TakenAddresses names the host and the MAC address of who cannot be asked, and does not judge his containers", async () => {
  const older = trial([here(MINE), at(H2, OTHER), at(H2, 0x02_00_00_00_00_03 as Mac)]);
  assert.deepEqual(await older.look(), [
    "10.32.0.7 is in use twice: by netns:web (02:00:00:00:00:01) on h1, and by 02:00:00:00:00:02 on h2",
  ]);
  assert.match(
    older.taken.problems()[0]!.hint!,
    /^netns:web was given it: find who has MAC address 02:.* on h2/,
  );
  const foreign = trial([at(H2, OTHER), at(H2, 0x02_00_00_00_00_03 as Mac)], { here: () => [] });
  assert.deepEqual(await foreign.look(), []);
});

Deno.test("TakenAddresses finds who was given it though he does not answer: here, or where its owner is", async () => {
  const silent = trial([at(H2, OTHER)]);
  assert.deepEqual(await silent.look(), [
    "10.32.0.7 is in use twice: by netns:web on h1, and by 02:00:00:00:00:02 on h2",
  ]);
  const end = { target: "container:77", name: "db", mac: null, problem: null };
  const askAt: TakenAddressesParts["askAt"] = (peer) => Promise.resolve(peer === H3 ? end : undefined);
  const svc: UserHere = { target: "netns:svc1", name: null, mac: MINE, ips: [] };
  const owned = trial([here(MINE)], { askAt, here: () => [svc], ownerOf: () => H3 });
  assert.deepEqual(await owned.look(), [
    "10.32.0.7 is in use twice: by db on h3, and by netns:svc1 (02:00:00:00:00:01) on h1, which was not given it",
  ]);
  assert.deepEqual(owned.told, [`${H3} ${IP}`]);
  const free = trial([here(MINE)], {
    askAt: () => Promise.resolve(null),
    here: () => [svc],
    ownerOf: () => H3,
  });
  assert.deepEqual(await free.look(), [], "nobody else has it");
});

Deno.test("TakenAddresses takes a container with two interfaces for one, and its own answer for right", async () => {
  const both: UserHere[] = [WEB, { ...WEB, mac: OTHER, ips: ["10.32.0.8" as Ip] }];
  const { look, told } = trial([here(MINE), here(OTHER)], { here: () => both });
  assert.deepEqual([await look(), told], [[], []]);
});

Deno.test("TakenAddresses.lookAtOwn() finds what is in use twice, and what is so no longer", async () => {
  const { state, taken } = trial([here(MINE), at(H2, OTHER)]);
  await taken.lookAtOwn();
  assert.equal(taken.problems().length, 1);
  state.uses = [here(MINE)];
  await taken.lookAtOwn();
  assert.deepEqual(taken.problems(), []);
});

Deno.test("TakenAddresses has bounds: of what waits, and of what is found", async () => {
  const { asked, pass, taken } = trial([here(MINE), here(OTHER)]);
  taken.appeared(Array.from({ length: 5_000 }, (_, i) => `10.33.${i >> 8}.${i & 255}` as Ip));
  await pass();
  assert.deepEqual([asked.length, taken.problems().length], [512, 64]);
});

Deno.test("endAt() says who is at a MAC address, or else who was given the address", () => {
  const all = [WEB, { target: "container:1", name: "aa", mac: OTHER, ips: [] }];
  assert.equal(endAt(all, IP, MINE)?.problem, null);
  assert.deepEqual([endAt(all, IP, OTHER)?.name, endAt(all, IP, OTHER)?.problem], ["aa", NOT_GIVEN]);
  assert.equal(endAt(all, IP, 0 as Mac)?.target, "netns:web");
  assert.equal(endAt(all, "10.32.0.8" as Ip, 0 as Mac), undefined);
});

Deno.test("TakenAddresses looks again where nobody who was given it is seen, or another host says that it is taken", async () => {
  const quiet = trial([]);
  assert.deepEqual(await quiet.look(), []);
  quiet.state.uses = [here(MINE), at(H2, OTHER)];
  assert.deepEqual([await quiet.pass(), quiet.taken.problems().length], [[1_500], 1]);
  const told = trial([here(MINE)]);
  told.taken.told(IP);
  for (let i = 0; i < 3; i++) assert.deepEqual(await told.pass(), [1_500]);
  assert.deepEqual([await told.pass(), told.taken.problems()], [[], []], "it was not so");
});

Deno.test("TakenAddresses does not count a holder twice whose MAC address is not known", async () => {
  const unknown: UserHere = { ...WEB, mac: undefined };
  const alone = trial([here(MINE)], { here: () => [unknown] });
  assert.deepEqual([await alone.look(), alone.told, alone.logged], [[], [], []]);
  const elsewhere = trial([at(H2, OTHER)], { here: () => [unknown] });
  assert.deepEqual(await elsewhere.look(), [
    "10.32.0.7 is in use twice: by netns:web on h1, and by 02:00:00:00:00:02 on h2",
  ]);
  const thief: UserHere = { target: "netns:svc1", name: null, mac: OTHER, ips: [] };
  const byOther = trial([here(OTHER)], { here: () => [unknown, thief] });
  assert.deepEqual(await byOther.look(), [
    "10.32.0.7 is in use twice: by netns:web on h1, and by netns:svc1 (02:00:00:00:00:02) on h1, which was not given it",
  ]);
});

Deno.test("TakenAddresses goes on to look where a look has failed", async () => {
  let isBroken = false;
  const asked: Ip[] = [];
  const users: TakenAddressesParts["users"] = {
    all(ip) {
      asked.push(ip);
      return isBroken ? Promise.reject(new Error("defect")) : Promise.resolve([here(MINE), at(H2, OTHER)]);
    },
  };
  const { look, pass, taken } = trial([], { users });
  assert.equal((await look()).length, 1);
  isBroken = true;
  for (let i = 0; i < 2; i++) await assert.rejects(pass(), /defect/);
  isBroken = false;
  assert.deepEqual([await pass(), taken.problems().length], [[15_000], 1]);
  const many = Array.from({ length: 20 }, (_, i) => `10.33.0.${i}` as Ip);
  taken.appeared(many);
  isBroken = true;
  await assert.rejects(pass(), /defect/);
  isBroken = false;
  await pass();
  assert.ok(many.every((ip) => asked.includes(ip)), "the rest is looked at, too");
});
