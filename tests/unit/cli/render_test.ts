import assert from "node:assert/strict";
import { duration, formatError, messageLines, paint, printable } from "../../../mod/cli/render.ts";
import { table } from "../../../mod/cli/table.ts";
import {
  renderConnections,
  renderOverview,
  renderPeers,
  renderTargets,
} from "../../../mod/cli/render_status.ts";
import { renderCheck } from "../../../mod/cli/render_check.ts";
import { renderIpam } from "../../../mod/cli/render_ipam.ts";
import { stoppedText } from "../../../mod/cli/commands/down.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { EXAMPLE } from "../control/example_status.ts";

const plain = paint(false);

Deno.test("table() aligns columns and leaves no blanks at line ends", () => {
  const rows = [
    { cells: [{ text: "a" }, { text: "long value" }, { text: "" }], notes: ["a note"] },
    { cells: [{ text: "wide cell" }, { text: "b" }, { text: "c" }] },
  ];
  assert.equal(
    table(["X", "Y", "Z"], rows, plain),
    "X          Y           Z\na          long value\n      a note\nwide cell  b           c\n",
  );
});

Deno.test("table() colours cells without moving columns", () => {
  const rows = [{ cells: [{ text: "up", paint: paint(true).good }, { text: "x" }] }];
  // deno-lint-ignore no-control-regex -- colours are control characters
  const bare = table(["STATE", "Y"], rows, paint(true)).replace(/\x1b\[[0-9]+m/g, "");
  assert.equal(bare, table(["STATE", "Y"], [{ cells: [{ text: "up" }, { text: "x" }] }], plain));
});

Deno.test("stoppedText() tells whose containers are cut off while the daemon is away", () => {
  assert.match(
    stoppedText({ pid: 1, peersThroughDaemon: 0, answeredNames: false }),
    /^Stopped\. Containers keep talking: .*reset`\.\n$/,
  );
  assert.equal(stoppedText({ pid: 1 }), stoppedText({ pid: 1, peersThroughDaemon: 0, answeredNames: false }));
  assert.match(
    stoppedText({ pid: 1, peersThroughDaemon: 1, answeredNames: false }),
    /Those of the peer that traffic reached .* cut off/,
  );
  assert.match(stoppedText({ answeredNames: true }), /keep talking.*\nUntil `meshnet up`, .* no names/);
  assert.match(
    stoppedText({ pid: 1, peersThroughDaemon: 3, answeredNames: false }),
    /Those of the 3 peers that/,
  );
});

Deno.test("printable() disarms control characters from other hosts", () => {
  assert.equal(printable("a\x1b[31mb\nc\u009bd"), "a\ufffd[31mb\ufffdc\ufffdd");
  assert.equal(
    printable("a\u202eb\u200bc\u2066d\ufeff"),
    "a\ufffdb\ufffdc\ufffdd\ufffd",
    "unseen, or turned around",
  );
  const nasty = {
    ...EXAMPLE,
    nickname: "\x1b[2J",
    connections: [{ ...EXAMPLE.connections[0]!, nickname: "\x07" }],
  };
  const pages = [
    renderOverview(nasty, { look: plain, commandVersion: "0.1.0" }),
    renderConnections(nasty, plain),
    renderPeers({ ...nasty, peers: [{ ...EXAMPLE.peers[0]!, nickname: "\x1b" }] }, plain),
    renderTargets({ ...nasty, targetStates: [{ ...EXAMPLE.targetStates[0]!, info: "\x1b" }] }, plain),
  ];
  // deno-lint-ignore no-control-regex -- what must not be there
  for (const page of pages) assert.doesNotMatch(page, /[\x00-\x09\x0b-\x1f]/);
});

Deno.test("duration() speaks as people do", () => {
  const spans = [0, 14_200, 119_000, 180_000, 7_500_000, 11_520_000, 787_000_000].map(duration);
  assert.deepEqual(spans, ["0 s", "14 s", "119 s", "3 min", "2 h 5 min", "3 h 12 min", "9 d 2 h"]);
});

Deno.test("messageLines() wraps at blanks", () => {
  assert.deepEqual(messageLines("aa bb cc", 5), ["aa bb", "cc"]);
  assert.deepEqual(messageLines("a-very-long-word x", 5), ["a-very-long-word", "x"]);
  assert.deepEqual(messageLines("", 5), []);
});

Deno.test("formatError() prints message and hint, and says that anything else is a bug", () => {
  assert.equal(
    formatError(new MeshnetError("up/port-taken", "Cannot listen", { hint: "Stop it" })),
    "meshnet: Cannot listen\nhint: Stop it\n",
  );
  assert.equal(formatError(new MeshnetError("up/port-taken", "Cannot listen")), "meshnet: Cannot listen\n");
  assert.match(
    formatError(new TypeError("oops")),
    /^meshnet: Something unexpected happened: TypeError: oops/,
  );
});

Deno.test("renderOverview() says what to do when nobody is there yet", () => {
  const alone = {
    ...EXAMPLE,
    connections: [],
    targets: [],
    targetStates: [],
    peers: [EXAMPLE.peers[1]!],
    problems: [],
    lost: [],
  };
  const left = renderOverview({ ...alone, lost: EXAMPLE.lost }, { look: plain, commandVersion: "0.2.0" });
  assert.match(left, /State {2}alone: 1 other host left within the last hour, see below\n/);
  const text = renderOverview(alone, { look: plain, commandVersion: "0.2.0" });
  assert.match(text, /State {2}alone, waiting for others: start them with `meshnet up --peers host1`/);
  const itself = {
    ...EXAMPLE.targetStates[0]!,
    state: "itself",
    info: "this address is one of this host itself",
  };
  const named = { ...alone, targets: [itself.target], targetStates: [itself] };
  assert.match(
    renderOverview(named, { look: plain, commandVersion: "0.1.0" }),
    /State {2}the only peer that was named is this host itself: name another/,
  );
  assert.match(renderTargets(named, plain), /itself[^]*this host itself/);
  const more = { ...named, targetStates: [itself, { ...itself, state: "failed" }] };
  assert.match(renderOverview(more, { look: plain, commandVersion: "0.1.0" }), /looking for the first peer/);
  const elsewhere = renderOverview({ ...alone, port: 7000 }, { look: plain, commandVersion: "0.1.0" });
  assert.match(elsewhere, /start them with `meshnet up --peers host1:7000`/);
  assert.match(
    text,
    /Version {2}0\.1\.0, up 3 h 12 min; this command is 0\.2\.0: restart the daemon to run that/,
  );
  assert.match(renderConnections(alone, plain), /Name a host with `meshnet connect HOST`/);
  assert.match(renderTargets(alone, plain), /Name a host with `meshnet connect HOST`/);
});

Deno.test("renderTargets() knows the nickname of an owner of addresses that is away", () => {
  const ipam = EXAMPLE.ipam!;
  const [owner] = ipam.owners;
  const away = { ...owner!, peer: "0a:00:00:00:00:09", nickname: "host9", reachable: false };
  const failed = { ...EXAMPLE.targetStates[0]!, state: "failed", peer: away.peer };
  const report = { ...EXAMPLE, targetStates: [failed], ipam: { ...ipam, owners: [owner!, away] } };
  assert.match(renderTargets(report, plain), /host9 \(0a:00:00:00:00:09\)/);
  assert.match(renderTargets({ ...report, ipam: null }, plain), / \(0a:00:00:00:00:09\)/);
});

Deno.test("renderOverview() gives each attachment a line", () => {
  const one = EXAMPLE.attachments[0]!;
  const gone = { ...one, target: "netns:gone", names: [], attached: false };
  const text = renderOverview({ ...EXAMPLE, attachments: [one, gone] }, {
    look: plain,
    commandVersion: "0.1.0",
  });
  const lines = text.split("\n");
  const at = lines.findIndex((line) => line.startsWith("   Attachments  "));
  assert.equal(lines[at], `   Attachments  ${[one.target, ...one.addresses, ...one.names].join(" ")}`);
  assert.equal(lines[at + 1], `                netns:gone ${one.addresses.join(" ")} (not attached)`);
});

Deno.test("renderOverview() counts the containers of an engine's networks", () => {
  const engine = { socket: "/run/docker.sock", version: "28", api: "1.50", info: "", containers: 2 };
  const [one] = EXAMPLE.attachments;
  const shown = (attachments: typeof EXAMPLE.attachments) =>
    renderOverview({ ...EXAMPLE, attachments, engine }, { look: plain, commandVersion: "0.1.0" });
  assert.match(shown([]), /Attachments {2}2 containers of the engine's networks, see `meshnet ps`\n/);
  assert.doesNotMatch(shown([]), /none; connect/);
  assert.match(shown([one!]), new RegExp(`2 containers of .*\\n +${one!.target} `));
});

Deno.test("renderOverview() tells why a live connection is not at its best", () => {
  const slow = {
    ...EXAMPLE.connections[1]!,
    overlay: "sleeve" as const,
    info: "no fastdp: UDP port 6784 is blocked",
  };
  const text = renderOverview({ ...EXAMPLE, connections: [slow], problems: [] }, {
    look: plain,
    commandVersion: "0.1.0",
  });
  assert.match(text, /192\.0\.2\.2:6783 is established over sleeve; no fastdp: UDP port 6784 is blocked/);
  assert.match(text, /State {2}the connection works/);
});

Deno.test("status shows a round trip of long ago with its age, and for how long a peer has been silent", () => {
  const [, works] = EXAMPLE.connections;
  const silent = { ...works!, overlay: "sleeve" as const, rttAgeMs: 71_000, silentMs: 70_000 };
  const report = { ...EXAMPLE, connections: [silent], problems: [] };
  assert.match(renderConnections(report, plain), /0\.31 ms \(71 s ago\) .*\n +silent for 70 s\n/);
  const overview = renderOverview(report, { look: plain, commandVersion: "0.1.0" });
  assert.match(overview, /State +1 of 1 connection silent, see below\n/);
  assert.match(overview, /192\.0\.2\.2:6783 is established over sleeve; silent for 70 s\n/);
  const fresh = { ...EXAMPLE, connections: [{ ...works!, rttAgeMs: 9_000, silentMs: null }], problems: [] };
  assert.doesNotMatch(renderConnections({ ...fresh, lost: [], refused: [] }, plain), /ago|silent/);
});

Deno.test("the overview has one line for one reason, whomever it concerns, and counts links once", () => {
  const [, works] = EXAMPLE.connections;
  const some = ["host2", "host3", "host4", "host5", "host6"].map((nickname, i) => ({
    ...{ ...works!, nickname, address: `192.0.2.${i + 2}:6783`, overlay: "sleeve" as const },
    info: `no fastdp: UDP port 6784 to 192.0.2.${i + 2} is blocked`,
  }));
  const shown = (n: number) =>
    renderOverview({ ...EXAMPLE, connections: some.slice(0, n), problems: [] }, {
      ...{ look: plain, commandVersion: "0.1.0" },
    });
  assert.match(shown(1), /^192\.0\.2\.2:6783 is established over sleeve; no fastdp: /m);
  assert.match(shown(2), /^host2 and host3 are established over sleeve; no fastdp: /m);
  assert.match(shown(4), /^host2, host3, host4 and host5 are established over sleeve/m);
  assert.match(shown(5), /^host2, host3, host4 and 2 more are established over sleeve/m);
  assert.equal(shown(5).split("no fastdp").length, 2);
  assert.match(shown(1), /Peers +2 \(1 established link\)/);
});

Deno.test("status targets explains states that are no plain words", () => {
  const [one] = EXAMPLE.targetStates;
  const text = renderTargets({ ...EXAMPLE, targetStates: [{ ...one!, state: "satisfied" }] }, plain);
  assert.match(text, /^satisfied: its peer is connected already, by another connection$/m);
  assert.doesNotMatch(renderTargets(EXAMPLE, plain), /satisfied/);
});

Deno.test("renderIpam() shows shares that add up to a hundred", () => {
  const { ipam } = EXAMPLE;
  const shares = (percents: readonly number[]) =>
    renderIpam(
      { ...ipam!, info: "", owners: percents.map((percent) => ({ ...ipam!.owners[0]!, percent })) },
      plain,
    ).match(/[0-9.]+(?= %)/g);
  assert.deepEqual(shares([33.34, 33.33, 33.33]), ["33.4", "33.3", "33.3"]);
  assert.deepEqual(shares([14.06, 14.06, 14.06, 57.82]), ["14.1", "14.1", "14.0", "57.8"]);
  assert.deepEqual(shares([100]), ["100.0"]);
});

Deno.test("renderCheck() says a fix once that mends several lines", () => {
  const fix = { on: "host2", command: "meshnet up", nft: null, iptables: null };
  const line = (what: string) => ({ what, state: "bad" as const, text: "nothing uses it", fix });
  const lines = [line("TCP 6783"), line("UDP 6783"), { ...line("clock"), fix: { ...fix, on: "host1" } }];
  const text = renderCheck({ host: "host2", address: "192.0.2.2", peer: null, good: false, lines }, plain);
  assert.deepEqual(text.match(/fix on \w+/g), ["fix on host2", "fix on host1"]);
});
