/** Questions where the host tracks connections, as it does with Docker: none is lost, and none fills its table. */
import assert from "node:assert/strict";
import { NAME_SERVER_IP } from "../../../mod/core/name_leg.ts";
import { callDaemon } from "../../../mod/control/client.ts";
import { note } from "../common/notes.ts";
import { exec } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { BRIDGE, declareTests, hostWorld } from "./host_lab.ts";

const PAIRS = 2_000;

/** Asks for A and AAAA at once by one socket, as resolvers do, with a new socket for each pair. */
const CLIENT = `const [ip, pairs] = Deno.args;
const name = (text) => text.split(".").flatMap((label) => [label.length, ...new TextEncoder().encode(label)]);
const question = (id, type) => Uint8Array.from(
  [id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...name("web.mesh.internal"), 0, 0, type, 0, 1]);
let [answered, late] = [0, 0];
async function pair() {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: 0 });
  const to = { transport: "udp", hostname: ip, port: 53 };
  const heard = (async () => { for (let i = 0; i < 2; i++) { await socket.receive(); answered++; } })();
  await Promise.all([socket.send(question(1, 1), to), socket.send(question(2, 28), to)]);
  const timer = setTimeout(() => { late++; socket.close(); }, 20000);
  await heard.catch(() => {});
  clearTimeout(timer);
  try { socket.close(); } catch { /* it is */ }
}
for (let done = 0; done < Number(pairs); done += 20) await Promise.all(Array.from({ length: 20 }, pair));
console.log(JSON.stringify({ answered, late }));`;

async function track(world: World): Promise<void> {
  const [host, container] = [world.host(1), world.container(1)];
  await exec([
    "nft",
    "add table ip track; add chain ip track c { type filter hook forward priority 0; }; " +
    "add rule ip track c ct state established accept",
  ], { netns: host.netns });
  await exec(["sh", "-c", "echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables"], { netns: host.netns });
  await host.up();
  await host.attach(container, "10.2.1.1/24");
  const body = { name: "web", records: ["10.2.1.9"], order: null };
  await callDaemon({ method: "POST", path: "/dns/add", body }, { runDir: host.runDir, timeoutMs: 30_000 });
}

declareTests(
  suite(
    {
      name: "host kernel, tracking",
      open: () => hostWorld({ ...BRIDGE, hosts: 1, containers: 1 }),
      prepare: track,
    },
    {
      "pairs of questions by one socket are all answered, where the host tracks what crosses bridges": async (
        world,
      ) => {
        const [host, container] = [world.host(1), world.container(1)];
        const script = Deno.makeTempFileSync({ prefix: "meshnet-pairs-", suffix: ".js" });
        Deno.writeTextFileSync(script, CLIENT);
        const argv = [
          Deno.execPath(),
          "run",
          "-A",
          "--unstable-net",
          "--no-config",
          script,
          NAME_SERVER_IP,
          `${PAIRS}`,
        ];
        const { answered, late } = JSON.parse(await container.exec(...argv));
        Deno.removeSync(script);
        const table = await exec(["cat", "/proc/net/nf_conntrack"], { netns: host.netns });
        const lines = table.split("\n").filter((line) => line.includes("dport=53 "));
        note(
          `${answered} answers, ${late} late; the host tracks ${lines.length} connections: ${lines[0] ?? ""}`,
        );
        assert.ok(lines.length > 0, "else this proves nothing");
        assert.deepEqual({ answered, late }, { answered: 2 * PAIRS, late: 0 });
      },
    },
  ),
);
