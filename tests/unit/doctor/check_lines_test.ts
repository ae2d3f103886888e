import assert from "node:assert/strict";
import { type CheckFacts, checkLines } from "../../../mod/doctor/check_lines.ts";

const WELL: CheckFacts = {
  ...{ host: "host2", address: "192.0.2.2", local: "192.0.2.1", port: 6783 },
  ...{ tcp: "connected", tcpReason: "", intro: undefined, udp: "silent", udpNext: "silent" },
  link: { sleeve: { works: true, why: "" }, fastdp: { works: true, why: "" }, sealed: true, mtu: 1420 },
  ...{
    noFastdp: null,
    noTunnelPort: false,
    password: true,
    mtu: 1410,
    routeMtu: 1500,
    clock: { aheadMs: 20, ms: 2 },
    firewall: [],
    tunnelHolder: undefined,
  },
};
const ALONE = { link: undefined, tcp: "open", clock: undefined } as const;
const INTRO = { ok: true, tunnels: true, reason: "" };

Deno.test("checkLines() says why two hosts are not connected only where no other line does", () => {
  const lines = (change: Partial<CheckFacts>) =>
    checkLines({ ...WELL, ...ALONE, intro: INTRO, ...change }).filter(({ what }) => what === "connection");
  const info =
    'Incompatible ranges, to join theirs run "meshnet reset" and "meshnet up --ip-range 10.32.0.0/12"';
  assert.deepEqual(lines({ info }), [{
    ...{ what: "connection", state: "bad", text: info },
    fix: { on: "one of the two", command: "meshnet reset", nft: null, iptables: null },
  }]);
  const silent: Partial<CheckFacts>[] = [
    {},
    { info: "" },
    { info: "the passwords differ" },
    { info: "already connected to 02:00:00:00:50:02" },
    { info, tcp: "refused" },
  ];
  for (const change of [...silent, { info, link: WELL.link }]) assert.deepEqual(lines(change), []);
});

function found(what: string, change: Partial<CheckFacts>) {
  const line = checkLines({ ...WELL, ...change }).find((one) => one.what === what)!;
  return { ...line, said: `${line.state}: ${line.text}` };
}

Deno.test("checkLines() has a line for each thing, and all are good where all is well", () => {
  const lines = checkLines(WELL);
  const names = ["TCP 6783", "UDP 6783", "UDP 6784", "ESP", "MTU", "clock", "password", "firewall"];
  assert.deepEqual(lines.map(({ what }) => what), names);
  assert.ok(lines.every(({ fix, state }) => state === "good" && fix === null), JSON.stringify(lines));
});

