/** A hundred containers at once. */
import assert from "node:assert/strict";
import type { NameReport } from "../../../mod/control/name_types.ts";
import { until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { engine, enginesWorld, holders, prepareEngines } from "./engine_world.ts";
import { EngineApi } from "./engine_api.ts";
import { declareTests } from "./host_lab.ts";

/** On each of two hosts. */
const EACH = 50;

declareTests(
  suite({ name: "host kernel, many containers", open: enginesWorld, prepare: prepareEngines }, {
    "a hundred that are started in parallel have addresses and names of their own, and leave none when they are removed":
      async (
        world,
      ) => {
        const all = [1, 2].map((n) => ({
          host: world.host(n),
          api: new EngineApi(engine(world, n).socket),
          n,
        }));
        const names = (n: number) => Array.from({ length: EACH }, (_, i) => `c${n}-${i}`);
        await Promise.all(all.map(async ({ api, n }) => {
          await until(
            "Docker has the network",
            async () => (await api.ask("GET", "/networks/mesh")).status === 200,
          );
          const body = {
            Image: "box",
            Cmd: ["sleep", "600"],
            HostConfig: { NetworkMode: "mesh", Init: false },
          };
          for (const name of names(n)) await api.must("POST", `/containers/create?name=${name}`, body);
        }));
        const started = performance.now();
        await Promise.all(
          all.flatMap(({ api, n }) => names(n).map((name) => api.must("POST", `/containers/${name}/start`))),
        );
        console.log(
          `${2 * EACH} containers started in ${((performance.now() - started) / 1000).toFixed(1)} s`,
        );
        const addresses = await Promise.all(all.flatMap(({ api, n }) =>
          names(n).map(async (name) => {
            const found = await api.must("GET", `/containers/${name}/json`) as {
              readonly State: { readonly Running: boolean };
              readonly NetworkSettings: {
                readonly Networks: { readonly mesh: { readonly IPAddress: string } };
              };
            };
            assert.ok(found.State.Running, name);
            return found.NetworkSettings.Networks.mesh.IPAddress;
          })
        ));
        assert.equal(new Set(addresses).size, 2 * EACH);
        await until("each has a name of its own on every host", async () => {
          const lists = await Promise.all(all.map(async ({ host }) => {
            const list = JSON.parse(await host.run("dns", "list", "--json")) as readonly NameReport[];
            return new Map(
              list.filter(({ name }) => /^c[12]-[0-9]+$/.test(name)).map((
                { name, record },
              ) => [record, name]),
            );
          }));
          const missing = lists.map((list, i) => {
            return [all[i]!.host.netns, ...addresses.filter((address) => !list.has(address))].join(" ");
          }).filter((words) => words.includes(" "));
          if (missing.length === 0) return true;
          const held = await Promise.all(all.map(({ host }) => holders(host)));
          const ours = held.flat().filter(({ addresses }) =>
            addresses.some((one) => missing.join().includes(one.split("/")[0]!))
          );
          throw new Error(`unknown on ${missing.join("; on ")}: ps has ${JSON.stringify(ours)}`);
        }, { everyMs: 500 });
        await Promise.all(
          all.flatMap(({ api, n }) =>
            names(n).map((name) => api.must("DELETE", `/containers/${name}?force=1`))
          ),
        );
        for (const { host } of all) {
          await until("nothing is left of them", async () => {
            return JSON.parse(await host.run("ps", "--json")).length === 0;
          });
        }
      },
  }),
);
