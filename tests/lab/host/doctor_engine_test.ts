/** The doctor on hosts with a real container engine: nothing is named where all is well, and the engine where it is gone. */
import assert from "node:assert/strict";
import type { PathReport } from "../../../mod/control/doctor_types.ts";
import { healthy, onlyNamed } from "../common/doctor.ts";
import { until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { engine, enginesWorld, prepareEngines } from "./engine_world.ts";
import { declareTests } from "./host_lab.ts";

declareTests(suite({ name: "host kernel, doctor, engines", open: enginesWorld, prepare: prepareEngines }, {
  "all is well, containers are found by their names, and an engine that is gone is named": async (world) => {
    const [one, two] = [engine(world, 1), engine(world, 2)];
    await one.run("web");
    await two.run("db");
    await one.host.run("attach", "10.2.1.1/24", "web");
    await two.host.run("attach", "--name", "store", "10.2.1.2/24", "db");
    await healthy(world.hosts);
    const ping = async (...args: readonly string[]) =>
      JSON.parse((await one.host.attempt("ping", ...args, "--json")).stdout) as PathReport;
    const far = await until("it is reached by name", async () => {
      const report = await ping("store", "--from", "web");
      return report.reached && report;
    });
    assert.deepEqual([far.from!.name, far.to!.name, far.hops.length], ["web", "db", 2]);
    assert.equal((await ping("web")).to!.address, "10.2.1.1");
    await one.kill();
    await onlyNamed(
      one.host,
      /container engine at .*docker\.sock cannot be reached: .*\n.*systemctl start docker/,
    );
    one.start();
    await one.answers();
    await healthy(world.hosts);
  },
}));
