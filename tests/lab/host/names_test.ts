/** Names: given to containers, known on all hosts, gone with what they stand for. */
import assert from "node:assert/strict";
import type { AttachAnswer } from "../../../mod/control/api_types.ts";
import type { NameAnswer } from "../../../mod/control/name_types.ts";
import { NAME_SERVER_IP } from "../../../mod/core/name_leg.ts";
import { callDaemon } from "../../../mod/control/client.ts";
import { lookUp } from "../common/names.ts";
import { note } from "../common/notes.ts";
import type { Container } from "../common/container.ts";
import { Background, exec, FOLDER, ip, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host, World } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

async function ask<T>(host: Host, path: string, body: unknown): Promise<T> {
  return await callDaemon<T>({ method: "POST", path, body }, { runDir: host.runDir, timeoutMs: 30_000 });
}

/** Waits until all these hosts know exactly this of a name; gives the milliseconds that took. */
async function allKnow(hosts: readonly Host[], name: string, records: readonly string[]): Promise<number> {
  const started = performance.now();
  for (const host of hosts) {
    await until(`${host.netns} knows ${name} as ${records.join(" ") || "nothing"}`, async () => {
      return (await lookUp(host, name)).join() === [...records].sort().join();
    }, { ms: 20_000, everyMs: 5 });
  }
  return Math.round(performance.now() - started);
}

const everything = async (world: World) => {
  await world.upAll();
  for (const [i, container] of world.containers.entries()) {
    const host = world.host(i % 2 + 1);
    const body = {
      target: `netns:${container.netns}`,
      addresses: [`10.2.1.${i + 1}/24`],
      names: [`c${i + 1}`, "all"],
    };
    await ask(host, "/attach", body);
  }
  const all = world.containers.map((_, i) => `10.2.1.${i + 1}`);
  await allKnow(world.hosts, "all", all);
  for (const [i, address] of all.entries()) await allKnow(world.hosts, `c${i + 1}`, [address]);
};

