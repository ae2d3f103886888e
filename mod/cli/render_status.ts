/** The pages of `meshnet status` as text. */
import type { ConnectionReport, ConnectionState, PeerReport, StatusReport } from "../control/api_types.ts";
import { DEFAULT_PORT } from "../core/options.ts";
import { padded } from "./columns.ts";
import { ipamLine } from "./render_ipam.ts";
import { namesLine } from "./render_names.ts";
import { absenceLines, connectionLines, silence, who } from "./render_trouble.ts";
import { total, trafficLines } from "./render_traffic.ts";
import { count, duration, type Paint, printable, size, targetText } from "./render.ts";
import { table } from "./table.ts";

const LABEL = 14;
/** A round trip that was measured longer ago is shown with its age: idle links measure it every ten seconds. */
const OLD_MS = 30_000;
const STATES: readonly ConnectionState[] = ["established", "pending", "connecting", "retrying", "failed"];

/** The overview: one line per fact, then what is wrong and what to do about it. */
export function renderOverview(
  report: StatusReport,
  { look, commandVersion }: { readonly look: Paint; readonly commandVersion: string },
): string {
  const line = (label: string, value: string) => `${look.dim(label.padStart(LABEL))}  ${value}`;
  const lines = [
    line("Name", `${printable(report.nickname)} (${report.name})${formerName(report)}`),
    line("State", stateSentence(report, look)),
    line(
      "Version",
      `${report.version}, up ${duration(report.uptimeMs)}${otherVersion(report, commandVersion)}`,
    ),
    line("Protocol", `${report.protocol.name} ${versions(report.protocol)}, TCP port ${report.port}`),
    line("Encryption", encryption(report)),
    line("Discovery", report.peerDiscovery ? "on" : "off: only targets are dialled"),
    line("Targets", report.targets.length === 0 ? "none" : printable(report.targets.join(", "))),
    line("Connections", tally(report.connections)),
    line(
      "Peers",
      `${report.peers.length} (${count(establishedPairs(report), "established link")})`,
    ),
    line("Datapath", datapath(report)),
    line("Addresses", ipamLine(report.ipam)),
    line("Names", namesLine(report.dns)),
    ...exposed(report).map((text) => line("Exposed", text)),
    ...firewall(report).map((text) => line("Firewall", text)),
    ...engine(report).map((text) => line("Engine", text)),
    ...attachments(report).map((one, i) => line(i === 0 ? "Attachments" : "", one)),
  ];
  for (const line of connectionLines(report)) lines.push("", look.warn(line));
  const absent = absenceLines(report);
  if (absent.length > 0) lines.push("", ...absent.map((line) => look.warn(line)));
  for (const problem of report.problems) {
    lines.push("", look.bad(printable(problem.message)));
    if (problem.hint !== null) lines.push(`  hint: ${printable(problem.hint)}`);
  }
  return lines.join("\n") + "\n";
}

/** Pairs of peers that have an established connection, as either of them says. */
function establishedPairs({ peers }: StatusReport): number {
  const pairs = peers.flatMap(({ connections, name }) =>
    connections.filter(({ established }) => established).map(({ peer }) => [name, peer].sort().join())
  );
  return new Set(pairs).size;
}

/** Said of a host that nobody is to be connected to, since the others left. */
function leftAlone({ lost, targets }: StatusReport): string | undefined {
  if (lost.length === 0 || targets.length > 0) return undefined;
  return `alone: ${count(lost.length, "other host")} left within the last hour, see below`;
}

function stateSentence(report: StatusReport, look: Paint): string {
  if (report.problems.length > 0) return look.bad(`${count(report.problems.length, "problem")}, see below`);
  const up = report.connections.filter((connection) => connection.state === "established").length;
  if (report.connections.length === 0) {
    const left = leftAlone(report);
    if (left !== undefined) return look.warn(left);
    return report.targets.length === 0
      ? look.good(
        `alone, waiting for others: start them with \`meshnet up --peers ${printable(report.nickname)}${
          report.port === DEFAULT_PORT ? "" : `:${report.port}`
        }\``,
      )
      : look.warn(firstPeerSentence(report));
  }
  if (up < report.connections.length) {
    return look.warn(`${up} of ${report.connections.length} connections work so far`);
  }
  const silent = report.connections.filter(({ silentMs }) => silentMs !== null).length;
  if (silent > 0) {
    return look.warn(`${silent} of ${count(report.connections.length, "connection")} silent, see below`);
  }
  return look.good(up === 1 ? "the connection works" : `all ${up} connections work`);
}

function firstPeerSentence({ targetStates }: StatusReport): string {
  if (targetStates.some(({ state }) => state !== "itself")) return "looking for the first peer";
  return "the only peer that was named is this host itself: name another with `meshnet connect HOST`";
}

