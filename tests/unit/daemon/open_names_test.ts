import assert from "node:assert/strict";
import { type Endpoint, type Ip, parseCidr } from "../../../mod/core/addr.ts";
import { Faults } from "../../../mod/core/faults.ts";
import type { Logger } from "../../../mod/core/ports.ts";
import { EXPOSE_HOLDER } from "../../../mod/core/holders.ts";
import { openNames, tellWaiting } from "../../../mod/daemon/parts/open_names.ts";
import { recordOfAddress } from "../../../mod/dns/records/spelling.ts";
import { SystemClock } from "../../../mod/sys/clock.ts";
import { SystemRandom } from "../../../mod/sys/random.ts";
import { peer } from "../dns/bench.ts";
import { MemoryStore } from "../memory_store.ts";
import { askUdp, freePort } from "./names_bench.ts";

const DOMAIN = "mesh.internal.";
const warnings: string[] = [];

/** Names of a host without attachments that has these addresses in the network; containers cannot ask it. */
function open(listen: readonly Endpoint[], exposed: readonly string[], store = new MemoryStore()) {
  const warn = (event: string) => void warnings.push(event);
  const logger: Logger = { debug() {}, info() {}, warn, error: (event) => assert.fail(event) };
  const clock = new SystemClock();
  const dns = {
    domain: DOMAIN,
    ttl: undefined,
    order: "balanced",
    stubs: [],
    listen,
    resolvConf: "/nowhere",
  };
  type Parts = Parameters<typeof openNames>[1];
  return openNames({ dns: dns as never, nickname: "h1", without: [] }, {
    base: {
      ...{ clock, logger, random: new SystemRandom(), faults: new Faults({ logger, clock }) },
      ...{ signal: new AbortController().signal, told: { take() {} } },
    },
    exposed: { addresses: exposed.map((text) => ({ cidr: parseCidr(text)!, masquerade: true })) },
    attached: {
      attachments: { list: () => [] },
      restored: { adopted: [], restored: [], waiting: [] },
      onLooked: { call() {} },
    } as unknown as Parts["attached"],
    mesh: {
      router: {
        ...{ knows: () => true, announces: () => true, snapshot: () => ({ connections: [] }) },
        ...{ register() {}, broadcast() {}, unicast() {} },
      },
    } as unknown as Parts["mesh"],
    nameLeg: { listen: undefined, problem: "no namespace", keep() {}, [Symbol.dispose]() {} },
    state: { identity: { name: peer(1) }, store } as unknown as Parts["state"],
  });
}

Deno.test("openNames() balances what this host asks by the addresses that it has in the network now", async () => {
  const server = freePort();
  await using part = open([server], ["10.2.1.254/24"]);
  const names = part.names!;
  const near = ["10.2.1.1", "10.99.0.1"] as Ip[];
  names.own.add(`web.${DOMAIN}`, near.map(recordOfAddress));
  while (names.service.listeners[0]?.state !== "listening") await names.service.report().catch(() => {});
  /** Answers in which the far target stands alone: a near one would sort before it. */
  const alone = async () => {
    await names.service.report(); // the thread knows what it was told before
    let count = 0;
    for (let i = 0; i < 40; i++) {
      const { answers } = await askUdp(server, { name: "web" });
      assert.equal(answers.length === 1, answers[0]!.data === "10.99.0.1" && answers.length < 2);
      if (answers.length === 1) count++;
    }
    return count;
  };
  assert.notEqual(await alone(), 0);
  names.forgotten(EXPOSE_HOLDER);
  assert.equal(await alone(), 0);
  names.attached(EXPOSE_HOLDER, ["10.2.1.253/24"]);
  assert.notEqual(await alone(), 0);
});

Deno.test("openNames() gives files back that lead to a name server which containers cannot reach this time", async () => {
  const store = new MemoryStore();
  const key = "names/resolv-conf/netns:meshnet-nobody";
  store.put(key, JSON.stringify({ version: 1, original: null, texts: ["nameserver 169.254.53.53\n"] }));
  await using part = open([], [], store);
  assert.equal(part.names!.files, undefined);
  assert.deepEqual(JSON.parse(store.get(key)!).texts, []); // remembered, for a start that can
});

Deno.test("tellWaiting() logs an address once for each reason, and again once it was answered", () => {
  const told: unknown[] = [];
  const tell = tellWaiting({ warn: (event, fields) => void told.push([event, fields]) });
  const endpoint = { ip: "127.0.0.1" as Ip, port: 53 };
  const waiting = {
    endpoint,
    state: "waiting",
    reason: "not permitted",
    hint: "CAP_NET_BIND_SERVICE",
  } as const;
  tell([waiting]);
  tell([waiting]);
  assert.deepEqual(told, [["names not answered", {
    address: "127.0.0.1:53",
    reason: "not permitted",
    hint: "CAP_NET_BIND_SERVICE",
  }]]);
  tell([{ ...waiting, reason: "taken" }]);
  tell([{ endpoint, state: "listening" }]);
  tell([{ ...waiting, reason: "taken" }]);
  assert.equal(told.length, 3);
});

Deno.test("openNames() warns of a file of other name servers that it cannot read", async () => {
  warnings.length = 0;
  await using _part = open([], []);
  assert.deepEqual(warnings, ["file of other name servers cannot be read"]);
});
