import assert from "node:assert/strict";
import { UdpSocket } from "../../../ffi/udp_socket.ts";
import type { Ip } from "../../../mod/core/addr.ts";
import { ERRNO } from "../../../mod/core/errno.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { type Check, checksAt, findFaults, refuseFaults } from "../../../mod/daemon/checks.ts";
import { missingCapabilities } from "../../../mod/daemon/checks/capabilities.ts";
import { diskRoom, tooLittleRoom, writeProtected } from "../../../mod/daemon/checks/disk.ts";
import {
  openFileLimit,
  threadRoom,
  tooFewLeft,
  tooFewOpenFiles,
  tooFewThreads,
} from "../../../mod/daemon/checks/limits.ts";
import { routerAnswers } from "../../../mod/daemon/checks/other_router.ts";
import { namePortTaken, tcpPortTaken, udpPortTaken } from "../../../mod/daemon/checks/ports.ts";
import { freePort } from "../free_port.ts";
import { openStore } from "../../../mod/sys/store.ts";
import { capture } from "../../../mod/tasks/run.ts";

const LOOPBACK = "127.0.0.1" as Ip;

const fault = (message: string) => new MeshnetError("up/not-permitted", message, { hint: "h" });

/** Checks that write down that they were made. */
function fakeChecks(made: string[]): readonly Check[] {
  const check = (name: string, find: Check["find"]): Check => ({
    name,
    at: ["start"],
    find: () => (made.push(name), find()),
  });
  return [
    check("good", () => {}),
    check("late", () => Promise.resolve(fault("late fault"))),
    check("throws", () => {
      throw fault("thrown fault");
    }),
    check("good too", () => undefined),
  ];
}

Deno.test("findFaults() gives every fault with the name of its check, in order", async () => {
  const made: string[] = [];
  const found: [string, unknown][] = [];
  for await (const { check, error } of findFaults(fakeChecks(made))) {
    found.push([check, (error as MeshnetError).message]);
  }
  assert.deepEqual(found, [["late", "late fault"], ["throws", "thrown fault"]]);
  assert.deepEqual(made, ["good", "late", "throws", "good too"]);
});

Deno.test("refuseFaults() throws the first fault, and makes no check behind it", async () => {
  const made: string[] = [];
  await assert.rejects(refuseFaults(fakeChecks(made)), { message: "late fault" });
  assert.deepEqual(made, ["good", "late"]);
  await refuseFaults([]);
});

