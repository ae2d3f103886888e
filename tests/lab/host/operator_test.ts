/** What operators and their scripts see of a running mesh. */
import assert from "node:assert/strict";
import { until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { faultsOf } from "../../unit/control/schema.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

declareTests(suite({
  name: "host kernel, operator",
  open: () => hostWorld({ hosts: 2, containers: 1 }),
}, {
  "wait returns when hosts are reached, and status --check tells well from degraded": async (world) => {
    const [one, two] = [world.host(1), world.host(2)];
    const waiting = one.attempt("wait", "--peers", "1", "--timeout", "60"); // before its daemon runs
    one.start();
    await one.answers();
    two.start("--peers", one.address);
    assert.deepEqual(await waiting, { code: 0, stdout: "1 other host reached.\n", stderr: "" });
    assert.equal((await two.attempt("wait", "--connected", one.address, "--timeout", "30")).code, 0);
    await until("status --check says ok", async () => (await two.attempt("status", "--check")).code === 0);
    await one.run("down");
    await until("status --check says degraded", async () => {
      const { code, stdout } = await two.attempt("status", "--check");
      return code === 4 && stdout.startsWith("degraded: ");
    });
    const late = await two.attempt("wait", "--connected", one.address, "--timeout", "0.2");
    assert.equal(late.code, 4);
    assert.match(late.stderr, /192\.168\.50\.1 is not reached: /);
    one.start();
    assert.equal((await two.attempt("connect", one.address, "--wait", "--timeout", "60")).code, 0);
  },
  "JSON is as the schema says": async (world) => {
    await world.host(1).attach(world.container(1), "10.32.1.1/24");
    for (const host of world.hosts) {
      await host.established();
      assert.deepEqual(faultsOf("StatusReport", JSON.parse(await host.run("status", "--json"))), []);
      assert.deepEqual(faultsOf("FullReport", JSON.parse(await host.run("report"))), []);
      for (const holder of JSON.parse(await host.run("ps", "--json"))) {
        assert.deepEqual(faultsOf("HolderReport", holder), []);
      }
    }
  },
}));
