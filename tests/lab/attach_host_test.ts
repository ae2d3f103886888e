/** Attaching on the kernel this runs on: namespaces, veth pairs and, in place of a datapath, a bridge.
 *
 *     host:   vmn...---[ bridge ]---vmn...
 *               |                     |
 *     target: ethmesh (A)           ethmesh (B)
 *
 * Needs root. Everything it makes has names of its own and is removed at the end.
 */
import assert from "node:assert/strict";
import { command } from "../../mod/tasks/run.ts";
import { inNetns } from "../../ffi/netns.ts";
import { openNetlinkIn } from "../../mod/daemon/host/netlink.ts";
import { sendFrames } from "../../ffi/packet_socket.ts";
import { type AttachAdapters, Attachments } from "../../mod/attach/mod.ts";
import { fromHex } from "../../mod/core/bytes.ts";
import type { Logger } from "../../mod/core/ports.ts";
import { ProcNamespaces } from "../../mod/sys/namespaces.ts";
import { SystemRandom } from "../../mod/sys/random.ts";
import { ProcSysctl } from "../../mod/sys/sysctl.ts";
import { MemoryStore } from "../unit/memory_store.ts";
import { linkLocal } from "./common/links.ts";

/** Marks what this run makes, so that runs side by side leave each other alone. */
const MARK = Deno.pid.toString(36);
const BRIDGE = `meshlab${MARK}`;
const [A, B, C] = [`mesh-a-${MARK}`, `mesh-b-${MARK}`, `mesh-c-${MARK}`];
const quiet: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

openNetlinkIn({ protocol: "route" })[Symbol.dispose](); // libraries stay open: load them outside of any test

