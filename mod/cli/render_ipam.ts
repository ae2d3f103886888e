/** The page of `meshnet status` about addresses, and its line in the overview. */
import type { IpamReport } from "../control/address_types.ts";
import { type Paint, peerLabel, printable, targetText } from "./render.ts";
import { table } from "./table.ts";

const LABEL = 10;

/** One line for the overview. */
export function ipamLine(ipam: IpamReport | null): string {
  if (ipam === null) return "not allocated (--ip-range off)";
  const subnet = ipam.subnet === ipam.range ? "" : `, by default from ${ipam.subnet}`;
  return `${ipam.range}${subnet}: ${ipam.state}, ${ipam.active} in use here`;
}

/** Percentages with one decimal that add up to what they are together: each one rounded for itself would make 100.1. Those
 * that lose most by rounding down are rounded up. */
function roundedShares(percents: readonly number[]): readonly string[] {
  const tenths = percents.map((percent) => Math.floor(percent * 10));
  const sum = (all: readonly number[]) => all.reduce((total, one) => total + one, 0);
  const missing = Math.round(sum(percents) * 10) - sum(tenths);
  const byLoss = percents.map((percent, i) => ({ i, loss: percent * 10 - tenths[i]! })).sort((a, b) =>
    b.loss - a.loss
  );
  for (const { i } of byLoss.slice(0, missing)) tenths[i]!++;
  return tenths.map((one) => (one / 10).toFixed(1));
}

/** Who owns how many addresses, and who waits. */
export function renderIpam(ipam: IpamReport | null, look: Paint): string {
  if (ipam === null) return "Addresses are not allocated: this host runs with --ip-range off.\n";
  const line = (label: string, value: string) => `${look.dim(label.padStart(LABEL))}  ${value}`;
  const good = ipam.state === "ready" || ipam.state === "idle";
  const lines = [
    line("Range", `${ipam.range} (${ipam.addresses} addresses)`),
    line("Subnet", ipam.subnet),
    line("State", (good ? look.good : look.bad)(ipam.state)),
    ...(ipam.info === "" ? [] : [line("", printable(ipam.info))]),
    line("In use", `${ipam.active} on this host`),
  ];
  const shares = roundedShares(ipam.owners.map(({ percent }) => percent));
  const rows = ipam.owners.map(({ addresses, free, nickname, peer, reachable }, i) => ({
    cells: [
      { text: peerLabel({ nickname, peer }) },
      { text: String(addresses) },
      { text: `${shares[i]} %` },
      { text: String(free) },
      { text: reachable ? "" : "unreachable", paint: look.bad },
    ],
  }));
  const owners = rows.length === 0
    ? ""
    : `\n${table(["OWNER", "ADDRESSES", "SHARE", "FREE", ""], rows, look)}`;
  const more = [
    ...ipam.waiting.map(({ holder, wants }) =>
      `${targetText({ target: holder, name: null })} waits for ${wants}`
    ),
    ...ipam.inUse.map(({ address, by }) => `${address} is given to nobody: ${by} uses it`),
    ...ipam.removals.map(({ heir, missing, nickname, peer }) =>
      `${nickname || peer} is declared lost; ${heir ?? "nobody yet"} is to take over, ` +
      (missing.length === 0 ? "all have agreed" : `no consent yet of ${missing.join(", ")}`)
    ),
  ].map((text) => `${printable(text)}\n`);
  return `${lines.join("\n")}\n${owners}${more.length === 0 ? "" : `\n${more.join("")}`}`;
}
