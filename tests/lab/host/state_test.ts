/** State on disks that are full or read-only, and state that was lost. */
import assert from "node:assert/strict";
import { attempt, exec } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host, World } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

/** A file system of 64 KiB under the state folder of a host; gone with it. */
async function smallDisk(
  host: Host,
): Promise<AsyncDisposable & { fill(): void; clear(): void; path: string }> {
  const path = host.stateDir;
  Deno.mkdirSync(path, { recursive: true });
  await exec(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "meshnet-lab", path]);
  const filling = `${path}/filling`;
  return {
    path,
    fill() {
      using file = Deno.openSync(filling, { write: true, create: true });
      try {
        for (;;) file.writeSync(new Uint8Array(1024));
      } catch (error) {
        if ((error as { code?: string }).code !== "ENOSPC") throw error;
      }
    },
    clear: () => Deno.removeSync(filling),
    async [Symbol.asyncDispose]() {
      host.daemon.kill("SIGKILL");
      await host.daemon.ended();
      await attempt(["umount", "-l", path]);
    },
  };
}

/** A command that fails on this host, in these words; what the host is afterwards is what it was. */
async function mustFail(host: Host, words: RegExp, ...command: readonly string[]): Promise<void> {
  const before = await remembered(host);
  const { code, stderr } = await host.attempt(...command);
  assert.equal(code, 1, stderr);
  assert.match(stderr, words);
  assert.deepEqual(await remembered(host), before, command.join(" "));
}

async function remembered(host: Host) {
  const { attachments, targetStates } = await host.status();
  return {
    targets: targetStates.map(({ target }) => target),
    attachments: attachments.map(({ target, addresses, attached }) => ({ target, addresses, attached })),
  };
}

declareTests(suite({
  name: "host kernel, state",
  open: () => hostWorld({ hosts: 1, containers: 1 }),
}, {
  "a full disk fails commands with folder, cause and fix, and they change nothing": async (world: World) => {
    const [host, container] = [world.host(1), world.container(1)];
    await using disk = await smallDisk(host);
    await host.up("--peers", "192.0.2.1");
    await host.attach(container, "10.2.1.1/24");
    disk.fill();
    const words = new RegExp(
      `Cannot write state in ${disk.path}: its file system is full\n(.*\n)?hint: Make room on the file system of ` +
        disk.path,
    );
    await mustFail(host, words, "connect", "192.0.2.2");
    await mustFail(host, words, "connect", "--replace", "192.0.2.2");
    await mustFail(host, words, "forget", "192.0.2.1");
    await mustFail(host, words, "attach", "10.2.1.2/24", `netns:${container.netns}`);
    disk.clear();
    await host.run("connect", "192.0.2.2");
    await host.run("attach", "10.2.1.2/24", `netns:${container.netns}`);
    assert.deepEqual((await remembered(host)).targets, ["192.0.2.1", "192.0.2.2"]);
  },
  "a first start on a full disk says so, and the next one starts": async (world) => {
    const host = world.host(1);
    await using disk = await smallDisk(host);
    disk.fill();
    const daemon = host.start();
    assert.equal(await daemon.ended(), 1);
    assert.match(daemon.output(), new RegExp(`state in ${disk.path}: its file system is full`));
    assert.match(daemon.output(), new RegExp(`hint: Make room on the file system of ${disk.path}`));
    disk.clear();
    await host.up();
  },
  "a daemon starts again on a full disk": async (world) => {
    const host = world.host(1);
    await using disk = await smallDisk(host);
    await host.up("--peers", "192.0.2.1");
    const { name } = await host.status();
    await host.run("down");
    disk.fill();
    await host.up("--peers", "192.0.2.2"); // cannot be remembered, but the next start names it again
    const status = await host.status();
    assert.equal(status.name, name);
    assert.deepEqual(status.targets, ["192.0.2.2"]);
  },
  "a read-only disk fails commands and starts in plain words": async (world) => {
    const host = world.host(1);
    await using disk = await smallDisk(host);
    await host.up();
    await exec(["mount", "-o", "remount,ro", disk.path]).catch(() => {}); // refused while a file is open for writing
    await host.run("down");
    await exec(["mount", "-o", "remount,ro", disk.path]);
    const daemon = host.start();
    assert.equal(await daemon.ended(), 1);
    assert.match(
      daemon.output(),
      new RegExp(`in ${disk.path}: its file system is read-only\nhint: Mount the file`),
    );
    await exec(["mount", "-o", "remount,rw", disk.path]);
    await host.up();
  },
  "state that was emptied is refused; state that is gone is told with what the kernel still has": async (
    world,
  ) => {
    const [host, container] = [world.host(1), world.container(1)];
    await using disk = await smallDisk(host);
    await host.up();
    await host.attach(container, "10.2.1.1/24");
    const { attachments } = await host.status();
    await host.run("down");
    const file = `${disk.path}/meshnet.db`;
    Deno.truncateSync(file);
    const daemon = host.start();
    assert.equal(await daemon.ended(), 1);
    assert.match(daemon.output(), /meshnet.db: it is empty/);
    assert.equal(Deno.statSync(file).size, 0);
    Deno.removeSync(file);
    await host.up();
    const end = attachments[0]!.hostInterface;
    const problems = (await host.status()).problems.map(({ message }) => message);
    assert.ok(
      problems.some((message) => message.includes(`${disk.path} was new at this start`)),
      problems.join(),
    );
    assert.ok(problems.some((message) => message.includes(`No record knows ${end}`)), problems.join());
    assert.match(host.daemon.output(), /WARN {2}the state folder is new, .*/);
    await host.attach(container, "10.2.1.3/24"); // takes it over
    const after = (await host.status()).problems.map(({ message }) => message);
    assert.ok(!after.some((message) => message.includes(end)), after.join());
    const { addresses } = (await remembered(host)).attachments[0]!;
    assert.ok(addresses.includes("10.2.1.1/24") && addresses.includes("10.2.1.3/24"), addresses.join());
  },
}));
