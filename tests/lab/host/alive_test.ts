/** Who is dead, who hangs and who restarts: what the other hosts make of it, for names and for traffic. */
import assert from "node:assert/strict";
import { callDaemon } from "../../../mod/control/client.ts";
import { NAME_SERVER_IP } from "../../../mod/core/name_leg.ts";
import type { Container } from "../common/container.ts";
import { lookUp } from "../common/names.ts";
import { note } from "../common/notes.ts";
import { FOLDER, ip, pause, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host, World } from "../common/world.ts";
import { declareTests, hostWorld, OVERLAY } from "./host_lab.ts";

async function attach(host: Host, container: Container, address: string, names: readonly string[]) {
  const body = { target: `netns:${container.netns}`, addresses: [`${address}/24`], names };
  await callDaemon({ method: "POST", path: "/attach", body }, { runDir: host.runDir, timeoutMs: 20_000 });
  container.addresses = [address];
}

/** Container n on host n, called `cN`, and those of hosts 1 and 2 also `both`. */
async function named(world: World): Promise<void> {
  for (const [i, host] of world.hosts.entries()) {
    const names = i < 2 ? [`c${i + 1}`, "both"] : [`c${i + 1}`];
    await attach(host, world.container(i + 1), `10.2.1.${i + 1}`, names);
  }
  for (const host of world.hosts) {
    for (const i of world.hosts.keys()) {
      await until(
        `${host.netns} knows c${i + 1}`,
        async () => (await lookUp(host, `c${i + 1}`)).length === 1,
      );
    }
  }
}

/** Asks for a name from a container, about twenty times a second, until stopped: how many answers there were, and how many
 * questions had none. */
async function asking(from: Container, name: string) {
  const stop = `${FOLDER}/${from.netns}-stop`;
  const loop = `until [ -e ${stop} ]; do ` +
    `busybox nslookup ${name}.mesh.internal. ${NAME_SERVER_IP} >/dev/null 2>&1 && echo yes || echo no; sleep 0.05; done`;
  const program = from.background("sh", "-c", loop);
  await until("names are asked for", () => program.output().includes("yes"));
  return {
    count: () => program.output().split("\n").filter((line) => line === "yes").length,
    async [Symbol.asyncDispose]() {
      await Deno.writeTextFile(stop, "");
      await program.ended();
      await Deno.remove(stop);
    },
    async result() {
      await Deno.writeTextFile(stop, "");
      await program.ended();
      const lines = program.output().split("\n");
      return {
        yes: lines.filter((line) => line === "yes").length,
        no: lines.filter((line) => line === "no").length,
      };
    },
  };
}

/** Milliseconds until a host answers nothing for a name any more. */
async function forgotten(host: Host, name: string, ms: number): Promise<number> {
  const began = performance.now();
  await until(`${host.netns} forgets ${name}`, async () => (await lookUp(host, name)).length === 0, {
    ...{ ms, everyMs: 50 },
  });
  return Math.round(performance.now() - began);
}

