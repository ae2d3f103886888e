/** Faults of one host, and of hosts that do not fit together: the doctor names each, with the daemon or without. */
import assert from "node:assert/strict";
import type { CheckReport } from "../../../mod/control/doctor_types.ts";
import { faultsOf } from "../../unit/control/schema.ts";
import { commandOf, examine, healthy, mend, named, onlyNamed, runFix } from "../common/doctor.ts";
import { attempt, Background, exec, FOLDER, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { type Host, PROGRAM } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

/** Hosts without tunnels of the kernel; those with them: faults_test.ts. */
const BRIDGE = ["--datapath", "bridge"];

const NAME_SERVER = "127.0.0.1";

/** Does something while a program of somebody else has a port of a host. */
async function withPortTaken(
  host: Host,
  { kind, port }: { readonly kind: "DGRAM" | "STREAM"; readonly port: number },
  work: () => Promise<unknown>,
): Promise<void> {
  const script = `socket(S, PF_INET, SOCK_${kind}, 0); bind(S, sockaddr_in(${port}, INADDR_ANY)) or die $!;` +
    `listen(S, 1); $| = 1; print "ready"; sleep 3600`;
  const log = Deno.makeTempFileSync({ dir: FOLDER, prefix: `${host.netns}-` });
  await using program = new Background(["perl", "-MSocket", "-e", script], log, { netns: host.netns });
  await until("the port is taken", () => Promise.resolve(program.output().includes("ready")));
  await work();
}

const alone = suite({
  name: "host kernel, doctor, one host",
  open: () => hostWorld({ hosts: 1, upOptions: BRIDGE }),
}, {
  "without the daemon: that it does not run is the only fault": async (world) => {
    const host = world.host(1);
    const report = await examine(host);
    assert.deepEqual(faultsOf("DoctorReport", report), []);
    const { daemon, faults } = report;
    assert.equal(daemon, false);
    assert.deepEqual(faults.map(({ check }) => check), ["daemon"]);
    assert.match(faults[0]!.fix!, /meshnet up/);
    await host.up();
    await healthy([host]);
  },
  "the disk of the state is full, with the daemon and without": async (world) => {
    const host = world.host(1);
    await host.run("reset");
    Deno.mkdirSync(host.stateDir, { recursive: true });
    await exec(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "meshnet-lab", host.stateDir]);
    try {
      await host.up();
      await healthy([host]);
      await attempt(["dd", "if=/dev/zero", `of=${host.stateDir}/filling`, "bs=1k"]);
      const words = /State in .* may soon be lost: its file system has \d+ KiB left of 256\n.*Make room/;
      await named(host, words);
      await host.run("down");
      await named(host, words);
    } finally {
      await host.attempt("reset");
      await attempt(["umount", "-l", host.stateDir]);
    }
  },
  "a start that failed: why is told by one fault, until one succeeds": async (world) => {
    const host = world.host(1);
    await host.up();
    await host.run("down");
    const path = `${host.stateDir}/meshnet.db`;
    const before = Deno.readFileSync(path);
    Deno.writeFileSync(path, crypto.getRandomValues(new Uint8Array(8_192)));
    assert.equal((await host.attempt("up")).code, 1);
    const words =
      /^The daemon is not running: its last start failed \d+ s ago: Cannot open state .*meshnet\.db: it is no SQLite/;
    const fault = await onlyNamed(host, words);
    assert.match(fault.fix!, /Restore .* from a backup.*\. Then start it again: `meshnet up`/);
    Deno.writeFileSync(path, before);
    assert.equal((await host.attempt("up", "--mtu", "12")).code, 2);
    await onlyNamed(host, /its last start failed \d+ s ago: .*mtu.*12/i);
    await host.up();
    await healthy([host]);
    await host.run("down");
    await onlyNamed(host, /^The daemon is not running \(/);
  },
  "the state has become read-only, with the daemon and without": async (world) => {
    const host = world.host(1);
    await host.up();
    const words = /^Cannot write state in .*: its file system is read-only\nMount .* for writing/;
    await exec(["mount", "--bind", host.stateDir, host.stateDir]);
    try {
      await exec(["mount", "-o", "remount,ro,bind", host.stateDir]);
      await onlyNamed(host, words);
      await host.run("down");
      assert.equal((await host.attempt("up")).code, 1);
      await named(host, /last start failed .*: Cannot make files in .*: its file system is read-only/);
    } finally {
      await exec(["umount", "-l", host.stateDir]);
    }
    await host.up();
    await healthy([host]);
    await host.run("down");
  },
  "somebody else has the name server's port, with the daemon and without": async (world) => {
    const host = world.host(1);
    host.environment = { MESHNET_DNS_LISTEN: NAME_SERVER };
    const words = /not be answered on 127\.0\.0\.1 port 53: perl \(process \d+\) uses it\n.*`kill \d+`/;
    await withPortTaken(host, { kind: "DGRAM", port: 53 }, async () => {
      await runFix(host, commandOf(await named(host, words)));
      await until("it is gone", async () => (await examine(host)).faults.length === 1); // the daemon does not run
    });
    await host.up();
    await healthy([host]);
    await host.run("down");
    await withPortTaken(host, { kind: "DGRAM", port: 53 }, async () => {
      await host.up();
      await named(host, /Names are not answered on 127\.0\.0\.1:53: /);
    });
    await healthy([host]);
    await host.run("down");
    host.environment = {};
  },
  "the kernel lacks the module that was asked for": async (world) => {
    const host = world.host(1);
    host.environment = { MESHNET_DATAPATH: "ovs" };
    await named(host, /openvswitch/);
    host.environment = {};
  },
  "a right is missing": async (world) => {
    const host = world.host(1);
    const { code, stdout } = await attempt(
      ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", ...PROGRAM, "doctor", "--json"],
      { env: host.env, netns: host.netns },
    );
    assert.equal(code, 4);
    assert.match(stdout, /Cannot run without CAP_NET_RAW/);
  },
  "the daemon hangs: its process is named within seconds, by doctor, check and ping, and what can be seen is":
    async (
      world,
    ) => {
      const host = world.host(1);
      await host.up();
      const { pid } = await host.status();
      Deno.kill(pid, "SIGSTOP");
      const began = performance.now();
      const fault = await named(host, /process \d+\) does not answer within 5 s: a signal.*\n.*kill -CONT/);
      assert.ok(performance.now() - began < 20_000);
      assert.equal((await examine(host)).faults.length, 1);
      const check = JSON.parse((await host.attempt("check", "192.168.50.9", "--json")).stdout) as CheckReport;
      assert.deepEqual(check.lines[0], {
        ...{ what: "daemon", state: "bad", text: fault.message },
        fix: { on: "this host", command: `kill -CONT ${pid}`, nft: null, iptables: null },
      });
      assert.ok(check.lines.length > 2, JSON.stringify(check));
      const ping = await host.attempt("ping", "10.2.1.1");
      assert.equal(ping.code, 1);
      assert.match(ping.stderr, new RegExp(`process ${pid}\\) does not answer.*\\n.*kill -CONT`));
      await exec(["sh", "-c", commandOf(fault)]);
      await healthy([host]);
      await host.run("down");
    },
  "the mesh's port is taken, and the settings are wrong": async (world) => {
    const host = world.host(1);
    await withPortTaken(
      host,
      { kind: "STREAM", port: 6783 },
      () => named(host, /Cannot listen on TCP port 6783: perl \(process \d+\) uses it\n.*`kill \d+`/),
    );
    host.environment = { MESHNET_PORT: "none" };
    await named(host, /none.*\n/);
    host.environment = {};
  },
});

