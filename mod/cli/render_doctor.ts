/** What the doctor and his tools say, for people. */
import type {
  DoctorReport,
  PathCount,
  PathEnd,
  PathHop,
  PathLink,
  PathReport,
} from "../control/doctor_types.ts";
import { count, type Paint, printable, targetText } from "./render.ts";
import { type Cell, table } from "./table.ts";

/** Exit code: it was done, and faults were found. */
export const FAULTS_FOUND = 4;

/** Every fault with its fix. */
export function renderDoctor({ checks, daemon, faults }: DoctorReport, look: Paint): string {
  const lines = faults.flatMap(({ fix, message }) => [
    `${look.bad("fault:")} ${printable(message)}`,
    ...fix === null ? [] : [`  ${look.dim("fix:")} ${printable(fix)}`],
  ]);
  const looked = `${count(checks.length, "check")}${daemon ? "" : ", as far as it goes without the daemon"}`;
  const end = faults.length === 0
    ? `${look.good("healthy")}: ${looked}`
    : `${count(faults.length, "fault")} in ${looked}`;
  return [...lines, end, ""].join("\n");
}

/** Each hop of a way, one line, with its time. */
export function renderPing(report: PathReport, look: Paint): string {
  const rows = report.hops.flatMap((hop) => [hostRow(hop, look), ...linkRow(hop.link, look)]);
  return wayTable(report, rows, look);
}

/** The same, with what each host would do with such a frame, and what its flows carried meanwhile. */
export function renderTrace(report: PathReport, look: Paint): string {
  const rows = report.hops.flatMap((hop) => [
    { ...hostRow(hop, look), notes: hop.silent === null ? hopNotes(hop) : [] },
    ...linkRow(hop.link, look),
  ]);
  return wayTable(report, rows, look);
}

function wayTable(report: PathReport, rows: readonly Row[], look: Paint): string {
  const all = [
    ...endRow(report.from, { ms: null, note: "" }),
    ...rows,
    ...endRow(report.to, { ms: report.ms, note: report.ms === null ? "no answer" : "answers" }),
  ];
  return table(["HOP", "WHO", "TIME", ""], all, look) + endLine(report, look);
}

type Row = { readonly cells: readonly Cell[]; readonly notes?: readonly string[] };

function hostRow({ ms, nickname, silent }: PathHop, look: Paint): Row {
  const note = silent === null ? "" : silent;
  return {
    cells: [{ text: "host" }, { text: nickname }, { text: time(ms) }, { text: note, paint: look.warn }],
  };
}

function linkRow(link: PathLink | null, look: Paint): readonly Row[] {
  if (link === null) return [];
  const { address, cipher, info, mtu, overlay, rttMs } = link;
  const way = overlay === null
    ? "no way"
    : [overlay, cipher ?? "in clear", ...mtu === null ? [] : [`MTU ${mtu}`]].join(", ");
  const paint = overlay === null ? look.bad : look.dim;
  const to = address === null ? "" : ` to ${address}`;
  return [{ cells: [{ text: "overlay" }, { text: way + to, paint }, { text: time(rttMs) }, { text: info }] }];
}

function endRow(end: PathEnd | null, { ms, note }: { ms: number | null; note: string }): readonly Row[] {
  if (end === null) return [];
  const who = end.target === null ? "" : `${targetText({ target: end.target, name: end.name })} `;
  const mac = end.mac === null ? "" : ` (${end.mac})`;
  const problem = end.problem === null ? note : end.problem;
  return [{
    cells: [{ text: "container" }, { text: `${who}${end.address ?? ""}${mac}` }, { text: time(ms) }, {
      text: problem,
    }],
  }];
}

function hopNotes({ back, dropped, out, port, there }: PathHop): readonly string[] {
  const flows = out.length === 0 ? "no flow for such frames" : `flow: ${out.join(", ")}`;
  return [
    port === null ? flows : `destination at port ${port}; ${flows}`,
    ...dropped === null ? [] : [`dropped: ${dropped}`],
    `packets there ${countText(there)}, back ${countText(back)}`,
  ];
}

function countText({ after, before }: PathCount): string {
  if (after === null) return before === null ? "none" : `${before}`;
  return `${before ?? 0} -> ${after}`;
}

function time(ms: number | null): string {
  return ms === null ? "" : `${ms < 10 ? ms.toFixed(2) : ms.toFixed(0)} ms`;
}

function endLine({ reached, verdict }: PathReport, look: Paint): string {
  return reached ? `${look.good("reached")}\n` : `${look.bad("ends here:")} ${printable(verdict)}\n`;
}
