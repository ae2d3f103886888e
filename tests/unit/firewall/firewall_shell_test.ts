import assert from "node:assert/strict";
import { parseCidr } from "../../../mod/core/addr.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { Firewall, type FirewallParts, removeOwnRules } from "../../../mod/firewall/firewall_shell.ts";
import { NetlinkWriter } from "../../../mod/wire/netlink/netlink_writer.ts";
import { splitMessages } from "../../../mod/wire/netlink/netlink.ts";
import { FakeXtables, recordedSocket } from "./recorded.ts";

/** A host with a recorded rule set in nf_tables, in x_tables, or in none. */
function trial(
  { legacy, mode = "auto", nft }: {
    readonly nft?: string;
    readonly legacy?: string;
    readonly mode?: FirewallParts["mode"];
  },
) {
  const state = { sees: "1", now: 0, locked: false, locks: 0, opened: 0 };
  const sent: Uint8Array[] = [];
  const said: string[] = [];
  const later: { readonly ms: number; readonly work: () => void }[] = [];
  const say = (event: string, fields: Readonly<Record<string, unknown>> = {}) =>
    void said.push(`${event}${fields["reason"] === undefined ? "" : `: ${fields["reason"]}`}`);
  const xtables = legacy === undefined ? undefined : new FakeXtables(legacy, "ip");
  const parts: FirewallParts = {
    ...{ mode, leg: "meshnet", bridge: true, indexOf: () => 9 },
    ...{ ports: [{ protocol: "tcp", port: 6783 }], families: ["ip"] },
    setting: () => state.sees,
    open: () => {
      state.opened++;
      if (nft === undefined) throw new Error("no nf_tables");
      return recordedSocket(nft, sent);
    },
    legacy: {
      open: () => xtables!.open(),
      names: (family) => xtables !== undefined && family === "ip" ? ["filter"] : [],
      lock: () => {
        state.locks++;
        return state.locked ? undefined : { [Symbol.dispose]() {} };
      },
    },
    clock: { now: () => state.now as Millis } as FirewallParts["clock"],
    later: (ms, work) => void later.push({ ms, work }),
    log: { warn: say, info: say, debug: () => {} },
  };
  return { firewall: new Firewall(parts), later, parts, said, sent, state, xtables };
}
const RULE = "chain DOCKER-USER of table filter of iptables-legacy: traffic of containers";

Deno.test("Firewall puts its rule in once, says so once, and keeps counters of others", () => {
  const { firewall, said, xtables } = trial({ legacy: "docker" });
  for (let i = 0; i < 3; i++) assert.deepEqual(firewall.check().rules, [RULE]);
  const user = xtables!.table().chains.get("DOCKER-USER")!.rules;
  assert.deepEqual(user.map(({ comment }) => comment), [
    "meshnet: traffic of containers",
    undefined,
    undefined,
  ]);
  assert.deepEqual(said, ["this host's firewall sees traffic of containers; rules of ours let it through"]);
  assert.equal(xtables!.counters.length, 1);
});

Deno.test("Firewall after a restart finds its rule, and neither doubles nor drops it", () => {
  const { firewall, parts, xtables } = trial({ legacy: "docker" });
  firewall.check();
  const entries = xtables!.entries;
  const { undone, rules } = new Firewall(parts).check();
  assert.deepEqual([undone, rules, xtables!.entries === entries], [0, [RULE], true]);
});

