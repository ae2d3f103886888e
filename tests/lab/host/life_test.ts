/** The life of links: their first moments, their loss under traffic, a host that moves. */
import assert from "node:assert/strict";
import { mesh } from "../common/arrangements.ts";
import type { Container } from "../common/container.ts";
import { note } from "../common/notes.ts";
import { ip, pause, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host, World } from "../common/world.ts";
import { backAfter, BRIDGE, DATAPATHS, declareTests, hostWorld, withDatapath } from "./host_lab.ts";
import { blockUdp, cutOff, UDP_PORTS } from "./underlay.ts";

/** What a flow of pings went through. */
interface Watched {
  /** Sequence numbers of answers. */
  readonly answered: readonly number[];
  /** Longest time without an answer between two answers, in milliseconds. */
  readonly gapMs: number;
}

/** How many answers show that traffic flows: a second's. */
const FLOWING = 20;
/** A way that is lost is left within seconds. By their slow rhythm alone the hosts would notice after a minute. */
const LEFT_MS = 10_000;

/** Waits until so many more pings are answered. */
type Answered = (more?: number, ms?: number) => Promise<void>;

/** Pings every 50 ms while something happens. */
async function pinging(
  from: Container,
  to: string,
  what: (answered: Answered) => Promise<unknown>,
): Promise<Watched> {
  await using program = from.background("ping", "-n", "-D", "-i", "0.05", "-W", "1", to);
  const answers = () => [...program.output().matchAll(/^\[([0-9.]+)\].* icmp_seq=([0-9]+) .*time=/gm)];
  await what(async (more = FLOWING, ms = 30_000) => {
    const before = answers().length;
    await until(`${more} more pings are answered`, () => answers().length >= before + more, { ms });
  });
  program.kill("SIGINT");
  await program.ended();
  const rows = answers();
  const times = rows.map((row) => Number(row[1]) * 1000);
  const gapMs = Math.round(Math.max(0, ...times.map((time, i) => time - (times[i - 1] ?? time))));
  return { answered: rows.map((row) => Number(row[2])), gapMs };
}

/** The overlay of host n's link to host m. */
async function linkTo(host: Host, other: Host) {
  return (await host.status()).connections.find(({ peer }) => peer === other.peerName);
}

const first = suite({
  name: "host kernel, first moments",
  open: () => hostWorld({ hosts: 2, containers: 2 }),
}, {
  "after the first answer nothing is lost, although pings began before the hosts knew each other": async (
    world,
  ) => {
    const [one, two] = [world.host(1), world.host(2)];
    for (let round = 0; round < 4; round++) {
      await one.up();
      await two.up();
      await one.attach(world.container(1), "10.2.1.1/24");
      await two.attach(world.container(2), "10.2.1.2/24");
      const { answered } = await pinging(world.container(1), "10.2.1.2", async (answered) => {
        await pause(300);
        await two.run("connect", one.address);
        await answered(1);
        await pause(1_500);
      });
      // Frames that waited for the first flow may come after those that it carries.
      const [from, to] = [answered[0]!, Math.max(...answered)];
      const since = answered.filter((one) => one >= from);
      note(`round ${round}: answers ${from} to ${to}, ${since.length} of ${to - from + 1}`);
      assert.equal(since.length, to - from + 1, answered.join(" "));
      await two.run("forget", one.address);
      await one.run("down");
      await two.run("down");
    }
  },
  "whichever end says established first, the first ping from there is answered": async (world) => {
    const hosts = [world.host(1), world.host(2)] as const;
    for (const side of [0, 1] as const) {
      const [here, there] = [hosts[side], hosts[1 - side]!];
      await here.up();
      await there.up();
      await here.attach(world.container(side + 1), `10.2.1.${side + 1}/24`);
      await there.attach(world.container(2 - side), `10.2.1.${2 - side}/24`);
      const started = here.established(1, 20_000, 1);
      await hosts[1].run("connect", hosts[0].address);
      await started;
      const { times } = await world.container(side + 1).mustPing(`10.2.1.${2 - side}`, "-c", "1");
      note(`answered after ${times[0]} ms`);
      await hosts[1].run("forget", hosts[0].address);
      await here.run("down");
      await there.run("down");
    }
  },
});