function formerName({ formerName }: StatusReport): string {
  return formerName === null ? "" : `, formerly ${formerName} (cloned machine)`;
}

function otherVersion(report: StatusReport, commandVersion: string): string {
  return report.version === commandVersion
    ? ""
    : `; this command is ${commandVersion}: restart the daemon to run that`;
}

function versions({ min, max }: StatusReport["protocol"]): string {
  return min === max ? `${max}` : `${min}..${max}`;
}

function encryption(report: StatusReport): string {
  if (!report.encryption) return "off: no password is set";
  const trusted = report.trustedSubnets;
  return trusted.length === 0 ? "on" : `on, except between hosts in ${trusted.join(", ")}`;
}

/** `3 (2 established, 1 failed)`. */
function tally(connections: readonly ConnectionReport[]): string {
  const parts = STATES.map((state) => [state, connections.filter((c) => c.state === state).length] as const)
    .filter(([, n]) => n > 0).map(([state, n]) => `${n} ${state}`);
  return parts.length === 0 ? "none" : `${connections.length} (${parts.join(", ")})`;
}

function datapath({ datapath }: StatusReport): string {
  const mtu = datapath.mtu === null ? "MTU not known yet" : `MTU ${datapath.mtu}`;
  return `${datapath.kind}, ${mtu}, ${count(datapath.ports, "port")}, ${count(datapath.flows, "flow")}${
    datapath.overruns === 0
      ? ""
      : `; ${count(datapath.overruns, "packet")} lost because this host was too slow`
  }${
    datapath.tooLarge === 0
      ? ""
      : `; ${count(datapath.tooLarge, "packet")} of other hosts dropped for being larger than that MTU`
  }${datapath.noFastdp === null ? "" : `; no fastdp: ${datapath.noFastdp}`}`;
}

/** `10.32.0.1/12, 10.2.1.254/24 (no masquerading)`; nothing where this host is not exposed. */
function exposed({ exposed }: StatusReport): readonly string[] {
  const one = ({ address, masquerade }: StatusReport["exposed"][number]) =>
    address + (masquerade ? "" : " (no masquerading)");
  return exposed.length === 0 ? [] : [exposed.map(one).join(", ")];
}

/** Said only where there is something of ours, or was. */
function firewall({ firewall: { rules, undone, undoneAgoMs } }: StatusReport): readonly string[] {
  if (rules.length === 0 && undone === 0) return [];
  const ours = rules.length === 0
    ? "no rules of meshnet"
    : `${count(rules.length, "rule")} of meshnet, in ${rules.join(", in ")}`;
  const again = undoneAgoMs === null
    ? ""
    : `; other programs took ${undone === 1 ? "one" : "some"} out ${count(undone, "time")}, last ${
      duration(undoneAgoMs)
    } ago`;
  return [printable(ours + again)];
}

/** Said only where there is one, or containers wait for it. */
function engine({ attachments, engine }: StatusReport): readonly string[] {
  if (engine === null) return [];
  const { api, info, socket, version } = engine;
  if (version !== null) return [printable(`version ${version} (API ${api}) at ${socket}`)];
  const awaited = attachments.some(({ target }) => target.startsWith("container:"));
  return awaited ? [printable(`none at ${socket}: ${info}; containers stay as they are`)] : [];
}

/** One to a line, as there may be many. */
function attachments({ attachments, engine }: StatusReport): readonly string[] {
  const networked = engine?.containers ?? 0;
  if (networked > 0) {
    const first = `${count(networked, "container")} of the engine's networks, see \`meshnet ps\``;
    return [first, ...attachments.map(attachmentLine)];
  }
  if (attachments.length === 0) {
    return [
      "none; connect a container or a namespace with `meshnet attach NAME` or `meshnet attach netns:NAME`",
    ];
  }
  return attachments.map(attachmentLine);
}

function attachmentLine(one: StatusReport["attachments"][number]): string {
  const words = [targetText(one), ...one.addresses, ...one.names].join(" ");
  return printable(words + (one.attached ? "" : " (not attached)"));
}

const arrow = (outbound: boolean) => outbound ? "->" : "<-";

/** One line per connection; below each that is not well: the fault, the fix, and the next attempt. */
export function renderConnections(report: StatusReport, look: Paint): string {
  const absent = absenceLines(report, { all: true }).map((line) => `${look.warn(line)}\n`);
  return [connectionTable(report, look), ...(absent.length > 0 ? ["\n"] : []), ...absent].join("");
}