Deno.test("Firewall puts back what others take out, tells it, and tires of it", () => {
  const { firewall, later, said, state, xtables } = trial({ legacy: "docker" });
  firewall.check();
  const fresh = new FakeXtables("docker", "ip");
  const flush = () => Object.assign(xtables!, { entries: fresh.entries, info: fresh.info });
  flush();
  state.now = 500;
  assert.deepEqual(firewall.check(), {
    ...{ mode: "auto", rules: [RULE], undone: 1, undoneAgoMs: 0, problems: [] },
  });
  assert.match(said.at(-1)!, /took rules of ours out of this host's firewall; they are back/);
  for (let i = 0; i < 9; i++) {
    flush();
    assert.deepEqual(firewall.check().problems, []);
  }
  flush();
  const { problems, rules } = firewall.check();
  assert.match(
    problems[0]!.message,
    /^Another program takes out the rules that let traffic of containers through/,
  );
  assert.deepEqual(rules, []);
  assert.deepEqual(later.map(({ ms }) => ms), [30_000]);
  state.now += 30_000;
  later[0]!.work();
  assert.deepEqual(firewall.check().rules, [RULE]);
});

Deno.test("Firewall waits for the lock of others, and looks without it", () => {
  const { firewall, later, state, xtables } = trial({ legacy: "docker" });
  state.locked = true;
  const { entries } = xtables!;
  assert.deepEqual(firewall.check().rules, []);
  assert.equal(xtables!.entries, entries);
  state.locked = false;
  later.shift()!.work();
  assert.equal(firewall.check().undone, 0);
  assert.notEqual(xtables!.entries, entries);
  const { locks } = state;
  firewall.check();
  assert.equal(state.locks, locks);
});

Deno.test("Firewall sends changes of nf_tables as one transaction for each table", () => {
  const { firewall, sent } = trial({ nft: "docker" });
  assert.deepEqual(firewall.check().rules, [
    "chain DOCKER-USER of table ip filter: traffic of containers",
    "chain DOCKER-USER of table ip6 filter: traffic of containers",
  ]);
  const types = sent.map((bytes) => {
    const split = splitMessages(bytes);
    return split.ok ? split.value.map(({ type }) => type & 0xff) : [];
  });
  assert.deepEqual(types, [[16, 6, 17], [16, 6, 17]]);
});

Deno.test("Firewall that may not change one table changes the others, and says how its owner lets traffic through", () => {
  const { parts, sent } = trial({ nft: "firewalld", legacy: "docker" });
  const refused: Uint8Array[] = [];
  const firewall = new Firewall({
    ...parts,
    open: () => {
      const socket = recordedSocket("firewalld", sent);
      return {
        ...socket,
        send(message) {
          socket.send(message);
          const error = new NetlinkWriter(64).begin(2, 0).u32(0xffff_ffff).u32(20).u32(0).u32(0).u32(0).u32(0)
            .end();
          refused.push(error.finish()); // EPERM
        },
        receive: () => refused.shift(),
      };
    },
  });
  for (let i = 0; i < 2; i++) {
    const { problems, rules, undone } = firewall.check();
    assert.deepEqual([rules, undone, problems.length], [[RULE], 0, 2]);
    assert.match(problems[1]!.message, /^Cannot change this host's firewall, table inet firewalld: .*EPERM/);
    assert.match(problems[1]!.hint, /firewall-cmd --permanent --zone=trusted --add-interface=meshnet/);
  }
});

Deno.test("Firewall asks for the addresses of exposed networks, and does without nf_tables", () => {
  const { firewall, sent } = trial({ nft: "docker" });
  const { rules } = firewall.expose([{ network: parseCidr("10.2.1.0/24")!, masquerade: true }]);
  assert.deepEqual(rules.filter((rule) => rule.includes("10.2.1.0/24")), [
    "chain DOCKER-USER of table ip filter: traffic from 10.2.1.0/24",
    "chain DOCKER-USER of table ip filter: traffic to 10.2.1.0/24",
  ]);
  assert.equal(sent.length, 3); // both families, and addresses
  const legacy = trial({ legacy: "docker" });
  const plain = legacy.firewall.expose([{ network: parseCidr("10.2.1.0/24")!, masquerade: false }]);
  assert.deepEqual([plain.rules.length, plain.problems], [3, []]);
});

Deno.test("Firewall that may only report changes nothing and names what drops; one that is off looks at nothing", () => {
  const report = trial({ legacy: "docker", nft: "ufw", mode: "report" });
  const { entries } = report.xtables!;
  const { problems, rules } = report.firewall.check();
  assert.deepEqual(problems.map(({ message }) => /: (chain .*)$/.exec(message)![1]), [
    "chain FORWARD of table ip filter has policy drop",
    "chain FORWARD of table filter of iptables-legacy has policy drop",
  ]);
  assert.deepEqual([rules, report.sent, report.xtables!.entries === entries], [[], [], true]);
  assert.deepEqual(report.said.map((one) => one.slice(0, 51)), [
    "this host's firewall sees traffic of containers: Th",
    "this host's firewall sees traffic of containers: Th",
  ]);
  const off = trial({ legacy: "docker", nft: "ufw", mode: "off" });
  assert.deepEqual(off.firewall.check(), {
    ...{ mode: "off", rules: [], problems: [], undone: 0, undoneAgoMs: null },
  });
  assert.equal(off.state.opened, 0);
});

Deno.test("Firewall says nothing where no frame passes it, and survives what it cannot see", () => {
  const { firewall, said, state, xtables } = trial({ legacy: "docker" });
  state.sees = "0";
  assert.deepEqual([firewall.check().rules, said], [[], []]);
  xtables!.entries = Uint8Array.of(1, 2, 3);
  assert.deepEqual(firewall.check().problems, []);
});

Deno.test("removeOwnRules() takes out ours and nothing else, and says when others have the lock", () => {
  const { firewall, parts, state, xtables } = trial({ legacy: "docker" });
  firewall.check();
  state.locked = true;
  assert.deepEqual(removeOwnRules(parts), { removed: 0, busy: true });
  state.locked = false;
  assert.deepEqual(removeOwnRules(parts), { removed: 1, busy: false });
  const fresh = new FakeXtables("docker", "ip");
  assert.deepEqual(xtables!.table(), fresh.table());
});

Deno.test("Firewall tries what the kernel refused of iptables-legacy's tables only now and then", () => {
  const { parts, state, xtables } = trial({ legacy: "docker" });
  const refuse = () => {
    throw new Error("no such match");
  };
  const legacy = { ...parts.legacy, open: () => ({ ...xtables!.open(), replace: refuse }) };
  const firewall = new Firewall({ ...parts, legacy });
  for (let look = 0; look < 5; look++) assert.match(firewall.check().problems[0]!.message, /no such match/);
  assert.equal(state.locks, 1);
  state.now += 30_000;
  firewall.check();
  assert.equal(state.locks, 2);
});

/** What reading nf_tables throws while other programs change them all the time. */
const TORN = new MeshnetError("netlink/torn", "Cannot list what the kernel has");

Deno.test("Firewall leaves all as it was while it cannot read the whole of nf_tables, and looks again later", () => {
  const cases = [[TORN, 300], [new Error("no descriptors"), 30_000]] as const;
  for (const [thrown, ms] of cases) {
    const { later, parts, said, sent } = trial({ nft: "docker" });
    const failing = { is: false };
    const open = () => {
      if (failing.is) throw thrown;
      return recordedSocket("docker", sent);
    };
    const firewall = new Firewall({ ...parts, open });
    const seen = firewall.check();
    assert.equal(seen.rules.length, 2);
    const [saidBefore, sentBefore] = [said.length, sent.length];
    failing.is = true;
    assert.deepEqual(firewall.check(), seen);
    assert.deepEqual(firewall.expose([{ network: parseCidr("10.2.1.0/24")!, masquerade: true }]), seen);
    assert.deepEqual([said.length, sent.length], [saidBefore, sentBefore]);
    assert.deepEqual(later.map((one) => one.ms), [ms]);
    failing.is = false;
    later.shift()!.work();
    assert.ok(sent.length > sentBefore); // what was exposed meanwhile
  }
});

Deno.test("Firewall that cannot read the whole of nf_tables at first does not take it for a host without", () => {
  const { later, parts, xtables } = trial({ legacy: "docker" });
  const { entries } = xtables!;
  const open = () => {
    throw TORN;
  };
  const firewall = new Firewall({ ...parts, open });
  assert.deepEqual([firewall.check().rules, xtables!.entries === entries], [[], true]);
  assert.deepEqual(later.map(({ ms }) => ms), [300]);
});

Deno.test("removeOwnRules() says that rules may be left while it cannot read the whole of nf_tables", () => {
  const { firewall, parts } = trial({ legacy: "docker" });
  firewall.check();
  const open = () => {
    throw TORN;
  };
  assert.deepEqual(removeOwnRules({ ...parts, open }), { removed: 1, busy: true });
  assert.deepEqual(removeOwnRules(parts), { removed: 0, busy: false });
});

Deno.test("Firewall that is to change nothing begins also where it cannot take its rules out", () => {
  const { parts, said } = trial({ legacy: "docker", mode: "report" });
  const open = () => {
    throw new Error("no descriptors");
  };
  new Firewall({ ...parts, legacy: { ...parts.legacy, open } }).begin();
  assert.match(said.join(), /cannot take our rules out of this host's firewall: no descriptors/);
});