const loss = (datapath: string) =>
  suite({
    name: `host kernel, loss of a link${withDatapath(datapath)}`,
    open: () => hostWorld({ hosts: 3, containers: 3, upOptions: ["--datapath", datapath] }),
    prepare: mesh,
  }, {
    "a link that is cut under traffic is left for a relay within seconds, and taken again": async (world) => {
      const [one, two] = [world.host(1), world.host(2)];
      let mend = () => Promise.resolve();
      const { gapMs } = await pinging(world.container(1), "10.2.1.2", async (answered) => {
        await answered();
        mend = await cutOff(one, two);
        await answered(FLOWING, LEFT_MS);
      });
      note(`cut: longest gap ${gapMs} ms`);
      assert.notEqual((await linkTo(one, two))?.state, "established");
      await world.container(1).mustPing("10.2.1.2", "-c", "3", "-i", "0.1", "-W", "3");
      await mend();
    },
    "UDP that is blocked alone shows as a link that waits, with the reason, and traffic takes the relay":
      async (
        world,
      ) => {
        const [one, two] = [world.host(1), world.host(2)];
        await established(world);
        let mend = () => Promise.resolve();
        const { gapMs } = await pinging(world.container(1), "10.2.1.2", async (answered) => {
          await answered();
          mend = await blockUdp(two, UDP_PORTS, one.address);
          await answered(FLOWING, LEFT_MS);
        });
        note(`UDP blocked: longest gap ${gapMs} ms`);
        const link = await until("there is a new connection", () => linkTo(one, two));
        note(`${link.state}: ${link.info}`);
        assert.notEqual(link.state, "established");
        await mend();
        await established(world);
      },
    // Tunnels measure it with their first heartbeat alone.
    ...(datapath === "bridge" ? { "status follows the round trip": followsRoundTrip } : {}),
  });

async function followsRoundTrip(world: World): Promise<void> {
  const [one, two] = [world.host(1), world.host(2)];
  await established(world);
  await using _traffic = world.container(1).background("ping", "-n", "-i", "0.2", "10.2.1.2");
  const measured = async () => (await linkTo(one, two))?.rttMs ?? undefined;
  const rttMs = await until("it is measured", measured, { ms: 10_000 });
  note(`round trip ${rttMs} ms`);
  assert.ok(rttMs! > 0 && rttMs! < 200, `${rttMs}`);
}

/** Waits until everybody is linked to everybody. */
async function established(world: World): Promise<void> {
  for (const host of world.hosts) await host.established(world.hosts.length - 1, 30_000);
}

const SECRET = { MESHNET_PASSWORD: "correct horse" };
const moving = [false, true].map((sealed) =>
  suite({
    name: `host kernel, change of address${sealed ? " with a password" : ""}`,
    open: () => hostWorld({ hosts: 2, containers: 2, ...(sealed ? { environment: SECRET } : {}) }),
    prepare: mesh,
  }, {
    "a host that gets another address under traffic is followed at once": async (world) => {
      const host = world.host(2);
      const { gapMs } = await pinging(world.container(1), "10.2.1.2", async (answered) => {
        await answered();
        await ip([`addr del ${host.address}/24 dev eth0`, `addr add 192.168.50.77/24 dev eth0`], host.netns);
        await pause(8_000);
      });
      note(`longest gap ${gapMs} ms`);
      assert.ok(gapMs <= 3_000, `${gapMs} ms`);
      await world.container(1).mustPing("10.2.1.2", "-c", "3", "-i", "0.1", "-W", "3");
      note(JSON.stringify((await world.host(1).status()).connections));
    },
  })
);

/** Only the user-space path measures what is beyond the size of containers' packets. */
const still = suite({
  name: "host kernel, change of address without traffic",
  open: () => hostWorld({ ...BRIDGE, hosts: 2, containers: 2 }),
  prepare: mesh,
}, {
  "a host that gets another address while nothing is said is followed at once, its full MTU too": async (
    world,
  ) => {
    const [one, host] = [world.host(1), world.host(2)];
    const isWhole = async () => {
      const link = await linkTo(one, host);
      return link?.mtu === 1438 && link.state === "established";
    };
    await until("the full MTU is known", isWhole);
    await pause(3_000);
    await ip([`addr del ${host.address}/24 dev eth0`, `addr add 192.168.50.77/24 dev eth0`], host.netns);
    note(`back after ${await backAfter(world.container(1), "10.2.1.2", 5_000)} ms`); // heartbeats come each 10 s
    await pause(3_000); // what was lost with the address would show
    await until("the link is there with its full MTU", isWhole, { ms: 10_000 });
  },
});

declareTests(first, ...DATAPATHS.map(loss), ...moving, still);