declareTests(
  suite({
    name: "host kernel, names",
    open: () => hostWorld({ hosts: 2, containers: 3 }),
    prepare: everything,
  }, {
    "a container asks its host's name server for names of all hosts": async (world) => {
      for (const container of world.containers.slice(0, 2)) {
        const ask = (name: string) => container.exec("busybox", "nslookup", name, NAME_SERVER_IP);
        await until(`${container.netns} gets an answer`, async () => {
          return (await ask("all.mesh.internal").catch(() => "")).includes("10.2.1.");
        }, { ms: 20_000 });
        assert.match(await ask("c2.mesh.internal"), /10\.2\.1\.2/);
        assert.match(await ask("c3"), /10\.2\.1\.3/);
        await assert.rejects(ask("nobody.mesh.internal"), /NXDOMAIN/);
      }
      const { dns, problems } = await world.host(1).status();
      assert.deepEqual([dns?.address, problems], [NAME_SERVER_IP, []]);
    },
    "programs in a namespace find names by themselves, and its resolv.conf comes back as it was": async (
      world,
    ) => {
      const [one, host] = [world.container(1), world.host(1)];
      const inside = (...argv: readonly string[]) => exec(["ip", "netns", "exec", one.netns, ...argv], {});
      const file = `/etc/netns/${one.netns}/resolv.conf`;
      assert.match(await Deno.readTextFile(file), /^nameserver 169\.254\.53\.53\nsearch mesh\.internal/);
      assert.match(await inside("getent", "ahostsv4", "c2"), /^10\.2\.1\.2 .*c2\.mesh\.internal/);
      assert.match(await inside("getent", "ahostsv4", "all.mesh.internal"), /^10\.2\.1\./);
      await ask(host, "/detach", { target: `netns:${one.netns}`, addresses: [] });
      await assert.rejects(Deno.stat(file), Deno.errors.NotFound);
      const body = { target: `netns:${one.netns}`, addresses: ["10.2.1.1/24"], names: ["c1", "all"] };
      await ask(host, "/attach", { ...body, noDns: true });
      await assert.rejects(Deno.stat(file), Deno.errors.NotFound);
      await ask(host, "/attach", body);
      await Deno.stat(file);
      await ask(host, "/attach", { ...body, noDns: true });
      await assert.rejects(Deno.stat(file), Deno.errors.NotFound);
      await ask(host, "/attach", body);
      await Deno.writeTextFile(file, "nameserver 192.0.2.53\n");
      const edited = await ask<AttachAnswer>(host, "/detach", {
        target: `netns:${one.netns}`,
        addresses: [],
      });
      assert.match(edited.warnings.join(), /resolv\.conf stays, .* before, there was none/);
      await Deno.remove(file);
      await ask(host, "/attach", body);
    },
    "a process with a resolv.conf of its own finds names by itself, and gets it back": async (world) => {
      const [three, host] = [world.container(3), world.host(1)];
      const folder = Deno.makeTempDirSync({ dir: FOLDER, prefix: "own-" });
      using _gone = { [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }) };
      const file = `${folder}/resolv.conf`;
      const theirs = "nameserver 192.0.2.53\nsearch corp.example\n";
      const hosts = await Deno.readTextFile("/etc/resolv.conf");
      await Deno.writeTextFile(file, theirs);
      await ask(host, "/detach", { target: `netns:${three.netns}`, addresses: [] });
      const started = (mount: string) =>
        three.background(
          "unshare",
          "-m",
          "--propagation",
          "private",
          "sh",
          "-c",
          `${mount} && exec sleep 1000`,
        );
      const attach = (pid: number) =>
        ask<AttachAnswer>(host, "/attach", {
          target: `pid:${pid}`,
          addresses: ["10.2.1.9/24"],
          names: ["own"],
        });
      const detach = (pid: number) => ask(host, "/detach", { target: `pid:${pid}`, addresses: [] });
      const sleeps = ({ pid }: Background) =>
        until(
          "the process is there",
          async () => (await exec(["cat", `/proc/${pid}/comm`])).trim() === "sleep",
        );
      {
        await using own = started(`mount --bind ${file} /etc/resolv.conf`);
        await sleeps(own);
        assert.deepEqual((await attach(own.pid)).warnings, []);
        assert.match(
          await Deno.readTextFile(file),
          /^nameserver 169\.254\.53\.53\nsearch mesh\.internal corp\.example/,
        );
        const found = await exec(["nsenter", `--target=${own.pid}`, "-m", "-n", "getent", "ahostsv4", "c2"]);
        assert.match(found, /^10\.2\.1\.2 .*c2\.mesh\.internal/);
        await detach(own.pid);
        assert.equal(await Deno.readTextFile(file), theirs);
      }
      {
        await using shared = started("true"); // it sees the host's file
        await sleeps(shared);
        assert.deepEqual((await attach(shared.pid)).warnings, []);
        await detach(shared.pid);
      }
      {
        await using lasting = started(`mount --bind ${folder} /etc`); // a disk, or memory, of the host
        await sleeps(lasting);
        assert.match(
          (await attach(lasting.pid)).warnings.join(),
          /on a disk of this host, where it would outlive/,
        );
        assert.equal(await Deno.readTextFile(file), theirs);
        await detach(lasting.pid);
      }
      assert.equal(await Deno.readTextFile("/etc/resolv.conf"), hosts);
      const names = ["c3", "all"];
      await ask(host, "/attach", { target: `netns:${three.netns}`, addresses: ["10.2.1.3/24"], names });
    },
    "names outlive a daemon that is killed, and are taken back where it misses them": async (world) => {
      const [h1, h2] = [world.host(1), world.host(2)];
      await ask<NameAnswer>(h1, "/dns/add", { name: "db", records: ["192.0.2.7", "fd00::7"] });
      await allKnow([h2], "db", ["192.0.2.7", "fd00::7"]);
      h1.daemon.kill("SIGKILL");
      await h1.daemon.ended();
      const kept = () =>
        h2.run("dns", "list").then((list) => /^db .*h1 .*its host is away; kept for \d+ s/m.test(list));
      await until("the other host says that it keeps them", kept);
      await h1.up();
      await h1.established(1);
      await until("it does so no more", async () => !(await kept()));
      await allKnow([h1, h2], "db", ["192.0.2.7", "fd00::7"]);
      await allKnow([h1, h2], "all", ["10.2.1.1", "10.2.1.2", "10.2.1.3"]);
      for (const n of [1, 2, 3]) await allKnow([h1, h2], `c${n}`, [`10.2.1.${n}`]);
      const { dns } = await h1.status();
      assert.deepEqual([dns?.domain, dns?.entries, dns?.own], ["mesh.internal", 8, 6]);
    },
    "a name is known on the other host at once, and goes with detach, with its namespace and with its host":
      async (
        world,
      ) => {
        const [h1, h2] = [world.host(1), world.host(2)];
        const both = [h1, h2];
        await allKnow(both, "all", ["10.2.1.1", "10.2.1.2", "10.2.1.3"]);
        await ask<NameAnswer>(h1, "/dns/add", { name: "new", records: ["192.0.2.1"] });
        const ms = await allKnow([h2], "new", ["192.0.2.1"]);
        note(`a new name was known on the other host after ${ms} ms`);
        assert.ok(ms <= 1_000, `it took ${ms} ms`);

        const gone = world.container(3);
        await ip([`netns del ${gone.netns}`]);
        await allKnow(both, "all", ["10.2.1.1", "10.2.1.2"]);
        await ip([`netns add ${gone.netns}`]);
        await allKnow(both, "all", ["10.2.1.1", "10.2.1.2", "10.2.1.3"]);
        await ask(h1, "/detach", { target: `netns:${gone.netns}`, addresses: [] });
        await allKnow(both, "all", ["10.2.1.1", "10.2.1.2"]);
        await allKnow(both, "c3", []);

        h2.daemon.kill("SIGKILL");
        await h2.daemon.ended();
        await allKnow([h1], "all", ["10.2.1.1"]);

        const log = `${FOLDER}/${h1.netns}/process`;
        await using process = new Background(["unshare", "--net", "sleep", "60"], log, { netns: h1.netns });
        const known = ["self", h1.daemon.pid].map((pid) => Deno.readLinkSync(`/proc/${pid}/ns/net`));
        await until(
          "the process has a namespace of its own",
          () => !known.includes(Deno.readLinkSync(`/proc/${process.pid}/ns/net`)),
        );
        const body = { target: `pid:${process.pid}`, addresses: ["10.2.1.9/24"], names: ["process"] };
        await ask(h1, "/attach", body);
        await allKnow([h1], "process", ["10.2.1.9"]);
        process.kill("SIGKILL");
        await allKnow([h1], "process", []);
      },
    "hosts with two domains: status of both names the other one once, until they have the same": async (
      world,
    ) => {
      const [h1, h2] = [world.host(1), world.host(2)];
      const again = async (...options: readonly string[]) => {
        h2.daemon.kill("SIGKILL");
        await h2.daemon.ended();
        await h2.up(...options);
        await h2.established(1);
      };
      const told = async (host: Host) =>
        (await host.status()).problems.map(({ message }) => message).filter((text) =>
          /are not below/.test(text)
        );
      await again("--dns-domain", "other.internal");
      for (
        const [host, other, example] of [[h1, h2, /\.other\.internal/], [h2, h1, /\.mesh\.internal/]] as const
      ) {
        await until(`${host.netns} tells`, async () => (await told(host)).length === 1);
        const [text] = await told(host);
        assert.ok(text!.startsWith(`Names of ${other.netns} are not below `));
        assert.match(text!, example);
      }
      // What host 2 no longer tells goes ten seconds after it is back.
      await until("the name is gone", async () => (await lookUp(h1, "c2")).length === 0);
      const { code, stderr } = await h1.attempt("dns", "lookup", "c2");
      assert.equal(code, 1);
      assert.doesNotMatch(stderr, /other\.internal/);
      await again();
      for (const host of [h1, h2]) {
        await until(`${host.netns} has nothing to tell`, async () => (await told(host)).length === 0);
      }
    },
    "--no-dns: no names, no place where containers would ask, and no file of theirs changed": async (
      world,
    ) => {
      const [host, container] = [world.host(2), world.container(2)];
      const file = `/etc/netns/${container.netns}/resolv.conf`;
      if (host.daemon.code === undefined) await host.run("down");
      await host.daemon.ended();
      await Deno.stat(file); // of the run before
      await host.up("--no-dns");
      await assert.rejects(Deno.stat(file), Deno.errors.NotFound);
      const links = await exec(["ip", "-br", "link"], { netns: host.netns });
      assert.ok(!links.includes("mesh-dns"), links);
      const { dns, problems } = await host.status();
      assert.deepEqual([dns, problems], [null, []]);
      for (
        const args of [["dns", "list"], ["dns", "add", "x", "192.0.2.1"], [
          ...["attach", "--name", "x", "10.2.1.2/24", `netns:${container.netns}`],
        ]]
      ) {
        const { code, stderr } = await host.attempt(...args);
        assert.equal(code, 1);
        assert.match(stderr, /--no-dns/);
      }
      await host.run("attach", "10.2.1.2/24", `netns:${container.netns}`);
      await assert.rejects(Deno.stat(file), Deno.errors.NotFound);
    },
  }),
);