Deno.test("missingCapabilities() names what is missing", () => {
  const status = (bits: string) =>
    `Name:\tmeshnet\nCapPrm:\t000001ffffffffff\nCapEff:\t${bits}\nSeccomp:\t0\n`;
  assert.equal(missingCapabilities(status("000001ffffffffff")), undefined);
  assert.equal(missingCapabilities(status("0000000000203000")), undefined);
  const cases: [status: string | undefined, message: RegExp][] = [
    [status("0000000000000000"), /CAP_NET_ADMIN .*CAP_NET_RAW .*CAP_SYS_ADMIN/],
    [status("0000000000003000"), /without CAP_SYS_ADMIN \(to enter/],
    [status("00000000a80425fb"), /without CAP_NET_ADMIN .*CAP_SYS_ADMIN/], // a Docker container's usual set
    ["", /no CapEff/],
    [undefined, /cannot be read/],
  ];
  for (const [text, message] of cases) {
    const found = missingCapabilities(text);
    assert.ok(found?.hint !== undefined);
    assert.equal(found.code, "up/not-permitted");
    assert.match(found.message, message);
  }
});

Deno.test("tooFewOpenFiles() names the limit, and what is needed", () => {
  const limits = (soft: string) =>
    "Limit                     Soft Limit           Hard Limit           Units     \n" +
    `Max open files            ${soft.padEnd(20)} 524288               files     \n`;
  for (const text of [limits("256"), limits("1048576"), limits("unlimited"), ""]) {
    assert.equal(tooFewOpenFiles(openFileLimit(text)), undefined);
  }
  const found = tooFewOpenFiles(openFileLimit(limits("255")));
  assert.equal(found?.code, "up/not-permitted");
  assert.match(found.message, /the limit is 255, 256 are needed$/);
  assert.match(found.hint!, /LimitNOFILE=/);
});

/** Folders of cgroups with `limit current`. */
const CGROUPS: Readonly<Record<string, string>> = {
  "/sys/fs/cgroup/pids": "9 2",
  "/sys/fs/cgroup/pids/a": "30 9",
  "/sys/fs/cgroup/pids/a/b": "max 4",
  "/sys/fs/cgroup/x": "40 20",
  "/sys/fs/cgroup/x/y": "50 20",
};

function cgroupFile(path: string): string | undefined {
  const [folder, name] = [path.slice(0, path.lastIndexOf("/")), path.slice(path.lastIndexOf("/") + 1)];
  const [limit, current] = CGROUPS[folder]?.split(" ") ?? [];
  return name === "pids.max" ? limit : current;
}

Deno.test("threadRoom() finds the least that any cgroup above the process leaves", () => {
  const cases = [
    ["8:pids:/a/b\n0::/\n", { left: 7, limit: 9, file: "/sys/fs/cgroup/pids/pids.max" }],
    ["0::/x/y\n", { left: 20, limit: 40, file: "/sys/fs/cgroup/x/pids.max" }],
    ["3:cpu,pids:/\n", { left: 7, limit: 9, file: "/sys/fs/cgroup/pids/pids.max" }],
    ["0::/elsewhere\n", undefined],
    ["4:memory:/a\n", undefined],
    ["", undefined],
  ] as const;
  for (const [groups, room] of cases) assert.deepEqual(threadRoom(groups, cgroupFile), room, groups);
});

Deno.test("tooFewThreads() names the limit, what it leaves, and what is needed", () => {
  assert.equal(tooFewThreads({ left: 16, limit: 40, file: "f" }), undefined);
  const found = tooFewThreads({ left: -1, limit: 9, file: "/sys/fs/cgroup/pids.max" });
  assert.equal(found?.code, "up/not-permitted");
  assert.match(found.message, /pids\.max is 9, which leaves 0 more, 16 are needed$/);
  assert.match(found.hint!, /TasksMax=.* \/sys\/fs\/cgroup\/pids\.max$/);
});

Deno.test("tcpPortTaken() leaves a free port free, and refuses a taken one", () => {
  const port = freePort(LOOPBACK);
  const listener = Deno.listen({ hostname: LOOPBACK, port });
  for (const host of [LOOPBACK, undefined]) {
    const found = tcpPortTaken({ port, host });
    assert.equal(found?.code, "up/port-taken");
    assert.match(found.message, /another program uses it/);
  }
  listener.close();
  assert.equal(tcpPortTaken({ port, host: LOOPBACK }), undefined);
  assert.equal(tcpPortTaken({ port, host: LOOPBACK }), undefined);
});

Deno.test("udpPortTaken() closes what it opened, and says which port is taken", () => {
  let open = 0;
  const socket = { [Symbol.dispose]: () => void open-- };
  assert.equal(udpPortTaken({ host: undefined, port: 6783 }, () => (open++, socket)), undefined);
  assert.equal(open, 0);
  const cases = [
    [ERRNO.EADDRINUSE, undefined, /^Cannot use UDP port 6783: another program uses it$/],
    [ERRNO.EADDRINUSE, LOOPBACK, /^Cannot use UDP 127\.0\.0\.1 port 6783: another program uses it$/],
    [ERRNO.EPERM, undefined, /^Cannot use UDP port 6783: the kernel said no$/],
  ] as const;
  for (const [errno, host, message] of cases) {
    const openUdp = () => {
      throw new MeshnetError("native/call-failed", "the kernel said no", { errno });
    };
    const found = udpPortTaken({ host, port: 6783 }, openUdp);
    assert.equal(found?.code, "up/port-taken");
    assert.match(found.message, message);
    assert.match(found.hint!, /ss -lunp .*6783/);
  }
  const elsewhere = () => {
    throw new MeshnetError("native/call-failed", "no such address here", { errno: ERRNO.EADDRNOTAVAIL });
  };
  assert.equal(udpPortTaken({ host: LOOPBACK, port: 6783 }, elsewhere), undefined); // TCP says so
});

Deno.test("tcpPortTaken() refuses an address of another host", () => {
  const elsewhere = "192.0.2.1" as Ip; // reserved for documentation
  const found = tcpPortTaken({ port: 6783, host: elsewhere });
  assert.equal(found?.code, "usage/bad-option");
  assert.match(found.message, /does not have that address/);
});

Deno.test("routerAnswers() tells a router from what a killed one left", async () => {
  const runDir = Deno.makeTempDirSync({ prefix: "meshnet-run-" });
  try {
    assert.equal(await routerAnswers(runDir), undefined);
    assert.equal(await routerAnswers(`${runDir}/none`), undefined);
    const path = `${runDir}/control.sock`;
    const listener = Deno.listen({ transport: "unix", path });
    const found = await routerAnswers(runDir);
    assert.equal(found?.code, "up/already-running");
    assert.match(found.message, new RegExp(path));
    listener.close();
    assert.equal(await routerAnswers(runDir), undefined); // the file is still there
  } finally {
    Deno.removeSync(runDir, { recursive: true });
  }
});

Deno.test("checksAt() gives the checks of one moment, in their order", () => {
  const check = (name: string, ...at: Check["at"]): Check => ({ name, at, find: () => {} });
  const all = [check("a", "start", "stopped"), check("b", "running"), check("c", "stopped", "running")];
  const names = (moment: Check["at"][number]) => checksAt(moment, all).map(({ name }) => name);
  assert.deepEqual([names("start"), names("stopped"), names("running")], [["a"], ["a", "c"], ["b", "c"]]);
});

Deno.test("findFaults() gives each of several findings of one check", async () => {
  const two = [{ message: "one" }, { message: "two", hint: "h" }];
  const found = [];
  for await (const fault of findFaults([{ name: "n", at: ["running"], find: () => two }])) found.push(fault);
  assert.deepEqual(found, two.map((error) => ({ check: "n", error })));
});

Deno.test("tooFewLeft() warns before the open files are used up, with the process that has them", () => {
  assert.equal(tooFewLeft({ pid: 7, open: 190, limit: 256 }), undefined);
  assert.equal(tooFewLeft({ pid: 7, open: 5000, limit: Infinity }), undefined);
  const found = tooFewLeft({ pid: 7, open: 192, limit: 256 });
  assert.match(found!.message, /has 192 open, the limit is 256$/);
  assert.match(found!.hint!, /prlimit --pid 7 --nofile=1024/);
});

Deno.test("tooLittleRoom() judges a disk by what is left, and a small one by its size", () => {
  const disk = (bytes: number, size: number, files?: number) => ({ bytes, size, files });
  const well = [undefined, disk(5e6, 1e9), disk(5e6, 1e9, 1), disk(16_384, 65_536)];
  for (const room of well) assert.equal(tooLittleRoom("/s", room), undefined);
  assert.match(tooLittleRoom("/s", disk(3e6, 1e9))!.message, /\/s may soon be lost: .* has 2929 KiB left/);
  assert.match(tooLittleRoom("/s", disk(4096, 65_536))!.message, /has 4 KiB left of 64$/);
  assert.match(tooLittleRoom("/s", disk(5e6, 1e9, 0))!.message, /no more files/);
});

Deno.test("diskRoom() knows the disk of a folder that is not there yet", () => {
  const there = diskRoom("/");
  assert.ok(there !== undefined && there.size >= there.bytes);
  assert.ok(diskRoom("/no/such/folder") !== undefined);
});

Deno.test("writeProtected() leaves this process the lock of its state", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "meshnet-checks-" });
  try {
    using _store = openStore(folder);
    const before = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    assert.equal(writeProtected(folder), undefined);
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), before);
    // The lock is the process's own: only another process is refused by it for sure.
    const store = import.meta.resolve("../../../mod/sys/store.ts");
    const code = `import { openStore } from "${store}"; openStore("${folder}").put("a", "b");`;
    await assert.rejects(capture([Deno.execPath(), "eval", code]), /another router uses it/);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("writeProtected() names a folder that takes no files, and says nothing of one that is not there", () => {
  assert.equal(writeProtected("/no/such/folder"), undefined);
  const found = writeProtected("/proc/version"); // a file is in its place
  assert.match(found!.message, /^Cannot write state in \/proc\/version: a file is in its place$/);
});

// The native library stays loaded.
Deno.test({ name: "namePortTaken() names who has the port", sanitizeResources: false }, async () => {
  const port = freePort(LOOPBACK);
  const place = { host: LOOPBACK, port };
  const socket = UdpSocket.open(place);
  const open = () => UdpSocket.open({ host: LOOPBACK, port });
  const found = await namePortTaken(place, open);
  assert.equal(found?.code, "up/port-taken");
  assert.match(
    found.message,
    new RegExp(`on 127\\.0\\.0\\.1 port ${port}: .*\\(process ${Deno.pid}\\) uses it`),
  );
  socket[Symbol.dispose]();
  assert.equal(await namePortTaken(place, open), undefined);
});
