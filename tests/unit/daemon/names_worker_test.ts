import assert from "node:assert/strict";
import { formatEndpoint, type Ip } from "../../../mod/core/addr.ts";
import { MAX_PROGRAMS } from "../../../mod/dns/thread/programs_shell.ts";
import { exists } from "../../../mod/tasks/run.ts";
import { framed } from "../../../mod/dns/thread/frames.ts";
import { query } from "../dns/server_bench.ts";
import { decodeReference, type ReferenceMessage } from "../wire/dns/dns_packet.ts";
import { askUdp, dataOf, freePort, LOOPBACK, NamesTrial, OtherServer, soon, Taken } from "./names_bench.ts";

const ANSWER: ReferenceMessage = {
  answers: [{ name: "www.example.com", type: "A", ttl: 300, data: "192.0.2.1" }],
};

/** Messages that come on a connection until it ends, or until there are so many. */
async function read(connection: Deno.TcpConn, count: number): Promise<string[]> {
  const bytes: number[] = [];
  const buffer = new Uint8Array(65_536);
  const answers: string[] = [];
  while (answers.length < count) {
    const length = await soon("an answer over TCP", connection.read(buffer));
    if (length === null) break;
    bytes.push(...buffer.subarray(0, length));
    for (let end = 0; bytes.length >= 2; bytes.splice(0, end)) {
      end = 2 + (bytes[0]! << 8 | bytes[1]!);
      if (bytes.length < end) break;
      answers.push(dataOf(decodeReference(Uint8Array.from(bytes.slice(2, end)))));
    }
  }
  return answers;
}

Deno.test("the name server's thread answers over UDP and TCP, and follows changes", async () => {
  await using trial = new NamesTrial();
  trial.add("web.mesh.internal.", 0x0a20_0001);
  const server = await trial.listen();
  assert.equal(dataOf(await askUdp(server, { name: "WEB.mesh.internal" })), "NOERROR 10.32.0.1");
  assert.equal(dataOf(await askUdp(server, { name: "db.mesh.internal" })), "NXDOMAIN");
  trial.add("db.mesh.internal.", 0x0a20_0002);
  await trial.service.report();
  const connection = await Deno.connect({ hostname: server.ip, port: server.port });
  const names = ["db.mesh.internal", "web", "nobody"];
  await connection.write(Uint8Array.from(names.flatMap((name) => [...framed(query({ name }))])));
  assert.deepEqual(await read(connection, 3), ["NOERROR 10.32.0.2", "NOERROR 10.32.0.1", "NXDOMAIN"]);
  connection.close();
  const { counters, names: known } = await trial.service.report();
  assert.equal(known, 2);
  assert.deepEqual([counters.queries, counters.answered, counters.unknown], [5, 5, 2]);
});

Deno.test("the name server's thread answers over IPv6, at all addresses as at one", async () => {
  await using trial = new NamesTrial();
  trial.add("web.mesh.internal.", 0x0a20_0001);
  const [{ port }, other] = [freePort(), freePort()];
  const all = ["::", "::1", LOOPBACK].map((ip, i) => ({ ip: ip as Ip, port: i === 1 ? other.port : port }));
  trial.service.listen(all); // over IPv6 alone: the same port is free for IPv4
  await trial.until((states) => states.length === 3 && states.every(({ state }) => state === "listening"));
  for (const server of [{ ip: "::1" as Ip, port }, all[1]!, all[2]!]) {
    assert.equal(dataOf(await askUdp(server, { name: "web.mesh.internal" })), "NOERROR 10.32.0.1");
    const connection = await Deno.connect({ hostname: server.ip, port: server.port });
    await connection.write(framed(query({ name: "web" })));
    assert.deepEqual(await read(connection, 1), ["NOERROR 10.32.0.1"]);
    connection.close();
  }
});

