/** UDP that comes through one way only, or no more: who says what. */
import assert from "node:assert/strict";
import { renderConnections, renderOverview } from "../../../mod/cli/render_status.ts";
import { paint } from "../../../mod/cli/render.ts";
import { note } from "../common/notes.ts";
import { ip, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { mesh } from "../common/arrangements.ts";
import type { StatusReport } from "../../../mod/control/api_types.ts";
import { BRIDGE, declareTests, hostWorld } from "./host_lab.ts";
import { blockUdp, onlyAnswers, SLEEVE_PORT } from "./underlay.ts";

const look = paint(false);

function pages(report: StatusReport): string {
  return renderOverview(report, { look, commandVersion: report.version }) + renderConnections(report, look);
}

const oneWay = suite({
  name: "host kernel, UDP is blocked one way",
  open: () => hostWorld({ ...BRIDGE, hosts: 2, containers: 2 }),
}, {
  "the link is not called established, and the host that hears nothing says what to change": async (
    world,
  ) => {
    const [first, deaf] = [world.host(1), world.host(2)];
    const unblock = await blockUdp(deaf, SLEEVE_PORT);
    await first.up();
    await deaf.up("--peers", first.address);
    const info = await until("the deaf host says why", async () => {
      const [connection] = (await deaf.status()).connections;
      assert.notEqual(connection?.state, "established");
      return connection?.info.includes("nothing arrives") && connection.info;
    }, { ms: 20_000 });
    note(info);
    assert.match(
      info,
      new RegExp(`let this host's firewall accept UDP ${SLEEVE_PORT} from ${first.address}`),
    );
    assert.doesNotMatch(pages(await deaf.status()), /connection works/);
    // Each end comes to its words by itself, as long after its own first heartbeat.
    await until("the other host says where a firewall is", async () => {
      const [other] = (await first.status()).connections;
      return other!.info.includes(`a firewall blocks UDP towards ${deaf.address}`);
    }, { ms: 20_000 });
    await unblock();
    for (const host of world.hosts) await host.established(1, 10_000);
  },
});

const silent = suite({
  name: "host kernel, an idle link loses its UDP",
  open: () => hostWorld({ ...BRIDGE, hosts: 2, containers: 2 }),
  prepare: mesh,
}, {
  "its round trip is not shown as if it were now, and status says for how long it has been silent": async (
    world,
  ) => {
    const host = world.host(1);
    // With traffic it is measured more often, and silence ends the link within seconds.
    const idle = await until("the link is idle", async () => {
      const [connection] = (await host.status()).connections;
      return (connection?.rttAgeMs ?? 0) > 5_000 && connection;
    }, { ms: 60_000, everyMs: 200 });
    assert.ok(idle.rttAgeMs! < 13_000, `${idle.rttAgeMs}`);
    assert.equal(idle.silentMs, null);
    for (const each of world.hosts) await blockUdp(each, SLEEVE_PORT);
    const report = await until("the silence is told", async () => {
      const status = await host.status();
      return (status.connections[0]?.silentMs ?? 0) > 14_000 && status;
    }, { ms: 30_000, everyMs: 200 });
    const [said] = report.connections;
    assert.ok(said!.rttAgeMs! >= said!.silentMs!, `${said!.rttAgeMs} ${said!.silentMs}`);
    assert.match(pages(report), /silent for [12]\d s/);
  },
});

/** Its clients know it by the second address alone, which others may take over from it. */
const FLOATING = "192.168.50.77";

const floating = suite({
  name: "host kernel, a host with two addresses",
  open: () => hostWorld({ hosts: 2, containers: 2 }),
}, {
  "UDP comes from the address that was dialled, through a firewall that lets answers in": async (world) => {
    const [dialler, host] = [world.host(1), world.host(2)];
    await ip([`addr add ${FLOATING}/24 dev eth0`], host.netns);
    await onlyAnswers(dialler);
    await host.up();
    await dialler.up("--no-discovery", "--peers", FLOATING);
    for (const each of world.hosts) await each.established(1, 10_000);
    for (const [i, each] of world.hosts.entries()) {
      await each.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
    }
    await world.container(1).mustPing("10.2.1.2", "-c", "10", "-i", "0.1", "-W", "3");
    await world.container(2).mustPing("10.2.1.1", "-s", "5000", "-c", "3", "-i", "0.1", "-W", "3");
  },
});

declareTests(oneWay, silent, floating);
