/** Faults of the network around a host: the doctor names each, what names it mends it, and nothing is named where all is well. */
import assert from "node:assert/strict";
import { examine, healthy, mend, named } from "../common/doctor.ts";
import { Background, exec, FOLDER, ip, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host, World } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

const NAME = "www.example.com";
const TARGET = "192.0.2.80";
const ASKED = "127.0.0.1";

/** The name server of somebody else, on a host. */
function otherServer(host: Host): Background {
  const program = new URL("../common/name_server.ts", import.meta.url).pathname;
  const log = Deno.makeTempFileSync({ dir: FOLDER, prefix: `${host.netns}-` });
  return new Background(
    [Deno.execPath(), "run", "-A", "--no-config", "--unstable-net", program, host.address, NAME, TARGET],
    log,
    {
      netns: host.netns,
    },
  );
}

/** What a host's own name server answers to a question about a name of others. */
async function lookUp(host: Host, name = NAME): Promise<string> {
  const script = `console.log(await Deno.resolveDns("${name}", "A", { nameServer: { ipAddr: "${ASKED}" } })` +
    `.then((all) => all.join(), (error) => error.name))`;
  return (await exec([Deno.execPath(), "eval", script], { netns: host.netns })).trim();
}

/** The MAC address of an interface of a host. */
async function macOf({ netns }: Host, name: string): Promise<string> {
  const [link] = JSON.parse(await exec(["ip", "-j", "link", "show", "dev", name], { netns }));
  return link.address;
}

/** Sets the kernel's setting for packets that come from elsewhere, for all interfaces alike. */
async function filterReversePaths({ netns }: Host, value: 0 | 1): Promise<void> {
  for (const name of ["all", "default", "eth0", "eth1"]) {
    await exec(["sysctl", "-qew", `net.ipv4.conf.${name}.rp_filter=${name === "all" ? value : 0}`], {
      netns,
    });
  }
}

declareTests(suite({
  name: "host kernel, doctor, ways",
  open: () => hostWorld({ hosts: 3, containers: 0, upOptions: ["--datapath", "bridge"] }),
}, {
  "another machine has this host's address: its MAC address is named": async (world) => {
    const [one, two, three] = world.hosts as [Host, Host, Host];
    await one.up();
    await two.up("--peers", one.address);
    for (const host of [one, two]) await host.established();
    await healthy([one, two]);
    const theirs = await macOf(three, "eth0");
    await ip([`addr add ${one.address}/32 dev eth0`], three.netns);
    const words = `Another machine has this host's address ${one.address} \\(eth0\\), too: ${theirs} answers`;
    const fault = await named(one, new RegExp(words));
    assert.ok(fault.fix!.includes(theirs));
    assert.doesNotMatch(JSON.stringify((await examine(two)).faults), /has this host's address/);
    await ip([`addr del ${one.address}/32 dev eth0`], three.netns);
    await ip(["neigh flush dev eth0"], two.netns);
    await healthy([one, two]);
    for (const host of [one, two]) await host.run("reset");
  },
  "packets come in where the way back does not lead out, and a strict kernel drops them: the fix lets them in":
    async (world: World) => {
      const [one, two] = world.hosts as [Host, Host];
      const { fabric } = world;
      await ip([`link add eth1 netns ${one.netns} type veth peer name second netns ${fabric}`], fabric);
      await ip(["link set second master br0 up"], fabric);
      await ip(["addr add 192.168.60.1/24 dev eth1", "link set eth1 up"], one.netns);
      await filterReversePaths(one, 1);
      await one.up();
      await two.up("--peers", one.address);
      for (const host of [one, two]) await host.established();
      await healthy([one, two]); // that it is strict is no fault
      const mac = await macOf(one, "eth1");
      await ip([`neigh replace ${one.address} lladdr ${mac} nud permanent dev eth0`], two.netns);
      const fault = await named(
        one,
        /drops what \S*h2 \(192\.168\.50\.2\) sends, as it arrives at eth1 and the route there leads out of eth0: net\.ipv4\.conf\.all\.rp_filter is 1/,
        60_000,
      );
      await mend(one, fault);
      await healthy([one, two]);
      for (const host of [one, two]) await host.run("reset");
      await ip([`neigh del ${one.address} dev eth0`], two.netns);
      await ip(["link del eth1"], one.netns);
      await filterReversePaths(one, 0);
    },
  "a name server of others dies: it is named, once somebody has asked it, until it answers again": async (
    world,
  ) => {
    const [one, two] = world.hosts as [Host, Host];
    const file = `${FOLDER}/${one.netns}/resolv.conf`;
    Deno.writeTextFileSync(file, `nameserver ${two.address}\n`);
    await one.up("--dns-listen", ASKED, "--resolv-conf", file);
    await healthy([one]); // nobody answers there, and nobody wants to know
    const words = (why: string) =>
      new RegExp(
        `Names outside the mesh are not found: the name server ${two.address}, of ${file}, does not answer ` +
          `\\(asked in vain for .*\\n.*${why}`,
      );
    {
      await using _server = otherServer(two);
      await until("it answers", async () => await lookUp(one) === TARGET);
      await healthy([one]);
    }
    assert.notEqual(await lookUp(one, "gone.example.com"), TARGET);
    await named(one, words("nothing listens there"));
    const { code, stdout } = await one.attempt("status", "--check");
    assert.equal(code, 4, stdout);
    assert.match(
      await one.run("status", "dns"),
      /Upstream .*192\.168\.50\.2:53 \(no answer for \d+ s\)/,
    );
    await using _again = otherServer(two);
    await until("it answers again", async () => await lookUp(one) === TARGET);
    await healthy([one]);
    await exec(["nft", "-f", "-"], {
      netns: two.netns,
      input: "add table inet block\nadd chain inet block in { type filter hook input priority 0; }\n" +
        "add rule inet block in udp dport 53 drop\n",
    });
    await named(one, words("dig @192\\.168\\.50\\.2 \\. NS"));
    await exec(["nft", "delete", "table", "inet", "block"], { netns: two.netns });
    await healthy([one]);
    await one.run("reset");
  },
}));
