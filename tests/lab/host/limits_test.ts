/** Daemons that run out of descriptors. */
import assert from "node:assert/strict";
import { mesh } from "../common/arrangements.ts";
import { exec, pause, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host } from "../common/world.ts";
import { backAfter, declareTests, hostWorld } from "./host_lab.ts";

/** Lets a running daemon have descriptors up to this number; those that it has stay open. */
async function limitFiles(host: Host, limit: number): Promise<void> {
  await exec(["prlimit", "--pid", String(host.daemon.pid), `--nofile=${limit}:`]);
}

declareTests(suite({
  name: "host kernel, limits",
  open: () => hostWorld({ hosts: 2, containers: 2 }),
  prepare: mesh,
}, {
  "a daemon without descriptors carries traffic, says so once and recovers": async (world) => {
    const [one, two] = [world.host(1), world.host(2)];
    const [c1, c2] = [world.container(1), world.container(2)];
    await limitFiles(one, 16); // it has more, and poll(2) takes no more than the limit at once
    await c1.mustPing(c2.address, "-c", "3", "-i", "0.1", "-W", "1");
    two.daemon.kill("SIGKILL");
    await two.daemon.ended();
    two.start("--peers", one.address); // its connection cannot be accepted
    const used = new RegExp("Too many open files|too many open files", "g");
    await until("the daemon says that descriptors are used up", () => used.test(one.daemon.output()), {
      ms: 20_000,
    });
    await assert.rejects(one.status());
    await pause(3_000); // time enough to fail many times
    assert.equal(one.daemon.code, undefined, "it runs");
    const lines = one.daemon.output().split("\n").filter((line) => line.match(used));
    // The mesh, the data plane, the control socket and the attachment, once each.
    assert.ok(lines.length <= 4, lines.join("\n"));
    assert.ok(lines.some((line) => line.includes("ulimit -n")), lines.join("\n"));
    assert.ok(!lines.some((line) => line.includes("stack=")), lines.join("\n"));
    await limitFiles(one, 1024);
    await one.established();
    await backAfter(c1, c2.address, 20_000);
    await one.attach(c1, "10.2.1.9/24");
  },
}));
