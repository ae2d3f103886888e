/** Targets that answer no more leave the answers of all hosts, and come back. */
import assert from "node:assert/strict";
import { callDaemon } from "../../../mod/control/client.ts";
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

async function untilAnswered(world: World, wanted: string): Promise<number> {
  const started = performance.now();
  await until(`container 2 is answered ${wanted}`, async () => {
    // One target in turn is drawn, so both are seen over a few questions.
    const seen = new Set<string>();
    for (let i = 0; i < 12; i++) {
      for (const each of (await answered(world.container(2))).split(" ")) seen.add(each);
    }
    return [...seen].sort().join(" ") === wanted;
  }, { ms: 20_000, everyMs: 10 });
  return Math.round(performance.now() - started);
}

async function prepare(world: World): Promise<void> {
  await world.upAll();
  await ip(["link set lo up"], world.container(1).netns); // as containers have it: it is probed from inside
  for (const [i, more] of [{ health: "tcp:80" }, {}].entries()) {
    const body = {
      target: `netns:${world.container(i + 1).netns}`,
      addresses: [`10.2.1.${i + 1}/24`],
      names: ["web"],
    };
    const { runDir } = world.host(i + 1);
    await callDaemon({ method: "POST", path: "/attach", body: { ...body, ...more } }, {
      runDir,
      timeoutMs: 30_000,
    });
  }
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
        const ms = await untilAnswered(world, TWO);
        note(`it had left after ${ms} ms`);
        assert.ok(ms <= 4_000, `it took ${ms} ms`); // 1 s on an idle machine, most of it the two probes
      }
    },
  }),
);
