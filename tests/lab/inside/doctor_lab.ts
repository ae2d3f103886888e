/** Faults of the kernel's tunnels, sealed ones: the doctor names them, `check` says what to open, and ways are followed. */
import assert from "node:assert/strict";
import type { CheckReport, DoctorReport, PathReport } from "../../../mod/control/doctor_types.ts";
import { callDaemon } from "../../../mod/control/client.ts";
import { sealingHosts } from "../common/arrangements.ts";
import { startWithPasswords } from "../common/everyday.ts";
import { commandOf } from "../common/doctor.ts";
import { loadModules } from "../common/kernel_flows.ts";
import { note } from "../common/notes.ts";
import { exec, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host } from "../common/world.ts";

const MS = 120_000;

/** Over the socket, without the cost of a process. */
async function ask<T>(host: Host, path: string, body?: unknown): Promise<T> {
  const method = body === undefined ? "GET" as const : "POST" as const;
  return await callDaemon<T>({ method, path, body }, { runDir: host.runDir, timeoutMs: MS });
}

async function healthy(host: Host): Promise<void> {
  let last: unknown;
  await until(`${host.netns} is healthy`, async () => {
    const report = await ask<DoctorReport>(host, "/doctor");
    last = report.faults;
    return report.healthy;
  }, { ms: MS, everyMs: 500 }).catch((error) => {
    throw new Error(`${error}: ${JSON.stringify(last)}`);
  });
}

export default suite({
  name: "doctor",
  open: () => sealingHosts(2),
  prepare: (world) => startWithPasswords(world, ["same secret", "same secret"]),
}, {
  "all is well, and a way names the tunnel, its cipher and its flows": async (world) => {
    const [one, two] = world.hosts as [Host, Host];
    await world.container(1).mustPing("10.2.1.2", "-c", "3", "-i", "0.2", "-W", "3");
    for (const host of world.hosts) await healthy(host);
    const from = `netns:${world.container(1).netns}`;
    const way = await until("frames go through the tunnel", async () => {
      const found = await ask<PathReport>(one, "/path", { to: "10.2.1.2", from, probe: true });
      return found.hops[0]!.link!.overlay === "fastdp" && found;
    }, { ms: MS });
    note(
      JSON.stringify(
        way.hops.map(({ back, link, nickname, out, there }) => ({ nickname, link, out, there, back })),
      ),
    );
    assert.ok(way.reached, way.verdict);
    assert.equal(way.hops[0]!.link!.cipher, "ESP with AES-256-GCM");
    assert.match(way.hops[0]!.out.join(), new RegExp(`tunnel to ${two.address}`));
    assert.match(way.hops[1]!.port!, /^vmn/);
    for (const { back, there } of way.hops) {
      assert.ok((there.after ?? 0) > (there.before ?? 0) && (back.after ?? 0) > (back.before ?? 0));
    }
    const check = await ask<CheckReport>(one, "/check", { host: two.address });
    const states = Object.fromEntries(check.lines.map(({ state, what }) => [what, state]));
    assert.deepEqual([states["UDP 6784"], states["ESP"], states["password"]], ["good", "good", "good"]);
  },
  "ESP is dropped: the doctor says so, and check says what to open": async (world) => {
    const [one, two] = world.hosts as [Host, Host];
    await loadModules("ip_tables", "iptable_filter");
    const rule = ["INPUT", "-p", "esp", "-j", "DROP"];
    await exec(["iptables-legacy", "-I", ...rule], { netns: two.netns });
    const words = /Traffic to .*h2 goes through user space: .*(IPsec|ESP)/;
    const fault = await until("the doctor says so", async () => {
      const { faults } = await ask<DoctorReport>(one, "/doctor");
      return faults.find(({ message }) => words.test(message));
    }, { ms: MS, everyMs: 500 });
    note(fault.message);
    // While a link that a busy machine has cut is made anew, nobody can tell.
    const check = await until("check says that ESP does not pass", async () => {
      const report = await ask<CheckReport>(one, "/check", { host: two.address });
      return report.lines.some(({ state, what }) => what === "ESP" && state === "bad") && report;
    }, { ms: MS, everyMs: 500 });
    const esp = check.lines.find(({ what }) => what === "ESP")!;
    note(`${esp.text} | ${esp.fix?.nft} | ${esp.fix?.iptables}`);
    assert.match(esp.fix!.iptables!, /-p esp -j ACCEPT/);
    assert.equal(check.lines.find(({ what }) => what === "UDP 6784")!.state, "unknown", "it travels inside");
    let there: DoctorReport["faults"] = [];
    await until("the other host's doctor names the cause, and nothing that follows from it", async () => {
      there = (await ask<DoctorReport>(two, "/doctor")).faults;
      const [first] = there;
      const cause = "This host's firewall drops what other hosts send to ESP: ";
      return there.length === 1 && first!.message.startsWith(cause);
    }, { everyMs: 500 }).catch((error) => {
      throw new Error(`${error}: ${JSON.stringify(there)}`);
    });
    await exec(["sh", "-c", commandOf(there[0]!)], { netns: two.netns });
    for (const host of world.hosts) await healthy(host);
    await exec(["iptables-legacy", "-F", "INPUT"], { netns: two.netns });
  },
});
