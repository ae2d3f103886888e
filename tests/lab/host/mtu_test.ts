/** Underlays of all sizes, and one that shrinks. */
import assert from "node:assert/strict";
import { mesh } from "../common/arrangements.ts";
import { links } from "../common/links.ts";
import { note } from "../common/notes.ts";
import { fragNeeded } from "../common/icmp.ts";
import { exec, until } from "../common/process.ts";
import { Stream } from "../common/stream.ts";
import { suite } from "../common/suite.ts";
import {
  backAfter,
  BRIDGE,
  CARRIES,
  DATAPATH,
  DATAPATHS,
  declareTests,
  hostWorld,
  overlayOf,
  withDatapath,
} from "./host_lab.ts";
import { narrow, singleDatagrams, SLEEVE_PORT } from "./underlay.ts";

/** Largest cost of the link's own headers, seals included. */
const OVERHEAD = 110;

/** Underlays and datapaths. */
const UNDERLAYS: readonly (readonly [mtu: number, datapath: string])[] = [
  ...[1280, 1500, 9000].map((mtu) => [mtu, "bridge"] as const),
  ...(DATAPATH === "bridge" ? [1410] : [1410, 1500, 9000]).map((mtu) => [mtu, DATAPATH] as const),
];

const sizes = UNDERLAYS.map(([mtu, datapath]) =>
  suite({
    name: `host kernel, underlay MTU ${mtu}${withDatapath(datapath)}`,
    open: () => hostWorld({ hosts: 2, containers: 2, mtu, upOptions: ["--datapath", datapath] }),
    prepare: async (world) => {
      for (const host of world.hosts) await singleDatagrams(host);
      await mesh(world);
    },
  }, {
    "the link's MTU is known, what fits passes whole, what does not passes in fragments": async (world) => {
      const [one, two] = [world.container(1), world.container(2)];
      const own = (await links(one.netns)).find(({ ifname }) => ifname === "ethmesh")!.mtu;
      const link = await until("the path is measured", async () => {
        const { connections } = await world.host(1).status();
        // A tunnel of the kernel need not carry more than containers send.
        const enough = overlayOf(datapath) === "fastdp" ? Math.min(own, mtu - OVERHEAD) : mtu - OVERHEAD;
        return (connections[0]?.mtu ?? 0) >= enough && connections[0];
      });
      note(`underlay ${mtu}: link ${link.mtu}, containers ${own}`);
      assert.ok(link.mtu! <= mtu, `${link.mtu}`);
      const whole = Math.min(own, link.mtu!) - 28;
      await one.mustPing(two.address, "-M", "do", "-s", String(whole), "-c", "3", "-i", "0.05", "-W", "3");
      for (const size of [whole + 1, 1472, 9000, 30_000]) {
        await one.mustPing(two.address, "-s", String(size), "-c", "2", "-i", "0.05", "-W", "3");
      }
      const rate = await one.iperf(two, 1, "-C", "cubic");
      note(`TCP ${(rate / 1e9).toFixed(2)} Gbit/s`);
      assert.ok(rate > CARRIES, `${rate}`);
    },
  })
);

const uneven = suite({
  name: "host kernel, container MTU above the path's",
  open: () => hostWorld({ hosts: 2, containers: 2, upOptions: ["--datapath", "bridge", "--mtu", "8000"] }),
  prepare: mesh,
}, {
  "a packet that must not be fragmented is answered with its size": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    const mtu = await until("the path is measured", async () => {
      const { mtu } = (await world.host(1).status()).connections[0]!;
      return mtu! < 1500 && mtu;
    });
    const { text, received } = await one.ping(
      two.address,
      "-M",
      "do",
      "-s",
      "4000",
      "-c",
      "3",
      "-i",
      "0.2",
      "-W",
      "1",
    );
    assert.equal(received, 0, text);
    assert.match(text, new RegExp(`[Ff]rag.*mtu = ${mtu}|message too long, mtu=${mtu}`), text);
    await one.mustPing(two.address, "-s", "6000", "-c", "3", "-i", "0.05", "-W", "3");
    const rate = await one.iperf(two, 1, "-C", "cubic");
    note(`TCP ${(rate / 1e9).toFixed(2)} Gbit/s`);
    assert.ok(rate > CARRIES, `${rate}`);
  },
});

const shrinking = suite({
  name: "host kernel, an MTU that shrinks",
  open: () => hostWorld({ ...BRIDGE, hosts: 2, containers: 2 }),
  prepare: async (world) => {
    for (const host of world.hosts) await singleDatagrams(host);
    await mesh(world);
  },
}, {
  "a stream goes on within seconds after its path got narrower without a word": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    await using stream = await Stream.start(one, two);
    await narrow(world, 2, 1300);
    const started = performance.now();
    await until("the link knows", async () => (await world.host(1).status()).connections[0]!.mtu! <= 1300, {
      ms: 30_000,
    });
    const known = performance.now() - started;
    await stream.flows(20_000);
    const flows = performance.now() - started;
    // The other way nothing was large until now, so that end has yet to find out.
    const back = await backAfter(one, two.address, 20_000, "-s", "3000");
    note(
      `known after ${known.toFixed(0)} ms, the stream flows after ${
        flows.toFixed(0)
      } ms, large answers ${back} ms later`,
    );
    assert.ok(known < 15_000, `${known}`);
    await one.mustPing(two.address, "-s", "3000", "-c", "3", "-i", "0.1", "-W", "3");
  },
});

