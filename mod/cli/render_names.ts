/** Names as text: their list, and their line in the overview. */
import type { NameReport, NamesReport } from "../control/name_types.ts";
import { count, type Paint, table } from "./render.ts";

/** One line for the overview. */
export function namesLine(dns: NamesReport | null): string {
  if (dns === null) return "off (--no-dns)";
  return `${dns.domain}: ${count(dns.entries, "record")}, ${dns.own} of this host`;
}

/** Every record, with whose it is and who gives it. */
export function renderNames(names: readonly NameReport[], look: Paint): string {
  if (names.length === 0) {
    return "No names. Give one with `meshnet attach --name NAME TARGET` or `meshnet dns add NAME ADDRESS`.\n";
  }
  const rows = names.map(({ container, healthy, name, nickname, peer, record }) => ({
    cells: [
      { text: name },
      { text: record },
      { text: container },
      { text: nickname === "" ? peer : `${peer}(${nickname})` },
      { text: healthy ? "" : "does not answer", paint: look.bad },
    ],
  }));
  return table(["NAME", "RECORD", "OF", "HOST", ""], rows, look);
}
