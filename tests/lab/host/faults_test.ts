/** Faults of hosts whose kernels switch and seal: one command names each, nothing that only follows is told, and the fix that
 * it prints mends it. More of them: doctor_test.ts, doctor_hosts_test.ts, check_test.ts. */
import assert from "node:assert/strict";
import type { CheckReport } from "../../../mod/control/doctor_types.ts";
import { examine, healthy, mend, named, onlyNamed, runFix } from "../common/doctor.ts";
import { Background, exec, FOLDER, ip, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host, World } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";
import { narrow } from "./underlay.ts";

const SECRET = { MESHNET_PASSWORD: "of all hosts" };

const pair = (world: World) => world.hosts.slice(0, 2) as [Host, Host];

/** Both daemons with these options, the second pointed at the first. */
async function start(world: World, ...options: readonly string[]): Promise<void> {
  const [one, two] = pair(world);
  await one.up(...options);
  await two.up("--peers", one.address, ...options);
  for (const host of [one, two]) await host.established();
}

async function stop(...hosts: readonly Host[]): Promise<void> {
  for (const host of hosts) {
    await host.run("down");
    await host.daemon.ended();
  }
}

async function nft(host: Host, ...commands: readonly string[]): Promise<void> {
  await exec(["nft", "-f", "-"], { netns: host.netns, input: commands.join("\n") + "\n" });
}

async function dropped(host: Host, what: string): Promise<void> {
  await nft(
    host,
    "add table inet block",
    "add chain inet block in { type filter hook input priority 0; }",
    `add rule inet block in ${what} drop`,
  );
}

declareTests(suite({
  name: "host kernel, faults",
  open: () => hostWorld({ hosts: 3, containers: 2, upOptions: ["--datapath", "ebpf"] }),
  prepare: async (world) => {
    await start(world);
    for (const [i, host] of pair(world).entries()) {
      await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
    }
  },
}, {
  "nothing is named where all is well, also of a host that is exposed": async (world) => {
    await world.host(1).run("expose", "10.2.1.254/24");
    await healthy(pair(world));
  },
  "a rule of this host drops what tunnels need": async (world) => {
    const [one, two] = pair(world);
    await stop(one);
    await dropped(one, "udp dport 6784");
    await one.up();
    const fault = await onlyNamed(
      one,
      /firewall drops what other hosts send to UDP 6784: rule 1 of chain in/,
    );
    await onlyNamed(two, /Traffic to .*h1 goes through user space: .*\n.*meshnet check/);
    await mend(one, fault);
    await healthy([one, two]);
    await nft(one, "delete table inet block");
  },
  "another program has the port of tunnels: it is named": async (world) => {
    const [one, two] = pair(world);
    await stop(one);
    await one.run("reset");
    const script = `socket(S, PF_INET, SOCK_DGRAM, 0); bind(S, sockaddr_in(6784, INADDR_ANY)) or die $!;` +
      `$| = 1; print "ready"; sleep 3600`;
    const log = Deno.makeTempFileSync({ dir: FOLDER, prefix: `${one.netns}-` });
    await using program = new Background(["perl", "-MSocket", "-e", script], log, { netns: one.netns });
    await until("the port is taken", () => program.output().includes("ready"));
    await one.up();
    const fault = await onlyNamed(one, /No tunnel port: UDP port 6784 .*\n.*perl \(process \d+\) has it/);
    const check = JSON.parse((await one.attempt("check", two.address, "--json")).stdout);
    const line = check.lines.find(({ what }: { what: string }) => what === "UDP 6784");
    assert.match(
      `${line.state} ${line.text} ${line.fix?.command}`,
      /^bad .*perl \(process \d+\) has it kill \d+$/,
    );
    await mend(one, fault);
    await healthy([one, two]);
    await one.attach(world.container(1), "10.2.1.1/24");
  },
  "an MTU that this host's network does not carry is one fault": async (world) => {
    const [one, two] = pair(world);
    await stop(one, two);
    await start(world, "--mtu", "9000");
    for (const host of [one, two]) {
      await onlyNamed(
        host,
        /packets of up to 9000 bytes, and this host's way to .* carries 1500 .*\n.*--mtu 1430/,
      );
    }
    const fault = await named(one, /--mtu 1430/);
    await mend(one, fault);
    await mend(two, fault, "--peers", one.address);
    await healthy([one, two]);
    await stop(one, two);
    await start(world);
    await healthy([one, two]);
  },
  "the network between the hosts carries less": async (world) => {
    const [one, two] = pair(world);
    await narrow(world, 2, 1400);
    for (let i = 0; i < 4; i++) {
      await world.container(1).ping("10.2.1.2", "-s", "1350", "-c", "3", "-i", "0.2", "-W", "1", "-M", "do");
    }
    const fault = await onlyNamed(
      one,
      /The path to .* carries packets of 1\d\d\d bytes .*\n.*meshnet up --mtu 1/,
      60_000,
    );
    await mend(one, fault);
    await mend(two, fault, "--peers", one.address);
    await healthy([one, two]);
    await narrow(world, 2, 1500);
    await stop(one, two);
    await start(world);
    await healthy([one, two]);
  },
  "a filter of another program stands before ours": async (world) => {
    const [one] = pair(world);
    const port = (await one.status()).attachments[0]!.hostInterface;
    const words = [
      "filter",
      "add",
      "dev",
      port,
      "ingress",
      "prio",
      "1",
      "bpf",
      "bytecode",
      "1,6 0 0 4294967295",
    ];
    await exec(["tc", ...words], { netns: one.netns });
    await mend(
      one,
      await onlyNamed(one, /filter of another program \(bpf, priority 1\) sees what comes from vmn/),
    );
    await healthy([one]);
  },
  "containers leave through this host, which forwards nothing": async (world) => {
    const [one] = pair(world);
    await one.run("expose", "10.2.1.254/24");
    await ip(["route add default via 10.2.1.254"], world.container(1).netns);
    await exec(["sysctl", "-qw", "net.ipv4.ip_forward=0"], { netns: one.netns });
    await mend(
      one,
      await onlyNamed(one, /c1 has its default route through this host, which forwards nothing/),
    );
    await healthy([one]);
    await ip(["route del default"], world.container(1).netns);
    await exec(["sysctl", "-qw", "net.ipv4.ip_forward=0"], { netns: one.netns });
    await one.run("hide");
  },
  "a target does not answer its check": async (world) => {
    const [one] = pair(world);
    const target = `netns:${world.container(1).netns}`;
    await one.run("attach", "--name", "web", "--health", "tcp:9,every=200ms,after=1", target);
    const fault = await onlyNamed(
      one,
      /c1 has not answered its check tcp:9.*: .*\n.*--health none/,
    );
    await mend(one, fault);
    await healthy([one]);
  },
  "the file of other name servers is missing": async (world) => {
    const [one] = pair(world);
    const file = `${FOLDER}/${one.netns}/resolv.conf`;
    await stop(one);
    await one.up("--resolv-conf", file);
    await onlyNamed(one, new RegExp(`Names outside of the mesh are not answered: ${file} .* is not there\n`));
    Deno.writeTextFileSync(file, "nameserver 192.0.2.53\n");
    await healthy([one]);
  },
  "the container engine that was named is gone": async (world) => {
    const [one] = pair(world);
    const socket = `${FOLDER}/${one.netns}/engine.sock`;
    await stop(one);
    one.environment = { MESHNET_DOCKER: `unix://${socket}` };
    await one.up();
    await onlyNamed(
      one,
      new RegExp(`container engine at ${socket} cannot be reached: .*\n.*systemctl start docker`),
    );
    one.environment = {};
    await stop(one);
    await one.up();
    await healthy([one]);
  },
}));

