/** Addresses that somebody takes by himself while another one has them. */
import assert from "node:assert/strict";
import type { Container } from "../common/container.ts";
import { healthy, named } from "../common/doctor.ts";
import { until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host } from "../common/world.ts";
import { DATAPATH, DATAPATHS, declareTests, hostWorld, withDatapath } from "./host_lab.ts";
import { everything, RANGE } from "./sharing.ts";

/** Waits until the status of a host tells this. */
async function tells(host: Host, words: RegExp): Promise<void> {
  let last: unknown;
  await until(`${host.netns} tells ${words}`, async () => {
    const { problems } = await host.status();
    last = problems;
    return problems.some(({ message }) => words.test(message));
  }, { everyMs: 200 }).catch((error) => {
    throw new Error(`${error}: its problems are ${JSON.stringify(last)}`);
  });
}

/** Attaches it and gives its address. */
async function attach(host: Host, { netns }: Container): Promise<string> {
  return /has ([\d.]+)\//.exec(await host.run("attach", `netns:${netns}`))![1]!;
}

for (const datapath of DATAPATHS) {
  declareTests(suite({
    name: `host kernel, taken addresses${withDatapath(datapath)}`,
    open: () => hostWorld({ hosts: 2, containers: 3, upOptions: ["--datapath", datapath] }),
    prepare: everything,
  }, {
    "both hosts tell by themselves of an address in use twice, with both who use it, and when it is over":
      async (
        world,
      ) => {
        const [one, two] = world.hosts as [Host, Host];
        const [web, thief, near] = [world.container(1), world.container(2), world.container(3)];
        const ip = await attach(one, web);
        await attach(two, thief);
        await attach(one, near);
        const took = (target: string) =>
          new RegExp(
            `^${ip} is in use twice: by netns:${web.netns} .* on ${one.netns}, and by netns:${target} .*, which was not`,
          );
        await thief.exec("ip", "addr", "add", `${ip}/12`, "dev", "ethmesh");
        await Promise.all([one, two].map((host) => tells(host, took(thief.netns))));
        const { fix } = await named(one, took(thief.netns));
        assert.match(
          fix!,
          new RegExp(`\`ip netns exec ${thief.netns} ip addr del ${ip}/PREFIX dev INTERFACE\``),
        );
        await thief.exec("ip", "addr", "del", `${ip}/12`, "dev", "ethmesh");
        await healthy([one, two]);
        await near.exec("ip", "addr", "add", `${ip}/32`, "dev", "ethmesh");
        await tells(one, took(near.netns));
        await near.exec("ip", "addr", "del", `${ip}/32`, "dev", "ethmesh");
      },
    ...(datapath !== DATAPATH ? {} : {
      "the doctor finds what was taken while the daemon did not run": async (world) => {
        const [one, two] = world.hosts as [Host, Host];
        const [web, thief] = [world.container(1), world.container(2)];
        const ip = await attach(one, web); // which they may be already
        await attach(two, thief);
        two.daemon.kill("SIGKILL");
        await two.daemon.ended();
        await thief.exec("ip", "addr", "add", `${ip}/32`, "dev", "ethmesh");
        await two.up("--peers", one.address, "--ip-range", RANGE);
        await two.established();
        await named(one, new RegExp(`^${ip} is in use twice: .* and by netns:${thief.netns} `));
      },
    }),
  }));
}