function connectionTable(report: StatusReport, look: Paint): string {
  if (report.connections.length === 0) {
    const left = leftAlone(report);
    if (left !== undefined) return `${look.warn(left)}\n`;
    return report.targets.length === 0
      ? "No connections: nobody to connect to. Name a host with `meshnet connect HOST`.\n"
      : "No connections yet.\n";
  }
  const order = [...report.connections].sort((a, b) =>
    STATES.indexOf(a.state) - STATES.indexOf(b.state) || a.address.localeCompare(b.address)
  );
  return table(
    ["", "ADDRESS", "STATE", "OVERLAY", "MTU", "ENCRYPTED", "RTT", "RECEIVED", "SENT", "PEER"],
    order.map((one) => ({
      cells: [
        { text: arrow(one.outbound) },
        { text: one.address },
        { text: one.state, paint: stateColour(one.state, look) },
        { text: one.overlay ?? "-" },
        { text: one.mtu === null ? "-" : String(one.mtu) },
        { text: one.overlay === null && !one.encrypted ? "-" : one.encrypted ? "yes" : "no" },
        { text: roundTrip(one), ...one.silentMs === null ? {} : { paint: look.warn } },
        { text: one.traffic === null ? "-" : size(total(one.traffic, "receivedBytes")) },
        { text: one.traffic === null ? "-" : size(total(one.traffic, "sentBytes")) },
        { text: who(one.peer, one.nickname) },
      ],
      notes: notesOf(one),
    })),
    look,
  );
}

/** What was measured long ago is not shown as if it were so now. */
function roundTrip({ rttMs, rttAgeMs }: ConnectionReport): string {
  if (rttMs === null) return "-";
  const text = `${rttMs.toFixed(rttMs < 10 ? 2 : 0)} ms`;
  return rttAgeMs === null || rttAgeMs < OLD_MS ? text : `${text} (${duration(rttAgeMs)} ago)`;
}

function notesOf(
  one: { readonly info: string; readonly retryInMs: number | null; readonly silentMs?: number | null },
): string[] {
  const next = one.retryInMs === null ? "" : `next try in ${duration(one.retryInMs)}`;
  return [[silence(one.silentMs ?? null), one.info, next].filter((part) => part !== "").join("; ")]
    .filter((note) => note !== "");
}

function stateColour(state: ConnectionState, look: Paint): (text: string) => string {
  return state === "established" ? look.good : state === "failed" ? look.bad : look.warn;
}

/** Every peer with its links. */
export function renderPeers(report: StatusReport, look: Paint): string {
  const blocks = [...report.peers].sort((a, b) =>
    rank(a, report) - rank(b, report) || (a.name < b.name ? -1 : 1)
  )
    .map((peer) => {
      const notes = [
        peer.name === report.name ? "this host" : "",
        peer.shortId === null ? "no short id" : `short id ${peer.shortId}`,
      ].filter((note) => note !== "").join(", ");
      const head = `${look.bold(printable(who(peer.name, peer.nickname)))}  ${look.dim(notes)}`;
      const links = peer.connections.map((link) =>
        `   ${arrow(link.outbound)} ${link.address.padEnd(21)}  ${
          padded(printable(who(link.peer, link.nickname)), 37)
        }  ` +
        (link.established ? look.good("established") : look.warn("pending"))
      );
      return [head, ...links, ...trafficLines(peer.traffic).map((line) => `   ${line}`)].join("\n");
    });
  return blocks.join("\n") + "\n";
}

const rank = (peer: PeerReport, report: StatusReport) => peer.name === report.name ? 0 : 1;

/** Every target as given, and what became of it. */
export function renderTargets(report: StatusReport, look: Paint): string {
  if (report.targetStates.length === 0) return "No targets. Name a host with `meshnet connect HOST`.\n";
  return table(
    ["TARGET", "STATE", "FROM", "ADDRESS", "PEER"],
    report.targetStates.map((one) => ({
      cells: [
        { text: one.target },
        { text: one.state, paint: targetColour(one.state, look) },
        { text: one.from },
        { text: one.address ?? "-" },
        { text: who(one.peer, nicknameOf(one.peer, report)) },
      ],
      notes: notesOf(one),
    })),
    look,
  ) + Object.entries(TARGET_STATES).filter(([state]) =>
    report.targetStates.some((one) => one.state === state)
  )
    .map(([state, meaning]) => look.dim(`${state}: ${meaning}`) + "\n").join("");
}

/** What those states mean that are no plain words. */
const TARGET_STATES: Readonly<Record<string, string>> = {
  satisfied: "its peer is connected already, by another connection",
  itself: "it leads to this host",
  waiting: "it is tried when its turn comes",
};

/** Who is not in the network now may still own addresses. */
function nicknameOf(peer: string | null, { ipam, peers }: StatusReport): string | null {
  return peers.find(({ name }) => name === peer)?.nickname ??
    ipam?.owners.find((owner) => owner.peer === peer)?.nickname ?? null;
}

function targetColour(state: string, look: Paint): (text: string) => string {
  return state === "connected" || state === "satisfied"
    ? look.good
    : state === "itself"
    ? look.dim
    : state === "failed"
    ? look.bad
    : look.warn;
}