Deno.test("the name server's thread passes other questions on, keeps answers, and never asks about its domain", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "meshnet-names-" });
  await using other = new OtherServer((_, transport) =>
    transport === "udp" ? ANSWER : { answers: [...ANSWER.answers!, ...ANSWER.answers!] }
  );
  const stub = { domain: "example.com.", servers: [await other.listen()] };
  {
    await using trial = new NamesTrial({ stubs: [stub], resolvConf: `${folder}/resolv.conf` });
    trial.addAlias("shop.mesh.internal.", "www.example.com.");
    const server = await trial.listen();
    for (let i = 0; i < 3; i++) {
      const { answers, id, rcode } = await askUdp(server, { name: "www.example.com" }, 100 + i);
      assert.deepEqual([id, rcode, answers[0]!.data], [100 + i, "NOERROR", "192.0.2.1"]);
    }
    assert.equal(dataOf(await askUdp(server, { name: "nobody.mesh.internal" })), "NXDOMAIN");
    assert.equal(
      dataOf(await askUdp(server, { name: "shop.mesh.internal" })),
      "NOERROR www.example.com,192.0.2.1",
    );
    assert.equal(dataOf(await askUdp(server, { name: "www.example.org" })), "SERVFAIL"); // no resolv.conf
    const connection = await Deno.connect({ hostname: server.ip, port: server.port });
    await connection.write(framed(query({ name: "www.example.com" })));
    assert.deepEqual(await read(connection, 1), ["NOERROR 192.0.2.1,192.0.2.1"]);
    connection.close();
    assert.deepEqual(other.asked, ["www.example.com udp", "www.example.com tcp"]);
    const { counters, upstreams } = await trial.service.report();
    assert.deepEqual([counters.forwarded, counters.cached, counters.failed], [2, 3, 1]);
    assert.deepEqual(upstreams, []);
    Deno.writeTextFileSync(`${folder}/resolv.conf`, `nameserver 192.0.2.53\n`);
    for (let found: unknown[] = []; found.length === 0;) {
      found = [...(await trial.service.report()).upstreams];
    }
    const servers = (await trial.service.report()).upstreams.map(formatEndpoint);
    assert.deepEqual(servers, ["192.0.2.53:53"]);
  }
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("the name server's thread turns to the next server, and fails at once where none is", async () => {
  const nobody = freePort();
  await using other = new OtherServer(() => ANSWER);
  const stubs = [
    { domain: "example.com.", servers: [nobody, await other.listen()] },
    { domain: "gone.example.com.", servers: [nobody] },
  ];
  await using trial = new NamesTrial({ stubs });
  const server = await trial.listen();
  assert.equal(dataOf(await askUdp(server, { name: "www.example.com" })), "NOERROR 192.0.2.1");
  assert.equal(dataOf(await askUdp(server, { name: "www.gone.example.com" })), "SERVFAIL");
});

Deno.test("the name server's thread asks other servers whether they answer, when somebody wants to know", async () => {
  const nobody = freePort();
  await using other = new OtherServer(() => ANSWER);
  const stubs = [
    { domain: "example.com.", servers: [nobody, await other.listen()] },
    { domain: "gone.example.com.", servers: [nobody] },
  ];
  await using trial = new NamesTrial({ stubs });
  const server = await trial.listen();
  const states = async (examine: boolean) =>
    (await trial.service.report({ examine })).servers.map(({ domain, state, unreachable }) =>
      `${domain} ${state}${unreachable ? " unreachable" : ""}`
    );
  assert.deepEqual(other.asked, [], "nobody is asked unless somebody wants to know");
  assert.deepEqual(await states(false), [
    ...["gone.example.com. unknown", "example.com. unknown", "example.com. unknown"],
  ]);
  const unknown = await states(false);
  assert.deepEqual(await states(true), unknown, "no client has asked for names of others");
  assert.deepEqual(other.asked, []);
  await askUdp(server, { name: "www.example.com" });
  await askUdp(server, { name: "www.gone.example.com" });
  assert.deepEqual((await states(false))[0], "gone.example.com. unknown unreachable");
  assert.deepEqual(await states(true), [
    ...["gone.example.com. silent unreachable", "example.com. silent unreachable", "example.com. answers"],
  ]);
  assert.deepEqual(other.asked, ["www.example.com udp", "example.com udp"]);
  assert.deepEqual((await states(false))[2], "example.com. answers");
});

