/** Addresses from a backup, after all hosts have lost their state. */
import assert from "node:assert/strict";
import { suite } from "../common/suite.ts";
import type { Host } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";
import { agree, allocate, everything, held, noneTwice, RANGE } from "./sharing.ts";

declareTests(
  suite({
    name: "host kernel, addresses from a backup",
    open: () => hostWorld({ hosts: 2 }),
    prepare: everything,
  }, {
    "all hosts lose their state: a backup brings shares and holders back, and refuses while an owner is away":
      async (
        world,
      ) => {
        const { hosts } = world;
        const [one, two] = hosts as [Host, Host];
        await one.run("prime");
        for (const host of hosts) await allocate(host, "printer");
        await agree(hosts, 2);
        const before = await Promise.all(hosts.map(held));
        const files = await Promise.all(hosts.map(async (host) => {
          const file = `${host.stateDir}.json`;
          await Deno.writeTextFile(file, await host.run("ipam", "export"));
          return file;
        }));
        for (const host of hosts) {
          host.daemon.kill("SIGKILL");
          await host.daemon.ended();
          await Deno.remove(host.stateDir, { recursive: true });
        }
        await one.up("--ip-range", RANGE);
        const refused = await one.attempt("ipam", "import", files[0]!);
        assert.match(
          refused.stderr,
          /Cannot import: .* owns addresses in the backup, .*\nhint: Connect this host to it/,
        );
        await two.up("--peers", one.address, "--ip-range", RANGE);
        for (const host of hosts) await host.established();
        assert.match(
          await one.run("ipam", "import", files[0]!),
          /^The hosts own again what the backup says\.\nHeld again: /,
        );
        await agree(hosts, 2);
        assert.match(
          await two.run("ipam", "import", files[1]!),
          /^The hosts knew already who owns what\.\nHeld again: /,
        );
        assert.deepEqual(await Promise.all(hosts.map(held)), before);
        for (const host of hosts) await allocate(host, "after");
        await noneTwice(hosts);
        const foreign = await two.attempt("ipam", "import", files[0]!);
        assert.match(foreign.stderr, /the backup has what .* held\nhint: Import it on /);
        for (const file of files) await Deno.remove(file);
      },
    "hosts come back under other names: an import says so, and what only the backup holds can be hidden":
      async (
        world,
      ) => {
        const { hosts } = world;
        const [one, two] = hosts as [Host, Host];
        const [was, gone] = hosts.map(({ peerName }) => peerName!) as [string, string];
        await one.run("prime");
        for (const host of hosts) await allocate(host, "printer");
        const exposed = (await one.run("expose")).match(/10\.40\.\d+\.\d+/)![0];
        await agree(hosts, 2);
        const file = `${one.stateDir}.json`;
        await Deno.writeTextFile(file, await one.run("ipam", "export"));
        for (const host of hosts) {
          host.daemon.kill("SIGKILL");
          await host.daemon.ended();
          await Deno.remove(host.stateDir, { recursive: true });
          host.peerName = host.peerName!.replace(/^02/, "06");
        }
        await one.up("--ip-range", RANGE);
        await two.up("--peers", one.address, "--ip-range", RANGE);
        for (const host of hosts) await host.established();
        const refused = await one.attempt("ipam", "import", file);
        assert.match(refused.stderr, new RegExp(`this host is ${one.netns}, but under another name, 06`));
        assert.match(refused.stderr, new RegExp(`${two.netns} is connected, but under another name, 06`));
        assert.match(refused.stderr, /hint: Start .* again with `meshnet up --name 02:/);
        one.daemon.kill("SIGTERM");
        await one.daemon.ended();
        one.peerName = was;
        await one.up("--ip-range", RANGE);
        for (const host of hosts) await host.established();
        const imported = await one.run("ipam", "import", file, "--gone", two.netns);
        assert.ok(imported.endsWith(`Now run \`meshnet rmpeer ${gone}\`.\n`), imported);
        await one.run("rmpeer", gone, was.replace(/^02/, "06")); // the name that it had for a while, too
        assert.match(await one.run("ps"), new RegExp(`this host .*${exposed}`));
        assert.match(await one.run("hide"), /This host has no address/);
        assert.doesNotMatch(await one.run("ps"), /this host /);
        two.peerName = gone;
        await Deno.remove(file);
      },
  }),
);
