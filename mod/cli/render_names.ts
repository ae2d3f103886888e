/** Names as text: their list, and their line in the overview. */
import type { EngineTrouble, HealthReport, NameReport, NamesReport } from "../control/name_types.ts";
import { count, duration, ownerText, type Paint, peerLabel, printable } from "./render.ts";
import { table } from "./table.ts";

const LABEL = 12;

/** One line for the overview. */
export function namesLine(dns: NamesReport | null): string {
  if (dns === null) return "off (--no-dns)";
  const where = dns.address === null ? "containers do not reach it" : `containers ask ${dns.address}`;
  return `${dns.domain}: ${count(dns.entries, "record")}, ${dns.own} of this host; ${where}`;
}

/** How a target that is probed is. */
export function healthText({ check, forMs, healthy, reason }: HealthReport): string {
  if (healthy === null || forMs === null) return `not known yet (${check})`;
  const since = `for ${duration(forMs)}`;
  return healthy ? `answers ${since}` : `does not answer ${since}: ${reason ?? check}`;
}

/** What a container engine says of a container that does not answer. */
const TROUBLES: Readonly<Record<EngineTrouble, string>> = {
  paused: "paused (`docker unpause` ends that)",
  starting: "starting: its HEALTHCHECK has not passed yet",
  unhealthy: "unhealthy by its own HEALTHCHECK",
};

/** How a target is: what the engine says, and what probes found; undefined: nobody looks, or it is well by the engine. */
export function stateText(
  { health, trouble }: { readonly health: HealthReport | null; readonly trouble: EngineTrouble | null },
): string | undefined {
  if (trouble === null) return health === null ? undefined : healthText(health);
  // What is paused answers nothing: its probes add nothing to that.
  const more = health !== null && trouble !== "paused" ? `; ${healthText(health)}` : "";
  return (TROUBLES[trouble] ?? printable(trouble)) + more; // a newer daemon may know more
}

/** Where and how names are answered. */
export function renderDns(dns: NamesReport | null, look: Paint): string {
  if (dns === null) return "There are no names: this host runs with --no-dns.\n";
  const line = (label: string, value: string) => `${look.dim(label.padStart(LABEL))}  ${value}`;
  const { counters, forward, listen, upstream } = dns;
  const where = listen.map(({ address, listening }) =>
    listening ? address : look.bad(`${address} (not yet)`)
  );
  const silence = (address: string, domain: string | null): string => {
    const one = dns.servers?.find((each) => each.address === address && each.domain === domain);
    return one?.state === "silent" ? look.bad(` (no answer for ${duration(one.silentMs ?? 0)})`) : "";
  };
  const forwarded = (text: string): string => {
    const [domain = "", address = ""] = text.split("=");
    return text + silence(address, domain);
  };
  const lines = [
    line("Domain", dns.domain),
    line("Containers", dns.address === null ? look.bad("they do not reach it") : `ask ${dns.address}`),
    line("Others", where.length === 0 ? "nobody (--dns-listen)" : `ask ${where.join(", ")}`),
    line("Order", dns.order + (dns.ttl === null ? "" : `, kept for ${dns.ttl} s`)),
    line(
      "Upstream",
      upstream === null
        ? "not known now"
        : upstream.length === 0
        ? "none"
        : upstream.map((address) => address + silence(address, null)).join(", "),
    ),
    ...(forward.length === 0 ? [] : [line("Forwarded", forward.map(forwarded).join(", "))]),
    ...linesOfHealth(dns, look).map((text, i) => line(i === 0 ? "Probed" : "", text)),
    line("Records", `${dns.entries}, ${dns.own} of this host; \`meshnet dns list\` shows them`),
  ];
  if (counters !== null) {
    const { answered, cached, failed, forwarded, limited, malformed, queries, refused, spoofed, unknown } =
      counters;
    lines.push(
      line(
        "Queries",
        `${queries}: ${answered} answered here (${unknown} of them: no such name), ${forwarded} ` +
          `forwarded, ${cached} from earlier answers`,
      ),
    );
    const bad = [[failed, "without an answer"], [spoofed, "false answers"], [malformed, "malformed"], [
      limited,
      "beyond their rate",
    ], [refused, "refused"]] as const;
    const troubles = bad.filter(([n]) => n > 0).map(([n, what]) => `${n} ${what}`);
    if (troubles.length > 0) lines.push(line("Trouble", look.warn(troubles.join(", "))));
  }
  return `${lines.join("\n")}\n`;
}

/** How many targets are probed, and how those are that do not answer. */
function linesOfHealth({ probed }: NamesReport, look: Paint): readonly string[] {
  if (probed.length === 0) return [];
  const bad = probed.filter(({ healthy }) => healthy !== true);
  const good = bad.length === 0
    ? `${count(probed.length, "target")}, all answer`
    : `${count(probed.length, "target")}, ${bad.length} not answering`;
  const lines = bad.map((one) => {
    const how = one.trouble === "paused" ? `is ${TROUBLES.paused}` : healthText(one);
    return `${printable(ownerText(one.target))} ${printable(how)}`;
  });
  return [good, ...lines.map((text) => look.bad(text))];
}

/** What is not as usual about a record, and whether it is answered all the same. */
function unusual(one: NameReport): string {
  const { answered, health, healthy, keptMs, trouble } = one;
  const away = keptMs === null ? undefined : "its host is away";
  const ill = healthy
    ? undefined
    : trouble !== null || health?.healthy === false
    ? stateText(one)
    : "does not answer";
  const why = [away, ill].filter((text) => text !== undefined).join("; ");
  if (answered === null) return why;
  if (!answered) return why === "" ? "left out" : `left out: ${why}`;
  const kept = keptMs === null ? "" : `; kept for ${duration(keptMs)} more`;
  return (ill === undefined ? why : `${why}; still answered, as none of the name is well`) + kept;
}

/** Every record, with whose it is and who gives it. */
export function renderNames(names: readonly NameReport[], look: Paint): string {
  if (names.length === 0) {
    return "No names. Give one with `meshnet attach --name NAME TARGET` or `meshnet dns add NAME ADDRESS`.\n";
  }
  const rows = names.map((one) => ({
    cells: [
      { text: one.name },
      { text: one.record },
      { text: ownerText(one.container) },
      { text: peerLabel(one) },
      { text: unusual(one), paint: look.bad },
    ],
  }));
  return table(["NAME", "RECORD", "OF", "HOST", ""], rows, look);
}
