/** Real resolvers of clients: what they make of our answers. They sort in a namespace with IPv6 only, as containers have. */
import assert from "node:assert/strict";
import { callDaemon } from "../../../mod/control/client.ts";
import { NAME_SERVER_IP } from "../../../mod/core/name_leg.ts";
import type { Container } from "../common/container.ts";
import { note } from "../common/notes.ts";
import { exec, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

const LOOKUPS = 400;
/** Even draws exceed these once in a million runs: chi-square, by degrees of freedom. */
const UNLIKELY: Readonly<Record<number, number>> = { 2: 27.7, 4: 33.4, 19: 62.2 };
/** From the client's neighbour to the other end of its network: glibc sorts all of these differently. */
const TARGETS = [
  ...[
    "10.40.0.6",
    "10.40.0.9",
    "10.40.1.5",
    "10.40.8.8",
    "10.41.0.1",
    "10.44.0.1",
    "10.46.7.7",
    "10.47.255.9",
  ],
  ...[
    "10.32.0.1",
    "10.33.9.9",
    "10.34.0.5",
    "10.35.1.1",
    "10.36.4.4",
    "10.37.0.7",
    "10.38.2.2",
    "10.39.255.1",
  ],
  ...["10.40.0.40", "10.40.0.21", "10.42.0.3", "10.43.3.3"],
];

/** Which target each look-up would connect to. */
type Client = (container: Container, name: string) => Promise<readonly string[]>;

/** getaddrinfo of glibc, which C, Python, Node, Java and curl use, with the resolv.conf that attaching wrote. */
const glibc: Client = async ({ netns }, name) => {
  const names = Array.from({ length: LOOKUPS }, () => name);
  const text = await exec(["ip", "netns", "exec", netns, "getent", "ahosts", ...names]);
  // The first line of each look-up has the name.
  return text.split("\n").flatMap((line) => /^(\S+)\s+STREAM\s+\S/.exec(line)?.[1] ?? []);
};

/** A resolver that takes answers as they come, as those of Go, musl and c-ares do. */
const inOrder: Client = async ({ netns }, name) => {
  const code = `const [name, ipAddr, count] = Deno.args;
    const all = Array.from({ length: Number(count) }, () => Deno.resolveDns(name, "A", { nameServer: { ipAddr } }));
    console.log((await Promise.all(all)).map(([first]) => first).join("\\n"));`;
  const script = Deno.makeTempFileSync({ prefix: "meshnet-resolve-", suffix: ".js" });
  try {
    Deno.writeTextFileSync(script, code);
    const argv = [
      Deno.execPath(),
      "run",
      "-A",
      "--no-config",
      script,
      `${name}.`,
      NAME_SERVER_IP,
      `${LOOKUPS}`,
    ];
    return (await exec(argv, { netns })).trim().split("\n");
  } finally {
    Deno.removeSync(script);
  }
};

/** How far counts are from even ones. */
function chiSquare(picked: readonly string[], targets: readonly string[]): number {
  const expected = picked.length / targets.length;
  return targets.reduce((sum, target) => {
    const count = picked.filter((each) => each === target).length;
    return sum + (count - expected) ** 2 / expected;
  }, 0);
}

async function prepare(world: World): Promise<void> {
  const [host, container] = [world.host(1), world.container(1)];
  await host.up();
  await host.attach(container, "10.40.0.5/12");
  for (const count of [3, 5, 20]) {
    await add(world, `far${count}`, TARGETS.slice(0, count));
    await add(world, `sorted${count}`, TARGETS.slice(0, count), "random");
  }
  await until("the container has an IPv6 address, and an answer", async () => {
    assert.match(await container.exec("ip", "-6", "address", "show", "scope", "link"), /inet6 fe80/);
    return (await container.exec("busybox", "nslookup", "far3.mesh.internal", NAME_SERVER_IP)).includes(
      "10.40.",
    );
  }, { ms: 20_000 });
}

async function add(world: World, name: string, records: readonly string[], order?: string): Promise<void> {
  const body = { name, records, ...order === undefined ? {} : { order } };
  await callDaemon({ method: "POST", path: "/dns/add", body }, {
    ...{ runDir: world.host(1).runDir, timeoutMs: 30_000 },
  });
}

declareTests(
  suite({ name: "host kernel, resolvers", open: () => hostWorld({ hosts: 1, containers: 1 }), prepare }, {
    "clients that sort answers use all targets alike": async (world) => {
      const client = world.container(1);
      for (const count of [3, 5, 20]) {
        const targets = TARGETS.slice(0, count);
        const nearest = await glibc(client, `sorted${count}`);
        assert.equal(nearest.length, LOOKUPS);
        assert.deepEqual(new Set(nearest).size, 1, "this client does not sort, so the rest proves nothing");
        const picked = await glibc(client, `far${count}`);
        const far = chiSquare(picked, targets);
        note(`glibc, ${count} targets: chi-square ${far.toFixed(1)}`);
        assert.equal(picked.length, LOOKUPS);
        assert.ok(far < UNLIKELY[count - 1]!, `chi-square is ${far.toFixed(1)}: ${picked.toSorted()}`);
      }
    },
    "clients that take answers as they come use all targets alike": async (world) => {
      for (const count of [3, 20]) {
        const picked = await inOrder(world.container(1), `far${count}.mesh.internal`);
        const far = chiSquare(picked, TARGETS.slice(0, count));
        note(`in order, ${count} targets: chi-square ${far.toFixed(1)}`);
        assert.equal(picked.length, LOOKUPS);
        assert.ok(far < UNLIKELY[count - 1]!, `chi-square is ${far.toFixed(1)}: ${picked.toSorted()}`);
      }
    },
  }),
);