declareTests(
  suite({
    name: "host kernel, alive",
    open: () => hostWorld({ hosts: 2, containers: 2 }),
    async prepare(world) {
      await world.upAll();
      await named(world);
    },
  }, {
    "names of a host stay while its daemon restarts, in order and after kill -9": async (world) => {
      const [one, two] = [world.host(1), world.host(2)];
      await using asked = await asking(world.container(1), "c2");
      for (const signal of ["SIGTERM", "SIGKILL"] as const) {
        two.daemon.kill(signal);
        await two.daemon.ended();
        const before = asked.count();
        await until("the name was asked for while the daemon is away", () => asked.count() > before + 20);
        await until("host 1 knows that it is away", async () => {
          return (await one.status()).connections.every(({ state }) => state !== "established");
        });
        assert.deepEqual(await lookUp(one, "both"), ["10.2.1.1"], "who is connected comes first");
        await two.up("--peers", one.address);
        await one.established();
        await until("both targets are answered again", async () => (await lookUp(one, "both")).length === 2);
      }
      const { no, yes } = await asked.result();
      note(`${yes} look-ups were answered`);
      assert.equal(no, 0, `${no} of ${yes + no} look-ups had no answer`);
    },
    "a daemon that hangs: its containers are reached as before, by name, and the others say so": async (
      world,
    ) => {
      const [one, two] = [world.host(1), world.host(2)];
      const [from, to] = world.containers;
      await from!.mustPing(to!.address, "-c", "3", "-i", "0.1", "-W", "3");
      await using pinging = from!.background("ping", "-n", "-i", "0.1", "-W", "1", to!.address);
      const answers = () => pinging.output().split("\n").filter((line) => line.includes("bytes from")).length;
      await using asked = await asking(from!, "c2");
      // Under traffic both ends promise heartbeats every 800 ms; a daemon that has just begun has promised nothing.
      await until("traffic is watched", () => answers() > 50);
      const began = performance.now();
      const since = () => `${Math.round(performance.now() - began)} ms`;
      two.daemon.kill("SIGSTOP");
      try {
        const said = await until("host 1 says that the daemon there hangs", async () => {
          const { connections } = await one.status();
          return connections.find(({ info }) => info.includes("does not answer"));
        }, { ms: 60_000 }); // a link that was idle is patient for half a minute
        note(`it was said ${since()} after the daemon was stopped`);
        assert.equal(said.overlay, OVERLAY);
        const { code, stdout } = await one.attempt("status", "--check");
        assert.equal(code, 4, stdout);
        const there = await two.attempt("status");
        assert.match(there.stderr, /^waiting: the daemon has not answered for 2 s\n/);
        assert.match(there.stderr, /does not answer within 5 s: a signal or a debugger has stopped it/);
        const [before, known] = [answers(), asked.count()];
        await until(
          "pings and look-ups went on",
          () => answers() > before + 100 && asked.count() > known + 20,
        );
      } finally {
        note(`it went on ${since()} after it was stopped`);
        two.daemon.kill("SIGCONT");
      }
      await until("host 1 hears it again", async () => {
        const { connections } = await one.status();
        return connections.some(({ info, state }) =>
          state === "established" && !info.includes("does not answer")
        );
      });
      note(`it was heard again ${since()} after it was stopped`);
      const now = answers();
      await until("pings go on", () => answers() > now + 50);
      pinging.kill("SIGINT");
      await pinging.ended();
      const [, sent, received] = /([0-9]+) packets transmitted, ([0-9]+) received/.exec(pinging.output())!;
      const lost = Number(sent) - Number(received);
      note(`${lost} of ${sent} pings were lost`);
      assert.ok(lost <= 50, `${lost} of ${sent} pings were lost`); // all of several hundred, if the tunnel were left
      const { no } = await asked.result();
      assert.equal(no, 0);
    },
    "names of a host that is reset go at once": async (world) => {
      const [one, two] = [world.host(1), world.host(2)];
      await two.run("reset", "--yes");
      note(`they went ${await forgotten(one, "c2", 5_000)} ms after the command`);
      await two.up("--peers", one.address);
      await one.established();
      await attach(two, world.container(2), "10.2.1.2", ["c2", "both"]);
      await until("the name is back", async () => (await lookUp(one, "c2")).length === 1);
    },
  }),
  suite({
    name: "host kernel, alive, sealed user-space links",
    open: () => hostWorld({ hosts: 3, containers: 3 }),
    async prepare(world) {
      const file = `${FOLDER}/${world.host(1).netns}/password`;
      await Deno.writeTextFile(file, "a secret\n", { mode: 0o600 });
      await world.upAll("--password-file", file);
      await named(world);
    },
  }, {
    "a host whose cable is out loses its names on idle links, and comes back": async (world) => {
      const [one, two] = world.hosts;
      await pause(6_000); // nothing is sent by then, and nobody watches the links closely any more
      await ip(["link set p3 down"], world.fabric);
      const took = await Promise.all([one!, two!].map((host) => forgotten(host, "c3", 25_000))); // fifteen seconds, on an idle machine
      note(`idle links lost a dead host after ${took.join(" and ")} ms`);
      await ip(["link set p3 up"], world.fabric);
      for (const host of [one!, two!]) {
        await until(`${host.netns} knows c3`, async () => (await lookUp(host, "c3")).length === 1, {
          ms: 60_000,
        });
      }
    },
  }),
);
