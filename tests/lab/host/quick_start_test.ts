/** The README's first four commands for Docker, as they stand there. */
import assert from "node:assert/strict";
import { Background, FOLDER, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { engine, enginesWorld, lookUp, prepareEngines } from "./engine_world.ts";
import { declareTests } from "./host_lab.ts";

/** Commands of the README's block, with the number of the host that each is for. */
function commands(): readonly (readonly [host: number, command: string])[] {
  const text = Deno.readTextFileSync(new URL("../../../README.md", import.meta.url));
  const block = /\*\*Docker, without attaching anything\*\*.*?```\n(.*?)```/s.exec(text)?.[1] ?? "";
  return block.trim().split("\n").flatMap((line) =>
    [...line.matchAll(/host([12])# (.*?)(?=\s+host[12]# |$)/g)].map(([, n, command]) =>
      [Number(n), command!] as const
    )
  );
}

/** Images that no registry has to give: what is pinged sleeps, who pings has a shell. */
async function makeImages(world: World): Promise<void> {
  for (const n of [1, 2]) {
    const one = engine(world, n);
    const file = `${FOLDER}/${one.host.netns}/Dockerfile`;
    Deno.writeTextFileSync(file, 'FROM box\nCMD ["sleep", "600"]\n');
    await one.docker("build", "-q", "-t", "nginx", "-f", file, `${FOLDER}/${one.host.netns}/docker/image`);
    await one.docker("tag", "box", "alpine");
  }
}

declareTests(
  suite({ name: "host kernel, quick start", open: enginesWorld, prepare: prepareEngines }, {
    "two hosts with Docker and the README's four commands: a container pings another one by its name": async (
      world,
    ) => {
      await makeImages(world);
      for (const host of world.hosts) await host.run("down");
      const all = commands();
      assert.equal(all.length, 4, JSON.stringify(all));
      let last: Background | undefined;
      try {
        for (const [n, command] of all) {
          const host = world.host(n);
          const [program, ...args] = command.replace("host1", world.host(1).address).split(" ");
          if (program === "meshnet") {
            assert.equal(args.shift(), "up");
            await host.up(...args);
            await until("Docker has the network", async () => {
              return (await engine(world, n).attempt("network", "inspect", "mesh")).code === 0;
            });
          } else if (args.includes("-d")) await engine(world, n).docker(...args);
          else {
            // Whoever types takes longer than hosts to connect and tell names; a machine that does much else may not.
            const name = args.at(-1)!;
            await until(`${name} is known`, async () => (await lookUp(host, name)).length > 0);
            const argv = [...engine(world, n).client(), ...args];
            last = new Background(argv, `${FOLDER}/${host.netns}/ping`);
            await until("there is an answer", () => /bytes from 10\.32\./.test(last!.output()));
          }
        }
      } finally {
        last?.kill("SIGTERM");
        await last?.[Symbol.asyncDispose]();
      }
    },
  }),
);
