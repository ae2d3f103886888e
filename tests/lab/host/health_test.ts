/** Targets that answer no more leave the answers of all hosts, and come back. */
import assert from "node:assert/strict";
import { callDaemon } from "../../../mod/control/client.ts";
import type { HolderReport } from "../../../mod/control/address_types.ts";
import type { LookupAnswer } from "../../../mod/control/name_types.ts";
import type { Container } from "../common/container.ts";
import { note } from "../common/notes.ts";
import { exec, ip, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

const [ONE, TWO] = ["10.2.1.1", "10.2.1.2"] as const;

/** What a program in a container is answered. */
async function answered({ netns }: Container): Promise<string> {
  const text = await exec(["ip", "netns", "exec", netns, "getent", "ahostsv4", "web"]);
  return [...new Set(text.split("\n").map((line) => line.split(" ")[0]!).filter(Boolean))].sort().join(" ");
}

/** How long it takes until the second host answers only so. Asked without a program, whose start may take longer. */
async function untilKnown(world: World, wanted: string): Promise<number> {
  const started = performance.now();
  const { runDir } = world.host(2);
  const question = { method: "POST", path: "/dns/lookup", body: { name: "web" } } as const;
  await until(`host 2 answers ${wanted}`, async () => {
    const { records } = await callDaemon<LookupAnswer>(question, { runDir, timeoutMs: 5_000 });
    return records.map(({ record }) => record).sort().join(" ") === wanted;
  }, { everyMs: 10 });
  return Math.round(performance.now() - started);
}

async function untilAnswered(world: World, wanted: string): Promise<void> {
  await until(`container 2 is answered ${wanted}`, async () => {
    // One target in turn is drawn, so both are seen over a few questions.
    const seen = new Set<string>();
    for (let i = 0; i < 12; i++) {
      for (const each of (await answered(world.container(2))).split(" ")) seen.add(each);
    }
    return [...seen].sort().join(" ") === wanted;
  }, { everyMs: 10 });
}

async function prepare(world: World): Promise<void> {
  await world.upAll();
  await ip(["link set lo up"], world.container(1).netns); // as containers have it: it is probed from inside
  await attachTo(world, 1, { health: "tcp:80" });
  await attachTo(world, 2, {});
}

/** Attaches a container on the host of its number. */
async function attachTo(world: World, number: 1 | 2, more: { readonly health?: string }): Promise<void> {
  const target = `netns:${world.container(number).netns}`;
  const body = { target, addresses: [`10.2.1.${number}/24`], names: ["web"], ...more };
  const { runDir } = world.host(number);
  await callDaemon({ method: "POST", path: "/attach", body }, { runDir, timeoutMs: 30_000 });
}

async function psOf(world: World): Promise<readonly HolderReport[]> {
  const { runDir } = world.host(1);
  return await callDaemon({ method: "GET", path: "/ps" }, { runDir, timeoutMs: 30_000 }) as HolderReport[];
}

declareTests(
  suite({ name: "host kernel, health", open: () => hostWorld({ hosts: 2, containers: 2 }), prepare }, {
    "a target that stops answering leaves the answers of all hosts, and comes back": async (world) => {
      await untilAnswered(world, TWO); // nobody listens in the first one yet
      for (let round = 0; round < 2; round++) {
        await using server = world.container(1).background(
          "busybox",
          "httpd",
          "-f",
          "-p",
          "80",
          "-h",
          "/",
        );
        await untilAnswered(world, `${ONE} ${TWO}`);
        server.kill("SIGKILL");
        await server.ended();
        const ms = await untilKnown(world, TWO);
        note(`it had left after ${ms} ms`);
        assert.ok(ms <= 10_000, `it took ${ms} ms`); // 1 s on an idle machine, most of it the two probes
        await untilAnswered(world, TWO);
      }
    },
    "a target is what a program in its network namespace says, and ps tells since when and why": async (
      world,
    ) => {
      const file = `${world.host(1).runDir}/good`;
      const script = `ip -o -4 address | grep -q " $MESHNET_ADDRESS/" && cat ${file}`;
      const target = `netns:${world.container(1).netns}`;
      // A busy machine needs its time to start a program.
      await attachTo(world, 1, { health: `exec:sh -c '${script}',every=2s` });
      const bad = await until("the program has said so", async () => {
        const [one] = await psOf(world);
        return one?.health?.healthy === false && one;
      });
      assert.equal(bad.holder, target);
      assert.match(bad.health!.reason!, /^exit code 1: .*No such file/);
      await untilAnswered(world, TWO);
      Deno.writeTextFileSync(file, "");
      await untilAnswered(world, `${ONE} ${TWO}`);
      const [good] = await psOf(world);
      assert.equal(good?.health?.healthy, true);
      assert.ok(good.health.forMs! >= 0);
      Deno.removeSync(file);
      await untilAnswered(world, TWO);
    },
  }),
);