Deno.test("the name server's thread says by whom a port is taken, and takes it when it is free", async () => {
  await using trial = new NamesTrial();
  trial.add("web.mesh.internal.", 0x0a20_0001);
  await using taken = new Taken();
  const endpoint = await taken.listen();
  trial.service.listen([endpoint]);
  const [listener] = await trial.until((all) => all.length === 1);
  assert.ok(listener?.state === "waiting");
  const name = Deno.readTextFileSync("/proc/self/comm").trim();
  assert.equal(
    listener.reason,
    `port ${endpoint.port} of 127.0.0.1 is taken by ${name} (process ${Deno.pid})`,
  );
  assert.match(listener.hint!, /--dns-listen/);
  await taken[Symbol.asyncDispose]();
  await trial.until(([one]) => one?.state === "listening"); // by itself
  assert.equal(dataOf(await askUdp(endpoint, { name: "web" })), "NOERROR 10.32.0.1");
  trial.service.listen([]);
  await trial.until((all) => all.length === 0);
  await using again = new Taken(); // and it lets go
  again.udp.bind(endpoint.port, LOOPBACK);
  await new Promise<void>((resolve) => again.tcp.listen(endpoint.port, LOOPBACK, resolve));
});

Deno.test("the name server's thread bounds connections: the quietest makes way, and garbage ends one", async () => {
  await using trial = new NamesTrial();
  trial.add("web.mesh.internal.", 0x0a20_0001);
  const server = await trial.listen();
  const connect = () => Deno.connect({ hostname: server.ip, port: server.port });
  const all: Deno.TcpConn[] = [];
  for (let i = 0; i < 17; i++) {
    all.push(await connect());
    await trial.service.report(); // each has been taken before the next one comes
  }
  assert.deepEqual(await read(all[0]!, 1), []); // it was ended
  await all[1]!.write(framed(query({ name: "web" })));
  assert.deepEqual(await read(all[1]!, 1), ["NOERROR 10.32.0.1"]);
  await all[2]!.write(Uint8Array.of(255, 255, 1)); // longer than any question
  assert.deepEqual(await read(all[2]!, 1), []);
  assert.equal((await trial.service.report()).counters.refused, 1);
  for (const connection of all) connection.close();
});

Deno.test("the name server's thread probes targets, over TCP and HTTP, and tells how they are", async () => {
  await using trial = new NamesTrial();
  const probe = (id: string, port: number, path?: string) => {
    const check = path === undefined ? { kind: "tcp", port } as const : { kind: "http", port, path } as const;
    const pace = { intervalMs: path === undefined ? 200 : 3_000, threshold: 2 };
    trial.service.probe(id, { netns: "/proc/thread-self/ns/net", ip: LOOPBACK, check, pace });
  };
  const silent = new Taken();
  const { port } = await silent.listen();
  const asked: string[] = [];
  const web = Deno.serve({ hostname: LOOPBACK, port: 0, onListen() {} }, (request) => {
    asked.push(request.headers.get("host")!);
    return new Response(null, { status: request.url.endsWith("/ready") ? 204 : 503 });
  });
  probe("silent", port);
  await trial.tells("silent true");
  probe("page", web.addr.port, "/ready");
  await trial.tells("page true");
  assert.equal(asked[0], `${LOOPBACK}:${web.addr.port}`);
  probe("no page", web.addr.port, "/");
  await trial.tells("no page false: HTTP status 503");
  probe("no answer", port, "/"); // it accepts, and says nothing
  await trial.tells("no answer false: no answer within 3000 ms");
  trial.service.probe("no answer", undefined);
  trial.service.probe("gone", {
    netns: "/nowhere",
    ip: LOOPBACK,
    check: { kind: "tcp", port },
    pace: { intervalMs: 100, threshold: 2 },
  });
  await trial.tells(/^gone false: Cannot open network namespace/);
  for (const id of ["page", "no page", "gone"]) trial.service.probe(id, undefined);
  await silent[Symbol.asyncDispose]();
  await trial.tells(`silent false: no connection to ${LOOPBACK}:${port}: connection refused (ECONNREFUSED)`);
  trial.service.probe("silent", undefined);
  await trial.service.report();
  await web.shutdown();
});

