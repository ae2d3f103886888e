/** Hosts that make their names of one machine's id, as clones do: the new one takes another name by itself. */
import assert from "node:assert/strict";
import type { HistoryReport } from "../../../mod/control/history_types.ts";
import { DatabaseSync } from "node:sqlite";
import { healthy } from "../common/doctor.ts";
import { exec } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";
import { agree, allocate, held, noneTwice, RANGE } from "./sharing.ts";

declareTests(suite({ name: "host kernel, clones", open: () => hostWorld({ hosts: 2, containers: 2 }) }, {
  "two routers of one machine join, and the one that took another name keeps it": async (world) => {
    const [one, two] = [world.host(1), world.host(2)];
    one.peerName = two.peerName = undefined;
    await one.up();
    const { name: first } = await one.status();
    await two.up("--peers", one.address);
    for (const host of world.hosts) await host.established();
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
    for (const host of world.hosts) await host.established();
    assert.equal((await renamed.status()).name, name);
    for (const [i, host] of world.hosts.entries()) {
      await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
    }
    await world.container(1).mustPing("10.2.1.2", "-c", "5", "-i", "0.1", "-W", "2");
  },
}));

declareTests(suite({
  name: "host kernel, copied state",
  open: () => hostWorld({ hosts: 3, containers: 1 }),
}, {
  "a copy of a host leaves addresses and attachments to it, says so, and joins with addresses of its own":
    async (
      world,
    ) => {
      const [one, two, copy] = world.hosts as [Host, Host, Host];
      await one.up("--ip-range", RANGE);
      await two.up("--ip-range", RANGE, "--peers", one.address);
      await two.established();
      const target = `netns:${world.container(1).netns}`;
      await two.run("attach", "--no-dns", target);
      const ofTwo = (await held(two)).get(target)!;
      for (let i = 0; i < 3; i++) await allocate(one, `one${i}`);
      await agree([one, two], 2);
      await two.run("down");
      await two.daemon.ended();
      await exec(["cp", "-a", two.stateDir, copy.stateDir]);
      atAnotherMachine(copy);
      await two.up("--ip-range", RANGE);
      await two.established();

      copy.peerName = "02:00:00:00:50:33";
      await copy.up("--ip-range", RANGE);
      const early = allocate(copy, "early"); // before it has heard anybody
      await copy.established();
      assert.ok(await early);
      const { attachments, formerName, name } = await copy.status();
      assert.deepEqual([attachments, formerName, name], [[], "02:00:00:00:50:02", copy.peerName]);
      assert.match(await copy.run("status"), /formerly 02:00:00:00:50:02 \(cloned machine\)/);
      assert.match(Deno.readTextFileSync(copy.log), /is a copy of another.*left=netns:/);
      assert.deepEqual((await held(two)).get(target), ofTwo);
      await noneTwice(world.hosts);
      await healthy(world.hosts);
    },
}));

/** Has the state of a host come from another machine than this one. */
function atAnotherMachine({ stateDir }: Host): void {
  using database = new DatabaseSync(`${stateDir}/meshnet.db`);
  const { value } = database.prepare("SELECT value FROM record WHERE key = 'identity'").get() as {
    value: string;
  };
  const identity = JSON.parse(value);
  identity.machine.machineId = "0011223344556677";
  database.prepare("UPDATE record SET value = ? WHERE key = 'identity'").run(JSON.stringify(identity));
}