declareTests(suite({
  name: "host kernel, faults of a beginning",
  open: () => hostWorld({ hosts: 3, containers: 1, upOptions: ["--datapath", "ebpf"] }),
}, {
  "a host with another password knocks: both ends say so": async (world) => {
    const [one, , three] = world.hosts as [Host, Host, Host];
    one.environment = SECRET;
    three.environment = { MESHNET_PASSWORD: "another" };
    await one.up();
    await three.up("--peers", one.address);
    await onlyNamed(three, /No connection to 192\.168\.50\.1: .*password/);
    await onlyNamed(one, /^192\.168\.50\.3 came .* not let in: .*password.*\n.*--password-file FILE/);
    await stop(three);
    const file = `${FOLDER}/${three.netns}/password`;
    Deno.writeTextFileSync(file, SECRET.MESHNET_PASSWORD, { mode: 0o600 });
    three.environment = {};
    await runFix(three, `meshnet up --password-file ${file}`, "--peers", one.address);
    await healthy([one, three]);
    for (const host of [one, three]) {
      await host.run("reset");
      await host.daemon.ended();
    }
    one.environment = {};
  },
  "the hosts that are to share the range out are not all there": async (world) => {
    const [one, two, three] = world.hosts as [Host, Host, Host];
    const all = ["--ip-init", "consensus=3"];
    await one.up(...all);
    const waits = one.attempt("attach", `netns:${world.container(1).netns}`, "--timeout", "60");
    await onlyNamed(one, /: 2 hosts must agree on the first owners, 1 are here: start the others/);
    await two.up("--peers", one.address, ...all);
    await three.up("--peers", one.address, ...all);
    assert.equal((await waits).code, 0);
    await healthy(world.hosts);
  },
}));

declareTests(suite({
  name: "host kernel, faults, loss",
  open: () => hostWorld({ hosts: 2, containers: 2, upOptions: ["--datapath", "ebpf"] }),
  prepare: async (world) => {
    await start(world);
    for (const [i, host] of pair(world).entries()) {
      await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
    }
  },
}, {
  "the network between the hosts loses two of five packets: that is said, and no firewall is blamed": async (
    world,
  ) => {
    const [one, two] = pair(world);
    await healthy([one, two]);
    await using _traffic = world.container(1).background("ping", "-i", "0.2", "10.2.1.2");
    for (const host of [one, two]) await dropped(host, "iifname eth0 numgen random mod 100 < 40");
    const fault = await named(
      one,
      /^The way to \S+ \(\S+\) loses packets: it failed \d+ times within a minute/,
      120_000,
    );
    assert.match(fault.fix!, new RegExp(`^.ping -i 0.2 -c 50 ${two.address}`));
    const { faults } = await examine(one);
    assert.doesNotMatch(JSON.stringify(faults), /firewall/);
    const check = JSON.parse((await one.attempt("check", two.address, "--json")).stdout) as CheckReport;
    assert.match(check.lines.find(({ what }) => what === "loss")!.text, /loses packets/);
  },
}));
