/** Hosts that make their names of one machine's id, as clones do: the new one takes another name by itself. */
import assert from "node:assert/strict";
import type { HistoryReport } from "../../../mod/control/history_types.ts";
import { suite } from "../common/suite.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

declareTests(suite({ name: "host kernel, clones", open: () => hostWorld({ hosts: 2, containers: 2 }) }, {
  "two routers of one machine join, and the one that took another name keeps it": async (world) => {
    const [one, two] = [world.host(1), world.host(2)];
    one.peerName = two.peerName = undefined;
    await one.up();
    const { name: first } = await one.status();
    await two.up("--peers", one.address);
    await two.established(1, 20_000);
    await one.established(1, 20_000);
    const names = [(await one.status()).name, (await two.status()).name];
    assert.equal(new Set(names).size, 2);
    assert.equal(names.filter((name) => name === first).length, 1, "one keeps the name of the machine");
    const renamed = names[0] === first ? two : one;
    const { formerName, name } = await renamed.status();
    assert.equal(formerName, first);
    const lines = Deno.readTextFileSync(renamed.log).split("\n");
    assert.equal(lines.filter((line) => line.includes("this host takes another name")).length, 1);
    const history = JSON.parse(await renamed.run("history", "--json")) as readonly HistoryReport[];
    const ends = history.filter(({ event }) => event === "stopped").map(({ reason }) => reason);
    assert.deepEqual(ends, ["the change of its name"]);
    assert.doesNotMatch(JSON.stringify(history), /without a word/);
    await renamed.run("down");
    await renamed.daemon.ended();
    await renamed.up();
    await renamed.established(1, 20_000);
    assert.equal((await renamed.status()).name, name);
    for (const [i, host] of world.hosts.entries()) {
      await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
    }
    await world.container(1).mustPing("10.2.1.2", "-c", "5", "-i", "0.1", "-W", "2");
  },
}));