/** Asks the three web servers by name, from a container, so many times; how often each answered. */
async function fetchWeb(from: Container, times: number): Promise<ReadonlyMap<string, number>> {
  const loop = `for i in $(seq ${times}); do curl -sS --connect-timeout 2 http://web/ || echo failed; done`;
  const text = await exec(["ip", "netns", "exec", from.netns, "sh", "-c", loop], {});
  const answers = text.split("\n").filter(Boolean);
  return new Map([...new Set(answers)].map((each) => [each, answers.filter((one) => one === each).length]));
}

declareTests(
  suite({
    name: "host kernel, three web servers",
    open: () => hostWorld({ hosts: 3, containers: 6 }),
    prepare: (world) => world.upAll(),
  }, {
    "curl http://web/ reaches one of three by name from everywhere, also when one and then its host is killed":
      async (
        world,
      ) => {
        await using servers = new AsyncDisposableStack();
        const folder = await Deno.makeTempDir({ dir: FOLDER });
        servers.defer(() => Deno.remove(folder, { recursive: true }));
        const [web, clients] = [world.containers.slice(0, 3), world.containers.slice(3)];
        const processes: Background[] = [];
        for (const [i, container] of world.containers.entries()) {
          const names = i < 3 ? ["web"] : [];
          const body = { target: `netns:${container.netns}`, addresses: [`10.2.1.${i + 1}/24`], names };
          await ask(world.host(i % 3 + 1), "/attach", body);
          if (i >= 3) continue;
          Deno.mkdirSync(`${folder}/${i}`);
          Deno.writeTextFileSync(`${folder}/${i}/index.html`, `web${i + 1}\n`);
          processes.push(servers.use(container.background("busybox", "httpd", "-f", "-h", `${folder}/${i}`)));
        }
        await allKnow(world.hosts, "web", ["10.2.1.1", "10.2.1.2", "10.2.1.3"]);
        await until("all web servers answer", async () => {
          const all = await Promise.all(clients.map((client) => fetchWeb(client, 8)));
          return all.every((answers) => !answers.has("failed"));
        }, { ms: 20_000 });
        for (const client of clients) {
          const answers = await fetchWeb(client, 40);
          note(`${client.netns}: ${JSON.stringify([...answers].sort())}`);
          assert.deepEqual([...answers.keys()].sort(), ["web1", "web2", "web3"]);
          for (const count of answers.values()) assert.ok(count >= 3, "each gets its share");
        }

        processes[2]!.kill("SIGKILL");
        await ip([`netns del ${web[2]!.netns}`]);
        await allKnow(world.hosts.slice(0, 2), "web", ["10.2.1.1", "10.2.1.2"]);
        for (const client of clients) assert.equal((await fetchWeb(client, 15)).get("failed"), undefined);

        world.host(3).daemon.kill("SIGKILL");
        await ip(["link set p3 down"], world.fabric);
        for (const client of clients.slice(0, 2)) {
          assert.equal((await fetchWeb(client, 15)).get("failed"), undefined);
        }
      },
  }),
);
