/** The doctor on hosts with a real container engine: nothing is named where all is well, and the engine where it is gone. */
import assert from "node:assert/strict";
import type { PathReport } from "../../../mod/control/doctor_types.ts";
import { healthy, onlyNamed } from "../common/doctor.ts";
import { until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { engine, enginesWorld, hasNetwork, lookUp, prepareEngines } from "./engine_world.ts";
import { declareTests } from "./host_lab.ts";

declareTests(suite({ name: "host kernel, doctor, engines", open: enginesWorld, prepare: prepareEngines }, {
  "trace begins at a container of Docker's network, by what ps and Docker call it, and sends from there":
    async (world) => {
      const [one, two] = [engine(world, 1), engine(world, 2)];
      for (const each of [one, two]) await hasNetwork(each);
      await one.run("near", "--net", "mesh");
      await two.run("far", "--net", "mesh");
      for (const name of ["near", "far"]) {
        await until(`${name} is known`, async () => (await lookUp(one.host, name)).length > 0);
      }
      for (const from of ["near", "container:near"]) {
        const { stdout, stderr } = await one.host.attempt("trace", "far", "--from", from, "--json");
        assert.match(stdout, /^\{/, stderr);
        const report = JSON.parse(stdout) as PathReport;
        assert.deepEqual([report.from!.name, report.to!.name, report.hops.length, report.reached], [
          ...["near", "far"],
          ...[2, true],
        ], stdout);
        const { after, before } = report.hops[0]!.there;
        assert.ok((after ?? 0) > (before ?? 0) || before === null, stdout);
      }
      const refused = await one.host.attempt("trace", "far", "--from", "nea");
      assert.match(refused.stderr, /Cannot look from nea/);
      for (const each of [one, two]) await each.docker("rm", "-f", each === one ? "near" : "far");
    },
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
