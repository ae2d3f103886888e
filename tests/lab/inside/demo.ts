/** The demonstration: three hosts and a container on each, shown by the commands that a user would type. */
import { type Host, World } from "../common/world.ts";
import { listDatapaths } from "../common/kernel_flows.ts";
import { links } from "../common/links.ts";
import { exec } from "../common/process.ts";

const lines = Deno.env.get("UML_LINES");
/** What the daemons will find to move frames with. */
const datapath = Deno.env.get("DEMO_DATAPATH") === "bridge" ? "bridge" : "ovs";

/** Shows text to the person who watches. */
function say(text = ""): void {
  if (lines === undefined) return console.log(text);
  using file = Deno.openSync(lines, { append: true });
  file.writeSync(new TextEncoder().encode(`${text}\n`));
  file.syncSync(); // the reader is outside this kernel
}

/** Shows a command and what it prints. */
async function show(where: string, command: readonly string[], run: () => Promise<string>): Promise<void> {
  say(`${where}# ${command.join(" ")}`);
  const text = (await run()).trimEnd();
  if (text !== "") say(text.split("\n").map((line) => `    ${line}`).join("\n"));
}

/** Makes the hosts, tells the story, and removes them; what they had to say is shown when it goes wrong. */
async function demonstrate(): Promise<void> {
  await using world = await World.create({
    ...{ hosts: 3, containers: 3, prefix: "demo-", openvswitch: datapath === "ovs" },
  });
  try {
    await tell(world);
  } catch (error) {
    say(await world.explain());
    throw error;
  }
}

async function tell(world: World): Promise<void> {
  const [first] = world.hosts;
  for (const [i, host] of world.hosts.entries()) {
    const options = i === 0 ? [] : ["--peers", first!.address];
    say(`${host.netns}# ${["meshnet", ...host.upCommand(...options)].join(" ")} &`);
    host.start(...options);
  }
  for (const host of world.hosts) await host.established(2, 120_000);
  for (const [i, host] of world.hosts.entries()) {
    const command = ["attach", `10.2.1.${i + 1}/24`, `netns:${world.container(i + 1).netns}`];
    await show(host.netns, ["meshnet", ...command], () => host.run(...command));
  }
  const [one, two, three] = world.containers;
  await show(
    one!.netns,
    ["ping", "-c", "3", "10.2.1.2"],
    async () => (await one!.mustPing("10.2.1.2", "-c", "3", "-i", "0.2")).text,
  );
  await show(
    three!.netns,
    ["ping", "-c", "3", "10.2.1.1"],
    async () => (await three!.mustPing("10.2.1.1", "-c", "3", "-i", "0.2")).text,
  );
  two!.addresses = ["10.2.1.2"];
  const rate = await one!.iperf(two!, 2);
  say(`${one!.netns}# iperf3 -c 10.2.1.2 -t 2\n    ${(rate / 1e9).toFixed(2)} Gbit/s`);
  await show(first!.netns, ["meshnet", "status"], () => first!.run("status"));
  await show(first!.netns, ["meshnet", "status", "connections"], () => first!.run("status", "connections"));
  if (datapath === "ovs") await showFlows(first!);
  else await showPorts(first!);
  for (const host of world.hosts) await show(host.netns, ["meshnet", "reset"], () => host.run("reset"));
  for (const host of world.hosts) {
    const left = (await links(host.netns)).map((link) => link.ifname).filter((name) =>
      !/^(lo|eth0)$/.test(name)
    );
    const datapaths = datapath === "ovs" ? await listDatapaths(host.netns) : [];
    if (left.length + datapaths.length > 0) {
      throw new Error(`Left on ${host.netns}: ${[...left, ...datapaths]}`);
    }
  }
  say("Nothing of it is left on the hosts.");
}

/** What the kernel does by itself. */
async function showFlows(host: Host): Promise<void> {
  const flows = (await host.flows()).filter((flow) => flow.packets > 1 && !/dst=(33:33|ff:ff)/.test(flow.key))
    .map((flow) => `${flow.key} -> ${flow.actions}`);
  await show(host.netns, ["ovs-dpctl", "dump-flows"], () => Promise.resolve(flows.slice(0, 4).join("\n")));
}

/** What hangs on the bridge: the container's host end, and the TAP that leads to the daemon. */
async function showPorts(host: Host): Promise<void> {
  const command = ["ip", "-br", "link", "show", "master", "meshnet"];
  await show(host.netns, command, () => exec(command, { netns: host.netns }));
}

const started = performance.now();
try {
  say(
    "Three hosts: network namespaces, with a daemon each, started from a copy of dist/meshnet alone in a folder.",
  );
  say("They are given names, since by itself meshnet makes one of the machine's id, which they share.\n");
  await demonstrate();
  say(`\nDone in ${((performance.now() - started) / 1000).toFixed(0)} s.`);
} catch (error) {
  say(`\nThe demonstration failed: ${error instanceof Error ? error.message : error}`);
  if (lines !== undefined) say("failed");
  Deno.exit(1);
}
if (lines !== undefined) say("done");
Deno.exit(0);
