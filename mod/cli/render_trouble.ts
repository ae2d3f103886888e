/** What `status` says of connections that are not well, of hosts that were not let in, and of those that left. */
import type { ConnectionReport, LostReport, RefusedReport, StatusReport } from "../control/api_types.ts";
import { count, duration, printable } from "./render.ts";

/** Hosts that the overview names one by one. */
const MOST_NAMED = 4;

/** A peer as people call it: `host1 (02:...)`, its name alone, or nothing. */
export function who(name: string | null, nickname: string | null): string {
  return name === null ? "" : `${nickname === null || nickname === "" ? "" : `${nickname} `}(${name})`;
}

/** For how long nothing has come. */
export function silence(silentMs: number | null): string {
  return silentMs === null ? "" : `silent for ${duration(silentMs)}`;
}

/** What is to be said of connections that are no problems: one line for one reason, whomever it concerns. */
export function connectionLines({ connections }: StatusReport): readonly string[] {
  const said = connections.flatMap((one) => {
    const isProblem = one.wanted && (one.state === "failed" || one.state === "retrying");
    const text = [silence(one.silentMs), one.info].filter((part) => part !== "").join("; ");
    return text === "" || isProblem ? [] : [{ one, text, like: alike(one, text) }];
  });
  return [...Map.groupBy(said, ({ like }) => like).values()].map((group) => {
    const { one, text } = group[0]!;
    const how = one.overlay === null ? ": " : ` over ${one.overlay}; `;
    if (group.length === 1) return printable(`${one.address} is ${one.state}${how}${text}`);
    return printable(`${someOf(group.map(({ one }) => nameOf(one)))} are ${one.state}${how}${text}`);
  });
}

/** Two connections are alike where the same is said of them, but for their own address. */
function alike({ address, overlay, silentMs, state }: ConnectionReport, text: string): string {
  const ip = address.slice(0, address.lastIndexOf(":"));
  return JSON.stringify([state, overlay, silentMs === null ? text.replaceAll(ip, "") : `${address} ${text}`]);
}

function nameOf({ address, nickname }: ConnectionReport): string {
  return nickname === null || nickname === "" ? address : nickname;
}

/** `a, b and c`; of many the first ones, and how many more. */
function someOf(names: readonly string[]): string {
  const [last, ...others] = names.length <= MOST_NAMED
    ? [names.at(-1)!, ...names.slice(0, -1)]
    : [`${names.length - MOST_NAMED + 1} more`, ...names.slice(0, MOST_NAMED - 1)];
  return `${others.join(", ")} and ${last}`;
}

/** Who was not let in lately and who has left, a line each; the overview has the first of them. */
export function absenceLines(
  report: StatusReport,
  { all }: { readonly all: boolean } = { all: false },
): readonly string[] {
  // Who is dialled has a line of his own that says why he does not come.
  const lost = report.lost.filter(({ peer }) => !report.connections.some((one) => one.peer === peer));
  const most = all ? Infinity : MOST_NAMED;
  return [
    ...lost.slice(0, most).map(loss),
    ...moreThan(most, lost.length, "left"),
    ...report.refused.slice(0, most).map(refusal),
    ...moreThan(most, report.refused.length, "refused"),
  ];
}

function moreThan(most: number, length: number, what: string): readonly string[] {
  return length > most
    ? [`${count(length - most, "other host")} ${what}, see \`meshnet status connections\``]
    : [];
}

function loss({ address, agoMs, nickname, peer, reason }: LostReport): string {
  return printable(`Lost ${who(peer, nickname)} at ${address} ${duration(agoMs)} ago: ${reason}`);
}

function refusal({ address, agoMs, count, nickname, peer, reason }: RefusedReport): string {
  const name = who(peer, nickname);
  const often = count === 1
    ? `once, ${duration(agoMs)} ago`
    : `${count} times in ten minutes, last ${duration(agoMs)} ago`;
  return printable(`Refused ${address}${name === "" ? "" : `, which is ${name}`}, ${often}: ${reason}`);
}