/** Runs a command and gives what it printed; throws when it fails. */
function run(line: string): string {
  const { success, stdout, stderr } = command(line.split(" "), {}, "lab").outputSync();
  if (!success) throw new Error(`${line}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

function tryRun(line: string): void {
  try {
    run(line);
  } catch {
    // it was not there
  }
}

/** What `ip -j` shows. */
// deno-lint-ignore no-explicit-any
function shown(line: string): any[] {
  return JSON.parse(run(`ip -j ${line}`) || "[]");
}

/** A bridge and named namespaces, removed with the block. */
class Lab implements Disposable {
  readonly store = new MemoryStore();
  readonly pending: (() => void)[] = [];
  /** Host ends that this run made; other runs make some, too. */
  readonly made = new Set<string>();
  constructor(readonly names: readonly string[]) {
    this[Symbol.dispose]();
    run(`ip link add ${BRIDGE} type bridge`);
    run(`ip link set ${BRIDGE} up`);
    for (const name of names) run(`ip netns add ${name}`);
  }

  adapters(): AttachAdapters {
    const isPort = (name: string) =>
      shown("link show").some((link) => link.ifname === name && link.master === BRIDGE);
    return {
      store: this.store,
      random: new SystemRandom(),
      log: quiet,
      probe: Object.assign(new ProcNamespaces(), { container: () => ({ kind: "gone" }) as const }),
      ports: {
        has: isPort,
        add: (name) => {
          this.made.add(name);
          run(`ip link set ${name} master ${BRIDGE}`);
        },
        remove: (name) => tryRun(`ip link set ${name} nomaster`), // it may just be going
      },
      sysctl: new ProcSysctl(inNetns),
      openRoute: (path) =>
        openNetlinkIn({ protocol: "route", ...(path === undefined ? {} : { netns: path }) }),
      sendFrames,
      forgotten: () => {},
      later: (_, work) => void this.pending.push(work),
      pid: Deno.pid,
    };
  }

  start(): Attachments {
    return new Attachments(this.adapters(), {
      mtu: 1376,
      interface: "ethmesh",
      multicastRoute: true,
      nameServer: false,
    });
  }

  [Symbol.dispose](): void {
    for (const name of this.names) tryRun(`ip netns del ${name}`);
    tryRun(`ip link del ${BRIDGE}`);
  }
}

const inside = (name: string, line: string) => run(`ip netns exec ${name} ${line}`);
const hostEnds = ({ made }: Lab) =>
  shown("link show").map((link) => link.ifname as string).filter((name) => made.has(name));

Deno.test("attach on this kernel: two namespaces reach each other over IPv4 and IPv6", () => {
  using lab = new Lab([A, B]);
  using attachments = lab.start();
  const { attachment, warnings } = attachments.attach({
    target: `netns:${A}`,
    addresses: ["10.213.1.1/24", "10.213.1.3/24", "fd00:213::1/64"],
  });
  attachments.attach({ target: `netns:${B}`, addresses: ["10.213.1.2/24", "fd00:213::2/64"] });
  assert.deepEqual(warnings, []);
  inside(A, "ping -c1 -W10 10.213.1.2");
  inside(A, "ping -c1 -W10 fd00:213::2"); // at once: no duplicate detection

  const [link] = shown(`-n ${A} addr show dev ethmesh`);
  assert.equal(link.mtu, 1376);
  assert.equal(link.address, attachment?.mac);
  assert.ok(link.flags.includes("UP") && link.flags.includes("LOWER_UP"));
  // deno-lint-ignore no-explicit-any
  const global = link.addr_info.filter((a: any) => a.scope === "global");
  // deno-lint-ignore no-explicit-any
  assert.deepEqual(global.map((a: any) => `${a.local}/${a.prefixlen} ${a.label ?? ""}`).sort(), [
    "10.213.1.1/24 ethmesh",
    "10.213.1.3/24 ethmesh",
    "fd00:213::1/64 ",
  ]);
  const routes = shown(`-n ${A} -4 route show`).map((r) => `${r.dst} ${r.dev} ${r.scope}`);
  assert.deepEqual(routes.sort(), ["10.213.1.0/24 ethmesh link", "224.0.0.0/4 ethmesh link"]);
  const settings: [string, string][] = [
    ["net.ipv6.conf.ethmesh.accept_ra", "0"],
    ["net.ipv4.conf.ethmesh.promote_secondaries", "1"],
    ["net.ipv4.neigh.ethmesh.base_reachable_time_ms", "5000"],
    ["net.ipv4.neigh.ethmesh.delay_first_probe_time", "2"],
    ["net.ipv4.neigh.ethmesh.ucast_solicit", "1"],
    ["net.ipv6.neigh.ethmesh.ucast_solicit", "1"],
  ];
  for (const [key, value] of settings) {
    assert.equal(inside(A, `sysctl -n ${key}`).trim(), value, key);
  }
  assert.equal(run(`sysctl -n net.ipv6.conf.${attachment?.hostInterface}.disable_ipv6`).trim(), "1");

  // Taking away the first address of a subnet leaves the second.
  attachments.detach({ target: `netns:${A}`, addresses: ["10.213.1.1/24"] });
  inside(A, "ping -c1 -W10 10.213.1.2");
});

Deno.test("attach on this kernel: neighbours learn a moved address from the announcement", () => {
  using lab = new Lab([A, B, C]);
  using attachments = lab.start();
  attachments.attach({ target: `netns:${A}`, addresses: ["10.213.1.1/24", "fd00:213::1/64"] });
  attachments.attach({ target: `netns:${B}`, addresses: ["10.213.1.2/24", "fd00:213::2/64"] });
  inside(A, "ping -c1 -W10 10.213.1.2");
  inside(A, "ping -c1 -W10 fd00:213::2");
  attachments.detach({ target: `netns:${B}`, addresses: [] });
  const { attachment } = attachments.attach({
    target: `netns:${C}`,
    addresses: ["10.213.1.2/24", "fd00:213::2/64"],
  });
  const wanted = new Set(["10.213.1.2", "fd00:213::2"].map((address) => `${address} ${attachment?.mac}`));
  const learnt = () => new Set(shown(`-n ${A} neigh show dev ethmesh`).map((n) => `${n.dst} ${n.lladdr}`));
  // A bridge passes frames on only some time after it got a port: what is announced later arrives.
  const deadline = performance.now() + 30_000;
  while (!wanted.isSubsetOf(learnt())) {
    assert.ok(performance.now() < deadline, [...learnt()].join("\n"));
    for (const announce of lab.pending) announce();
  }
});

Deno.test("attach on this kernel: a restart adopts without a change, and repairs what is broken", async () => {
  using lab = new Lab([A]);
  {
    using attachments = lab.start();
    attachments.attach({ target: `netns:${A}`, addresses: ["10.213.1.1/24", "fd00:213::1/64"] });
  }
  await linkLocal(A); // the kernel itself changes that until it is sure of it
  const before = run(`ip -n ${A} -o addr show dev ethmesh`);
  using again = lab.start();
  assert.deepEqual(again.reconcile().adopted, [`netns:${A}`]);
  assert.equal(run(`ip -n ${A} -o addr show dev ethmesh`), before);

  for (
    const damage of [
      `ip -n ${A} link set ethmesh down`,
      `ip -n ${A} addr del 10.213.1.1/24 dev ethmesh`,
      `ip -n ${A} route del 224.0.0.0/4 dev ethmesh`,
      `ip -n ${A} link set ethmesh mtu 1300`,
      `ip link set ${hostEnds(lab)[0]} nomaster`,
      `ip -n ${A} link del ethmesh`,
    ]
  ) {
    run(damage);
    assert.deepEqual(again.reconcile().restored, [`netns:${A}`], damage);
    assert.deepEqual(again.reconcile().adopted, [`netns:${A}`], damage);
    assert.equal(again.list()[0]!.problem, null, damage);
  }
  run(`ip netns del ${A}`);
  assert.deepEqual(again.reconcile().waiting, [`netns:${A}`]);
  assert.deepEqual(hostEnds(lab), []);
});

Deno.test("attach on this kernel: targets by process and by path, and none that is no namespace", async () => {
  using lab = new Lab([A]);
  using attachments = lab.start();
  const sleeper = command(["ip", "netns", "exec", A, "sleep", "60"], {}, "lab").spawn();
  try {
    const target = `pid:${sleeper.pid}`;
    const own = run("readlink /proc/self/ns/net");
    while (run(`readlink /proc/${sleeper.pid}/ns/net`) === own); // until it has entered
    attachments.attach({ target, addresses: ["10.213.1.1/24"] });
    const { attachment } = attachments.attach({
      target: `/proc/${sleeper.pid}/ns/net`,
      addresses: ["10.213.1.2/24"],
    });
    assert.equal(attachment?.target, target);
    assert.deepEqual(attachment.addresses, ["10.213.1.1/24", "10.213.1.2/24"]);
    for (const bad of ["/proc/self/ns/net", "/proc/self/ns/uts", "/proc/version", "netns:meshlab-none"]) {
      assert.throws(() => attachments.attach({ target: bad, addresses: ["10.213.1.9/24"] }), {
        code: "attach/bad-target",
      });
    }
  } finally {
    sleeper.kill("SIGKILL");
    await sleeper.status;
  }
  assert.equal(attachments.reconcile().forgotten.length, 1);
  assert.deepEqual(hostEnds(lab), []);
});

Deno.test("attach on this kernel: a failure leaves nothing behind", () => {
  using lab = new Lab([A]);
  const adapters = lab.adapters();
  using attachments = new Attachments({
    ...adapters,
    ports: {
      ...adapters.ports,
      add: (name) => {
        lab.made.add(name);
        run("false");
      },
    },
  }, { mtu: 1376, interface: "ethmesh", multicastRoute: true, nameServer: false });
  const attach = (address: string) => attachments.attach({ target: `netns:${A}`, addresses: [address] });
  assert.throws(() => attach("10.213.1.1/24"), { code: "attach/failed", message: /to the switch/ });
  assert.deepEqual(shown(`-n ${A} link show`).map((link) => link.ifname), ["lo"]);
  assert.deepEqual(hostEnds(lab), []);
  assert.deepEqual(lab.store.list(""), []);
  run(`ip -n ${A} link add ethmesh type bridge`);
  assert.throws(() => attach("10.213.1.1/24"), { code: "attach/failed", message: /somebody else made/ });
});

Deno.test("sendFrames() says what it cannot do", () => {
  using _lab = new Lab([A]);
  const path = `/run/netns/${A}`;
  const frame = fromHex("ffffffffffff0200000000010806");
  run(`ip -n ${A} link set lo up`);
  sendFrames(path, "lo", [frame, frame]);
  assert.throws(() => sendFrames(path, "meshlab-none", [frame]), { code: "native/call-failed" });
  assert.throws(() => sendFrames("/run/netns/meshlab-none", "lo", [frame]), { code: "native/call-failed" });
});
