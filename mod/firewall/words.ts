/** What is said about the firewall, and the commands that mend it. Pure. */
import type { ChainPlace, Dropping, FirewallPlan, PortLoss } from "./plan.ts";
import type { MeshPort, WantedRule } from "./wanted.ts";

/** What is wrong, for people. */
export interface FirewallProblem {
  /** A sentence without full stop. */
  readonly message: string;
  /** What to do about it. */
  readonly hint: string;
}

/** What there is on a host. */
export interface Programs {
  /** Both kinds of iptables have rules here, so the plain name is not enough. */
  readonly both?: boolean;
}

const FAMILY_NAMES = { ip: "IPv4", ip6: "IPv6" } as const;

/** `chain FORWARD of table ip filter`. */
export function chainName({ backend, chain, family, table }: ChainPlace): string {
  if (backend === "nft") return `chain ${chain} of table ${family} ${table}`;
  return `chain ${chain} of table ${table} of ${legacyProgram(family)}`;
}

function legacyProgram(family: ChainPlace["family"]): string {
  return family === "ip6" ? "ip6tables-legacy" : "iptables-legacy";
}

/** Which program a person would change a chain with; undefined: `nft`. */
function iptablesOf(
  { backend, chain, family, table }: ChainPlace,
  { both = false }: Programs,
): string | undefined {
  if (backend === "legacy") return legacyProgram(family);
  // iptables writes its chains in capitals, in tables with these names.
  if (family === "inet" || table !== "filter" || !/^(INPUT|OUTPUT|FORWARD|DOCKER-USER)$/.test(chain)) {
    return undefined;
  }
  return (family === "ip" ? "iptables" : "ip6tables") + (both ? "-nft" : "");
}

/** What drops it: `chain FORWARD of table ip filter has policy drop`. */
function cause({ at, number, rule }: Dropping): string {
  return rule === undefined
    ? `${chainName(at)} has policy drop`
    : `rule ${number} of ${chainName(at)} drops it`;
}

/** What is dropped and nobody may or will let through. */
export function forwardProblems(
  { dropping }: Pick<FirewallPlan, "dropping">,
  programs: Programs = {},
): readonly FirewallProblem[] {
  return dropping.map((one) => {
    const families = one.families.map((family) => FAMILY_NAMES[family]).join(" and ");
    const whose = one.wanted.what.replace(/^traffic/, "");
    if (!one.meant) {
      return {
        message: `This host's firewall sees ${families} traffic${whose} and drops it: ${cause(one)}`,
        hint: `Let it through: ${openForward(one.opening, one.wanted, programs)}`,
      };
    }
    return {
      message:
        `This host's firewall drops ${families} traffic${whose} by a rule about this very interface, which is ` +
        `left alone: ${cause(one)}`,
      hint: `If it is not meant, remove it: ${removal(one)}`,
    };
  });
}

function removal({ at, number, rule }: Dropping): string {
  const { backend, chain, family, table } = at;
  if (backend === "legacy") return `${legacyProgram(family)} -D ${chain} ${number}`;
  return `nft delete rule ${family} ${table} ${chain} handle ${rule?.handle}`;
}

function openForward(
  at: ChainPlace,
  { rule: { destination, iif, oif, source }, what }: WantedRule,
  programs: Programs,
): string {
  const program = iptablesOf(at, programs);
  const network = / ([^ ]+\/[0-9]+)$/.exec(what)?.[1];
  const word = (text: string, value: string | undefined) => value === undefined ? "" : ` ${text} ${value}`;
  const [from, to] = [source && network, destination && network];
  if (program !== undefined) {
    const tests = word("-i", iif) + word("-o", oif) + word("-s", from) + word("-d", to);
    return `${program} -I ${at.chain}${tests} -j ACCEPT`;
  }
  const family = network?.includes(":") ? "ip6" : "ip";
  const tests = word("iifname", iif) + word("oifname", oif) + word(`${family} saddr`, from) +
    word(`${family} daddr`, to);
  return `nft insert rule ${at.family} ${at.table} ${at.chain}${tests} accept`;
}

/** What other hosts send and this one drops, and what it sends to them and does not let out. */
export function portProblems(
  found: readonly PortLoss[],
  programs: Programs = {},
): readonly FirewallProblem[] {
  return found.map((one) => {
    const ports = portNames(one.ports);
    return one.way === "in"
      ? {
        message: `This host's firewall drops what other hosts send to ${ports}: ${cause(one)}`,
        hint: `Open the mesh's ports: ${openPorts(one, programs)}`,
      }
      : {
        message: `This host's firewall drops what it sends to other hosts' ${ports}: ${cause(one)}`,
        hint: `Let it out: ${openPorts(one, programs)}`,
      };
  });
}

/** `TCP 6783, UDP 6783 and 6784, and ESP`. */
function portNames(ports: readonly MeshPort[]): string {
  const names = grouped(ports).map(({ protocol, ports }) =>
    ports.length === 0 ? protocol.toUpperCase() : `${protocol.toUpperCase()} ${ports.join(" and ")}`
  );
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

function grouped(
  ports: readonly MeshPort[],
): readonly { readonly protocol: string; readonly ports: readonly number[] }[] {
  return [...Map.groupBy(ports, ({ protocol }) => protocol)].map(([protocol, some]) => ({
    protocol,
    ports: some.flatMap(({ port }) => port ?? []),
  }));
}

function openPorts({ manager, opening: at, ports, way }: PortLoss, programs: Programs): string {
  const groups = grouped(ports);
  if (manager === "firewalld" && way === "in") {
    const options = groups.flatMap(({ protocol, ports }) =>
      ports.length === 0
        ? [`--add-protocol=${protocol}`]
        : ports.map((port) => `--add-port=${port}/${protocol}`)
    );
    return `firewall-cmd --permanent ${options.join(" ")} && firewall-cmd --reload`;
  }
  if (manager === "ufw") {
    const [out, end] = way === "in" ? ["", "from"] : [" out", "to"];
    return groups.flatMap(({ protocol, ports }) =>
      ports.length === 0
        ? [`ufw allow${out} proto ${protocol} ${end} any`]
        : ports.map((port) => `ufw allow${out} ${port}/${protocol}`)
    ).join(" && ");
  }
  const program = iptablesOf(at, programs);
  return groups.map(({ protocol, ports }) => {
    if (program !== undefined) {
      const range = ports.length === 0 ? "" : ` --dport ${[...new Set([ports[0], ports.at(-1)])].join(":")}`;
      return `${program} -I ${at.chain} -p ${protocol}${range} -j ACCEPT`;
    }
    const test = ports.length === 0
      ? `meta l4proto ${protocol}`
      : `${protocol} dport ${ports.length === 1 ? ports[0] : `'{ ${ports.join(", ")} }'`}`;
    return `nft insert rule ${at.family} ${at.table} ${at.chain} ${test} accept`;
  }).join(" && ");
}
