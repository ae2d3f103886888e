/** The router from the sources: `deno task up` leaves the command that the next line of the README calls. */
import assert from "node:assert/strict";
import { root } from "../../../mod/tasks/run.ts";
import { Background, exec } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

declareTests(suite({
  name: "host kernel, from the sources",
  open: () => hostWorld({ hosts: 1, containers: 1 }),
}, {
  "up puts the command where every shell finds it, and the command attaches": async (world) => {
    const [host, container] = [world.host(1), world.container(1)];
    const up = [Deno.execPath(), "run", "-A", "--frozen", `${root}/mod/tasks/up.ts`];
    // The folder of commands is one of its own, seen by this router alone.
    const line = 'mount -t tmpfs tmpfs /usr/local/bin && exec "$@"';
    const options = ["--datapath", "bridge", "--name", host.peerName!];
    await using router = new Background(
      ["unshare", "--mount", "sh", "-c", line, "sh", ...up, ...options],
      host.log,
      { netns: host.netns, env: host.env },
    );
    const status = await host.answers();
    assert.equal(status.datapath.kind, "bridge");
    const theirs = ["nsenter", `--mount=/proc/${router.pid}/ns/mnt`, `--root=/proc/${router.pid}/root`];
    const meshnet = (...args: readonly string[]) =>
      exec([...theirs, "/usr/local/bin/meshnet", ...args], { netns: host.netns, env: host.env });
    await meshnet("attach", "10.2.1.1/24", `netns:${container.netns}`);
    assert.deepEqual((await host.status()).attachments.map(({ attached }) => attached), [true]);
    assert.match(router.output(), /^Installed \/usr\/local\/bin\/meshnet$/m);
    await meshnet("reset", "--yes");
    assert.equal(await router.ended(), 0);
  },
}));
