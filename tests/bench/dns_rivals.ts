/** Name servers to compare with: each on an address of loopback of its own, all with the same names. */
import { attempt, Background, exec, until } from "../lab/common/process.ts";
import { addressText, benchName, DOMAIN } from "./dns_names.ts";

/** The port of all of them. */
export const PORT = 5300;
const PURPOSE = "bench";

/** A server that runs. */
export interface Rival {
  readonly name: string;
  readonly address: string;
  readonly process: Background;
}

/** Starts all with so many names; `folder` is for their files. */
export async function startRivals(
  folder: string,
  names: number,
  undo: AsyncDisposableStack,
): Promise<readonly Rival[]> {
  const all = Array.from({ length: names }, (_, i) => i);
  const [hosts, zone] = [`${folder}/hosts`, `${folder}/zone`];
  Deno.writeTextFileSync(hosts, all.map((i) => `${addressText(i)} ${benchName(i)}\n`).join(""));
  const soa = `${DOMAIN}. 1 IN SOA a.${DOMAIN}. b.${DOMAIN}. 1 2 3 4 5\n${DOMAIN}. 1 IN NS a.${DOMAIN}.\n`;
  Deno.writeTextFileSync(
    zone,
    soa + all.map((i) => `${benchName(i)}. 1 IN A ${addressText(i)}\n`).join(""),
  );
  await exec(["gcc", "-O2", "-o", `${folder}/echo`, new URL("dns_echo.c", import.meta.url).pathname], {
    purpose: PURPOSE,
  });
  const address = (n: number) => `127.0.53.${n}`;
  const commands: readonly (readonly [name: string, argv: readonly string[]])[] = [
    ["meshnet", thread(address(1), names)],
    ["dnsmasq", [
      ...[
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--user=root",
        "--no-resolv",
        "--no-hosts",
      ],
      ...[`--addn-hosts=${hosts}`, `--listen-address=${address(2)}`, "--bind-interfaces", `--port=${PORT}`],
      ...["--local-ttl=1", "--pid-file="],
    ]],
    ["knot", ["knotd", "-c", knot(folder, address(3), zone)]],
    ["nsd", ["nsd", "-d", "-c", nsd(folder, address(4), zone)]],
    ["echo in C", [`${folder}/echo`, address(5), `${PORT}`]],
  ];
  const rivals: Rival[] = [];
  for (const [i, [name, argv]] of commands.entries()) {
    const log = `${folder}/${argv[0]!.split("/").at(-1)}.log`;
    const process = undo.use(new Background(argv, log, { purpose: PURPOSE }));
    const rival = { name, address: address(i + 1), process };
    await until(`${name} answers`, () => answers(rival, process), { ms: 20_000, everyMs: 100 });
    rivals.push(rival);
  }
  return rivals;
}

/** The command that runs our thread; it asks `server` about example.com. */
export function thread(address: string, names: number, server?: string): readonly string[] {
  const program = new URL("dns_program.ts", import.meta.url).pathname;
  const more = server === undefined ? [] : [server];
  return [Deno.execPath(), "run", "-A", "--frozen", program, address, `${PORT}`, `${names}`, ...more];
}

/** Whether a server answers one question. */
export async function answers({ address }: Pick<Rival, "address">, process: Background): Promise<boolean> {
  if (process.code !== undefined) throw new Error(`It ended: ${process.output()}`);
  const argv = ["dnsperf", "-s", address, "-p", `${PORT}`, "-n", "1", "-t", "0.2"];
  const { stdout } = await attempt(argv, { purpose: PURPOSE, input: `${benchName(0)} A\n` });
  return /Queries completed:\s+1 /.test(stdout);
}

function knot(folder: string, address: string, zone: string): string {
  const path = `${folder}/knot.conf`;
  Deno.writeTextFileSync(
    path,
    `server:
  listen: ${address}@${PORT}
  rundir: ${folder}
database:
  storage: ${folder}/knot
template:
  - id: default
    zonefile-sync: -1
    journal-content: none
zone:
  - domain: ${DOMAIN}
    file: ${zone}
`,
  );
  return path;
}

function nsd(folder: string, address: string, zone: string): string {
  const path = `${folder}/nsd.conf`;
  Deno.writeTextFileSync(
    path,
    `server:
  ip-address: ${address}@${PORT}
  username: ""
  zonesdir: "${folder}"
  database: ""
  zonelistfile: "${folder}/zone.list"
  xfrdfile: ""
  xfrdir: "${folder}"
  pidfile: ""
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: ${DOMAIN}
  zonefile: ${zone}
`,
  );
  return path;
}