const together = suite({
  name: "host kernel, doctor, hosts that do not fit",
  open: () => hostWorld({ hosts: 2, containers: 2, upOptions: BRIDGE }),
}, {
  "passwords differ": async (world) => {
    const [one, two] = world.hosts as [Host, Host];
    one.environment = { MESHNET_PASSWORD: "right" };
    two.environment = { MESHNET_PASSWORD: "wrong" };
    await one.up();
    await two.up("--peers", one.address);
    await named(two, /No connection to 192\.168\.50\.1: .*password/);
    for (const host of world.hosts) {
      await host.run("reset");
      host.environment = {};
    }
  },
  "two hosts have one name": async (world) => {
    const [one, two] = world.hosts as [Host, Host];
    const { peerName } = two;
    two.peerName = one.peerName;
    await one.up();
    await two.up("--peers", one.address);
    await named(two, /No connection to 192\.168\.50\.1: .*same peer name/);
    two.peerName = peerName;
    for (const host of world.hosts) await host.run("reset");
  },
  "clocks differ": async (world) => {
    const [one, two] = world.hosts as [Host, Host];
    two.startedBy = ["faketime", "-m", "--exclude-monotonic", "-f", "+600s"];
    await one.up();
    await two.up("--peers", one.address);
    for (const host of world.hosts) await host.established();
    await named(one, /Clocks differ from this host's: .*h2 is \d+ s ahead\n.*chrony/);
    await named(two, /Clocks differ from this host's: .*h1 is \d+ s behind/);
    two.startedBy = [];
    await two.run("down");
    await two.up("--peers", one.address);
    await healthy(world.hosts);
    for (const host of world.hosts) await host.run("reset");
  },
  "rings were seeded differently": async (world) => {
    const [one, two] = world.hosts as [Host, Host];
    for (const [i, host] of world.hosts.entries()) {
      await host.up("--ip-init", `seed=${host.peerName}`);
      await host.run("attach", `netns:${world.container(i + 1).netns}`);
      await healthy([host]);
    }
    await two.run("connect", one.address);
    const fault = await named(
      two,
      /seeded by different peers .*run "meshnet reset" on .*h[12] \(02:.*\), and start it again/,
    );
    // The link and the allocator both tell of it, whichever has been told first.
    assert.match(
      fault.message,
      /^(?:No connection to 192\.168\.50\.1: .*)?IP allocation was seeded by different peers/,
    );
    await two.run("reset");
    await two.daemon.ended();
    await two.up("--peers", one.address);
    await healthy(world.hosts);
    for (const host of world.hosts) await host.run("reset");
  },
  "Docker's firewall drops what is forwarded, and may not be changed": async (world) => {
    const [one] = world.hosts as [Host, Host];
    await exec(["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1"], { netns: one.netns });
    await exec(["iptables-nft", "-P", "FORWARD", "DROP"], { netns: one.netns });
    await one.up("--firewall", "report");
    await named(
      one,
      /firewall sees IPv4 traffic of containers and drops it: .*policy drop\n.*iptables -I FORWARD .*ACCEPT/,
    );
    await mend(one, await named(one, /drops it: /));
    await healthy([one]);
    await one.run("reset");
  },
});

declareTests(alone, together);