Deno.test("checkLines() tells good, bad, unknown and unused apart", () => {
  const blocked = (why: string) => ({ works: false, why });
  const link = (change: Partial<NonNullable<CheckFacts["link"]>>) => ({ link: { ...WELL.link!, ...change } });
  const cases: readonly (readonly [string, Partial<CheckFacts>, RegExp])[] = [
    ["TCP 6783", { ...ALONE, intro: INTRO }, /^good: a connection can be made/],
    ["TCP 6783", { ...ALONE, tcp: "refused" }, /^bad: nothing listens/],
    ["TCP 6783", { ...ALONE, tcp: "timeout" }, /^bad: no answer/],
    ["TCP 6783", { udp: "unreachable", local: null }, /^unknown: .*before the route was lost/],
    ["UDP 6783", { udp: "unreachable", local: null }, /^unknown: heartbeats came back while/],
    ["route", { udp: "unreachable", local: null }, /^bad: this host has no route to 192\.0\.2\.2/],
    ["UDP 6783", link({ silentMs: 16_400 }), /^bad: nothing has come from there for 16 s/],
    ["UDP 6784", link({ silentMs: 16_400 }), /^bad: nothing has come from there for 16 s/],
    ["connection", { ...ALONE, intro: INTRO, info: "IP allocation was seeded" }, /^bad: IP allocation was/],
    [
      "TCP 6783",
      { ...ALONE, tcp: "other", tcpReason: "No route to host (os error 113)" },
      /^bad: no route to \S+: /,
    ],
    ["TCP 6783", { ...ALONE, tcp: "other", tcpReason: "out of ports" }, /^bad: out of ports/],
    [
      "TCP 6783",
      { ...ALONE, intro: { ...INTRO, ok: false, reason: "the other end is not a mesh peer, it says SSH" } },
      /^bad: something else than meshnet/,
    ],
    ["UDP 6783", link({ sleeve: blocked("testing the path with heartbeats over UDP") }), /^unknown: testing/],
    ["UDP 6783", link({ sleeve: blocked("no answer to heartbeats over UDP") }), /^bad: no answer/],
    ["UDP 6783", { ...ALONE, udp: "refused" }, /^bad: nothing uses that port/],
    ["UDP 6783", { ...ALONE, udp: "unreachable" }, /^bad: the host cannot be reached/],
    ["UDP 6783", ALONE, /^unknown: nothing refuses it/],
    ["UDP 6783", { ...ALONE, tcp: "timeout" }, /^unknown: nothing came back/],
    ["UDP 6784", { noFastdp: "no Open vSwitch" }, /^unused: no Open vSwitch/],
    ["UDP 6784", link({ fastdp: undefined }), /^unused: the other host has no kernel tunnels/],
    ["UDP 6784", { ...ALONE, intro: { ...INTRO, tunnels: false } }, /^unused: the other host/],
    ["UDP 6784", link({ sealed: false, fastdp: blocked("a firewall blocks it") }), /^bad: a firewall/],
    ["ESP", { password: false }, /^unused: there is no password/],
    ["ESP", link({ sealed: false }), /^unused: both hosts trust/],
    ["ESP", ALONE, /^unknown: /],
    ["ESP", link({ fastdp: blocked("no answer to full-size VXLAN heartbeats on IPsec") }), /^bad: no answer/],
    [
      "UDP 6784",
      link({ fastdp: blocked("no answer on IP protocol 50: a firewall") }),
      /^unknown: .*inside ESP/,
    ],
    ["MTU", link({ mtu: 1300 }), /^bad: 1300 bytes get through whole/],
    ["MTU", ALONE, /^unknown: this host's way out carries 1500 bytes/],
    ["MTU", { ...ALONE, routeMtu: 0 }, /^unknown: known once/],
    ["clock", { clock: { aheadMs: -61_000, ms: 2 } }, /^bad: 61 s behind/],
    ["clock", { clock: { aheadMs: 11_000, ms: 2_000 } }, /^good: 11 s ahead/],
    ["clock", ALONE, /^unknown/],
    ["password", { ...ALONE, intro: INTRO, password: false }, /^good: neither host has one/],
    [
      "password",
      { ...ALONE, intro: { ...INTRO, ok: false, reason: "the passwords differ" } },
      /^bad: the passwords differ/,
    ],
    ["password", { ...ALONE, tcp: "refused" }, /^unknown: nobody could be asked/],
    ["firewall", { firewall: undefined }, /^unknown/],
    ["firewall", { firewall: [{ message: "It drops TCP", hint: "Open: nft add x" }] }, /^bad: It drops TCP/],
  ];
  for (const [what, change, words] of cases) {
    assert.match(found(what, change).said, words, JSON.stringify(change));
  }
});

Deno.test("checkLines() gives the fix in nft and in iptables, and says on which host", () => {
  assert.deepEqual(found("TCP 6783", { ...ALONE, tcp: "timeout" }).fix, {
    ...{ on: "host2", command: null },
    nft: "nft insert rule inet filter input ip saddr 192.0.2.1 tcp dport 6783 accept",
    iptables: "iptables -I INPUT -s 192.0.2.1 -p tcp --dport 6783 -j ACCEPT",
  });
  const why =
    "nothing arrives from the peer over UDP: let this host's firewall accept UDP 6783 from 192.0.2.2";
  const deaf = { link: { ...WELL.link!, sleeve: { works: false, why } } };
  const between = found("UDP 6783", deaf);
  assert.match(between.said, /^bad: nothing arrives from the peer over UDP: this host's firewall lets it in/);
  assert.equal(between.fix?.on, "what is between the hosts");
  const here = found("UDP 6783", { ...deaf, firewall: undefined }).fix!;
  assert.deepEqual([here.on, here.nft?.includes("ip saddr 192.0.2.2")], ["this host", true]);
  const esp = found("ESP", { link: { ...WELL.link!, fastdp: { works: false, why: "a firewall blocks it" } } })
    .fix!;
  assert.match(esp.nft!, /meta l4proto esp accept$/);
  assert.match(esp.iptables!, /-p esp -j ACCEPT$/);
  const leaving = {
    message:
      "This host's firewall drops what it sends to other hosts' TCP 6783: rule 1 of chain out drops it",
    hint: "Let it out: nft insert rule inet block out tcp dport 6783 accept",
  };
  const others = {
    message: leaving.message.replace("it sends to other hosts'", "other hosts send to"),
    hint: "x",
  };
  const fixWith = (firewall: readonly typeof leaving[]) =>
    found("TCP 6783", { ...ALONE, tcp: "timeout", firewall }).fix?.on;
  assert.equal(fixWith([leaving]), "this host");
  assert.notEqual(fixWith([others]), "this host");
  const ipv6 = { ...ALONE, tcp: "timeout", address: "fd00::2" } as const;
  const known = found("TCP 6783", { ...ipv6, local: "fd00::1" }).fix!;
  assert.match(known.nft! + known.iptables!, /ip6 saddr fd00::1 .*ip6tables -I/);
  assert.match(found("TCP 6783", { ...ipv6, local: null }).fix!.iptables!, /^ip6tables -I INPUT -p tcp/);
  const own = (hint: string) => found("firewall", { firewall: [{ message: "m", hint }] }).fix!;
  assert.equal(own("Open the mesh's ports: iptables -I INPUT -j X").iptables, "iptables -I INPUT -j X");
  assert.equal(own("Open the mesh's ports: ufw allow 6783/tcp").command, "ufw allow 6783/tcp");
});

Deno.test("checkLines() names the cause where it is another one than a firewall between the hosts", () => {
  const sealed = { ...WELL.link!, sleeve: { works: true, why: "" } };
  const silent =
    "no answer to full-size VXLAN heartbeats on UDP 6784: a firewall blocks it, or the path carries less";
  const besides = (
    why: string,
    more: Partial<CheckFacts> = {},
    link: Partial<typeof sealed> = { sealed: false },
  ) => ({
    link: { ...sealed, fastdp: { works: false, why: `${why} than 1460 bytes` }, ...link },
    ...more,
  });
  const taken = besides("cannot open VXLAN port 6784 on this host: Address already in use", {
    tunnelHolder: { name: "perl (process 7)", pid: 7 },
  }, {});
  assert.match(
    found("UDP 6784", taken).said,
    /^bad: cannot open VXLAN port 6784 .*: perl \(process 7\) has it$/,
  );
  assert.deepEqual([found("UDP 6784", taken).fix?.command, found("UDP 6784", taken).fix?.on], [
    "kill 7",
    "this host",
  ]);
  assert.match(found("ESP", taken).said, /^unknown: UDP 6784, which travels inside/);
  const vxlan = besides("cannot open VXLAN port 6784 on this host: Address already in use");
  assert.equal(found("UDP 6784", vxlan).fix?.command, "ip -d link show type vxlan");

  // This host knows it before it has heard of the other one.
  const { tunnelHolder } = taken;
  for (const change of [{}, { tcp: "refused", link: undefined } as const, { intro: INTRO }]) {
    const early = found("UDP 6784", { ...ALONE, ...change, noTunnelPort: true, tunnelHolder });
    assert.match(early.said, /^bad: cannot open VXLAN port 6784 on this host: perl \(process 7\) has it$/);
    assert.equal(early.fix?.command, "kill 7");
  }
  const setUp = besides("the VXLAN port 6784 of this host is being made", { noTunnelPort: true }, {});
  assert.match(
    found("UDP 6784", setUp).said,
    /^bad: cannot open VXLAN port 6784 .*VXLAN interface may have it/,
  );
  assert.match(found("ESP", setUp).said, /^unknown: UDP 6784, which travels inside/);

  const message =
    "This host's firewall drops what other hosts send to UDP 6783 and 6784: rule 1 of chain in drops it";
  const ruled = besides(silent, {
    firewall: [{ message, hint: "Open the mesh's ports: nft insert rule inet block in x" }],
  });
  assert.equal(found("UDP 6784", ruled).text, message);
  assert.deepEqual(
    [found("UDP 6784", ruled).fix?.on, found("UDP 6784", ruled).fix?.nft],
    ["this host", "nft insert rule inet block in x"],
  );
  const other = { ...ruled, firewall: [{ message: message.replace("UDP", "TCP"), hint: "x" }] };
  assert.equal(found("UDP 6784", other).fix?.on, "host2");

  const narrow = besides(silent, {}, { sealed: false, mtu: 1300 });
  assert.match(found("UDP 6784", narrow).said, /^bad: small packets get through .* the path carries 1300$/);
  assert.equal(found("UDP 6784", narrow).fix?.command, "meshnet up --mtu 1300");
  const early = besides("the VXLAN port 6784 of this host is being made");
  assert.equal(found("UDP 6784", early).state, "unknown");
  const odd = besides("something else is less");
  assert.deepEqual([found("UDP 6784", odd).state, found("UDP 6784", odd).fix], ["bad", null]);
});

Deno.test("checkLines() proposes an MTU that fits tunnels that are sealed, too", () => {
  // Of 1500 bytes user space carries 1414 sealed, and ESP around VXLAN takes 87.
  const sealed = found("MTU", { link: { ...WELL.link!, mtu: 1414 }, mtu: 9000 });
  assert.equal(sealed.fix!.command, "meshnet up --mtu 1410");
  const clear = found("MTU", { link: { ...WELL.link!, sealed: false, mtu: 1438 }, mtu: 9000 });
  assert.equal(clear.fix!.command, "meshnet up --mtu 1438");
});