/** Probes by a command, as the only target. */
function probeBy(trial: NamesTrial, id: string, words: readonly string[], intervalMs = 60_000): void {
  const check = { kind: "exec", words } as const;
  const pace = { intervalMs, threshold: 2 };
  trial.service.probe(id, { netns: "/proc/thread-self/ns/net", ip: LOOPBACK, check, pace });
}

Deno.test("the name server's thread probes by programs: what they are told, and what they tell", async () => {
  await using trial = new NamesTrial();
  const script =
    `[ "$MESHNET_TARGET $MESHNET_ADDRESS" = "good ${LOOPBACK}" ] && [ -z "$HOME" ] && read x; echo $?`;
  probeBy(trial, "good", ["sh", "-c", `[ "$(${script})" = 1 ]`]); // its input is empty
  assert.equal((await trial.healthOf(1))[0], "good true");
  probeBy(trial, "bad", ["sh", "-c", "echo one; echo the disk is full >&2; exit 3"]);
  assert.equal((await trial.healthOf(2))[1], "bad false: exit code 3: the disk is full");
  probeBy(trial, "long", ["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; exit 1"]); // none waits for a reader
  assert.equal((await trial.healthOf(3))[2], `long false: exit code 1: ${"x".repeat(200)}`);
  probeBy(trial, "killed", ["sh", "-c", "kill -9 $$"]);
  assert.equal((await trial.healthOf(4))[3], "killed false: ended by signal 9");
  probeBy(trial, "none", ["meshnet-no-such-program"]);
  assert.equal(
    (await trial.healthOf(5))[4],
    "none false: Cannot run meshnet-no-such-program: no such entry (ENOENT)",
  );
});

Deno.test("the name server's thread ends programs that take too long, and what they leave behind", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "meshnet-names-" });
  // After the thread has ended: until then it may begin a program anew, which writes into the folder.
  using _removed = { [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }) };
  await using trial = new NamesTrial();
  const ownPid = (name: string) => `echo $$ > ${folder}/$$; mv ${folder}/$$ ${folder}/${name}`;
  probeBy(trial, "slow", ["sh", "-c", `${ownPid("slow")}; sleep 1000`], 3_000);
  const left = `sh -c '${
    ownPid("left")
  }; exec sleep 1000' & until [ -s ${folder}/left ]; do sleep 0.02; done`;
  probeBy(trial, "left", ["sh", "-c", left]); // it leaves when that other one runs
  const told = [...await trial.healthOf(2)].sort();
  assert.deepEqual(told, ["left true", "slow false: no answer within 3000 ms"]);
  const isWritten = async () => {
    while (!exists(`${folder}/slow`)) await trial.service.report();
  };
  await soon("the number of the slow program", isWritten());
  for (const name of ["slow", "left"]) trial.service.probe(name, undefined);
  for (const name of ["slow", "left"]) {
    const pid = Number(Deno.readTextFileSync(`${folder}/${name}`));
    const gone = async () => {
      while (isRunning(pid)) await trial.service.report();
    };
    await soon(`the end of the ${name} program`, gone());
  }
});

function isRunning(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}

Deno.test("the name server's thread runs few programs at once, and each target has its turn", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "meshnet-names-" });
  // After the thread has ended: until then it may begin a program anew, which writes into the folder.
  using _removed = { [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }) };
  await using trial = new NamesTrial();
  const count = 2 * MAX_PROGRAMS + 1;
  for (let i = 0; i < count; i++) {
    const most = `ls ${folder} | wc -l`;
    probeBy(trial, `t${i}`, [
      "sh",
      "-c",
      `touch ${folder}/$$; sleep 0.1; n=$(${most}); rm ${folder}/$$; echo $n; exit 1`,
    ]);
  }
  const told = await trial.healthOf(count);
  assert.equal(new Set(told.map((text) => text.split(" ")[0])).size, count);
  for (const text of told) assert.ok(Number(/exit code 1: ([0-9]+)$/.exec(text)?.[1]) <= MAX_PROGRAMS, text);
});