/** Sizes that are not near the link's MTU, and containers that are never near it. */
const smaller = [1300, 1410].map((mtu) =>
  suite({
    name: `host kernel, a path that shrinks below what containers of MTU ${mtu} send`,
    open: () =>
      hostWorld({ hosts: 2, containers: 2, upOptions: ["--datapath", "bridge", "--mtu", String(mtu)] }),
    prepare: mesh,
  }, {
    "packets that are lost for good are noticed, and get through": async (world) => {
      const [one, two] = [world.container(1), world.container(2)];
      const options = ["-M", "dont", "-s", "1272"];
      await one.mustPing(two.address, ...options, "-c", "3", "-i", "0.2", "-W", "3");
      await narrow(world, 1, 1200);
      const lost = (await one.ping(two.address, ...options, "-c", "1", "-W", "0.3")).received;
      assert.equal(lost, 0, "the path has shrunk");
      const ms = await backAfter(one, two.address, 25_000, ...options);
      note(`packets of 1300 octets arrive again after ${ms} ms`);
      const { connections } = await world.host(1).status();
      assert.ok(connections[0]!.mtu! < 1200, `${connections[0]!.mtu}`);
    },
  })
);

const differing = suite({
  name: "host kernel, containers with different MTUs",
  open: () => hostWorld({ hosts: 2, containers: 2 }),
  prepare: async (world) => {
    world.host(2).upOptions = ["--mtu", "8000"];
    await mesh(world);
  },
}, {
  "larger packets arrive in fragments, or their sender is told; both hosts say so": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    await until("the path is measured", async () => {
      const { mtu } = (await world.host(2).status()).connections[0]!;
      return mtu! > 1430 && mtu! < 1500;
    });
    // As large as the link carries whole, and larger.
    for (const size of [1400, 1500, 6000]) {
      await two.mustPing(one.address, "-M", "dont", "-s", `${size}`, "-c", "3", "-i", "0.1", "-W", "2");
    }
    const { received, text } = await two.ping(
      one.address,
      ...["-M", "do", "-s", "1400", "-c", "3", "-i", "0.2", "-W", "1"],
    );
    assert.equal(received, 0, text);
    assert.match(text, /[Ff]rag.*mtu = 1410|message too long, mtu=1410/);
    const [here, there] = [await world.host(1).status(), await world.host(2).status()];
    assert.ok(here.datapath.tooLarge > 0, `${here.datapath.tooLarge}`);
    assert.equal(there.datapath.tooLarge, 0);
    assert.match(here.problems.map(({ message }) => message).join(), /MTU 1410 on this host, 8000 on /);
    assert.match(there.problems.map(({ hint }) => hint).join(), /start this host with --mtu 1410/);
    const rate = await two.iperf(one, 1, "-C", "cubic");
    note(`TCP ${(rate / 1e9).toFixed(2)} Gbit/s`);
    assert.ok(rate > CARRIES, `${rate}`);
  },
});

const stranger = (datapath: string) =>
  suite({
    name: `host kernel, a stranger's word about the path${withDatapath(datapath)}`,
    open: () => hostWorld({ hosts: 2, containers: 2, upOptions: ["--datapath", datapath] }),
    prepare: mesh,
  }, {
    "one ICMP message changes neither the link's MTU nor what arrives": async (world) => {
      const [one, two] = [world.container(1), world.container(2)];
      const whole = ["-M", "do", "-s", "1382"];
      const measured = await until("the path is measured", async () => {
        const { mtu, overlay } = (await world.host(1).status()).connections[0]!;
        // A tunnel of the kernel need not carry more than containers send.
        const least = overlayOf(datapath) === "fastdp" ? 1410 : 1411;
        return overlay === overlayOf(datapath) && mtu! >= least && mtu! < 1500 && mtu;
      });
      await one.mustPing(two.address, ...whole, "-c", "3", "-i", "0.2", "-W", "3");
      const about = { other: world.host(2).address, port: SLEEVE_PORT, mtu: 552 };
      // The kernel passes over such a message while the user-space path's socket sends without DF.
      await until("the kernel believes it", async () => {
        await fragNeeded(world, 1, about);
        const route = await exec(["ip", "route", "get", about.other], { netns: world.host(1).netns });
        return route.includes("mtu 552");
      }, { ms: 30_000 });
      await one.mustPing(two.address, ...whole, "-c", "40", "-i", "0.2", "-W", "3");
      const { mtu } = (await world.host(1).status()).connections[0]!;
      assert.equal(mtu, measured);
      const inside = await exec(["ip", "route", "get", two.address], { netns: one.netns });
      assert.doesNotMatch(inside, /mtu/, "nor was the container told");
    },
  });

declareTests(...sizes, uneven, shrinking, ...smaller, differing, ...DATAPATHS.map(stranger));
