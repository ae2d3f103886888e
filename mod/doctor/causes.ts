/** Faults that only follow from others: one cause is one fault. Pure. */
import { parseEndpoint } from "../core/addr.ts";
import type { FaultReport } from "../control/doctor_types.ts";
import { type Passage, ruleFor } from "./check_causes.ts";

/** When one fault is there, those that follow from it are not told. */
interface Rule {
  /** The cause: what its message says. */
  readonly cause: RegExp;
  /** Whether another fault follows from it; `said` is what the words of the cause matched. */
  readonly follows: (other: FaultReport, said: RegExpExecArray) => boolean;
}

/** A size that does not fit, as links say it. */
const TOO_LARGE = /less than [0-9]+ bytes/;
const USER_SPACE = /^Traffic to (.+?) goes through user space: /;

const RULES: readonly Rule[] = [
  {
    cause: /^This host's firewall drops what other hosts send to /,
    follows: ({ check, message }, { input }) =>
      check === "connections" &&
      needed(message).some((one) => ruleFor(one, [{ message: input, hint: null }])),
  },
  {
    cause: /^This host has no route to /,
    follows: ({ message }, { input }) =>
      / cannot be reached and owns? [0-9]+ addresses/.test(message) || NO_ROUTE.test(message) ||
      namedIn(message).some((name) => input.includes(name)),
  },
  {
    cause: /^This host drops what (.+?) sends, as it arrives at /,
    follows: ({ message }, [, hosts]) =>
      [...namedIn(message), ...ownersIn(message)].some((name) => named(hosts!, name)),
  },
  {
    cause: /^The way to (\S+?)(?: \((\S+)\))? loses packets: /,
    follows: ({ message }, [, name, ip]) =>
      namedIn(message).some((one) => one === name || one === ip || parseEndpoint(one)?.ip === ip) &&
        !/password|range/.test(message) || ownersIn(message).includes(name!),
  },
  {
    cause: /^This host's firewall drops what it sends to other hosts' /,
    follows: ({ message }, { input }) =>
      missing(message).some((one) => ruleFor(one, [{ message: input, hint: null }])),
  },
  {
    cause: /^Containers send packets of up to [0-9]+ bytes, and this host's way to /,
    follows: ({ check, message }) =>
      check === "connections" && (TOO_LARGE.test(message) || / carries packets of /.test(message)) ||
      /^Containers have MTU /.test(message),
  },
  {
    cause: /^Containers have MTU /,
    follows: ({ message }) => USER_SPACE.test(message) && TOO_LARGE.test(message),
  },
  {
    cause: /^The path to (.+?) carries packets of /,
    follows: ({ message }, [, name]) => USER_SPACE.exec(message)?.[1] === name && TOO_LARGE.test(message),
  },
  {
    cause: /^No tunnel port: UDP port ([0-9]+) /,
    follows: ({ message }, [, port]) => message.includes(`cannot open VXLAN port ${port} `),
  },
  {
    cause: /^The daemon will soon be out of open files: /,
    follows: ({ check }) => check === "daemon",
  },
  {
    cause: / cannot be reached and owns? [0-9]+ addresses/,
    follows: ({ message }) => / waits? for an address: no owner of addresses can be reached/.test(message),
  },
];

const NO_ROUTE = /^No connection to .*: no route to /;

/** The host of which a fault of a connection tells. */
function namedIn(message: string): readonly string[] {
  const name =
    /^(?:No traffic flows to|Nothing has come from|Traffic to|The path to|No connection to) (\S+?):? /;
  return [...name.exec(message)?.slice(1) ?? []];
}

/** Whether a list of hosts, each `NAME (ADDRESS)`, has one by its name or address. */
function named(hosts: string, name: string): boolean {
  return hosts.split(/[ ,()]+/).includes(parseEndpoint(name)?.ip ?? name);
}

/** The hosts of which a fault says that they own addresses and cannot be reached. */
function ownersIn(message: string): readonly string[] {
  const [, names = ""] = /^(.+?) cannot be reached and owns? /.exec(message) ?? [];
  return names.split(", ");
}

/** The faults that follow from no other one, in their order. */
export function causesAmong(faults: readonly FaultReport[]): readonly FaultReport[] {
  return faults.filter((one) =>
    !RULES.some(({ cause, follows }) =>
      faults.some((other) => {
        const said = other === one ? null : cause.exec(other.message);
        return said !== null && follows(one, said);
      })
    )
  );
}

/** What a link says that should come in here, and does not: by tunnels, and by user space. */
const TUNNEL_SILENT =
  /(?:accept|heartbeats? (?:from the peer for [0-9.]+ s )?on) (?:UDP ([0-9]+)|IP protocol 50)/g;
const UDP_SILENT = /a firewall blocks UDP,|heartbeats over UDP: a firewall blocks/;

/** What a link says that should arrive there, and does not: by tunnels, and by user space; and a host that does not answer. */
const TUNNEL_UNHEARD = /gets no .* from here .*blocks (?:UDP ([0-9]+)|IP protocol 50)/g;
const UDP_UNHEARD = /a firewall blocks UDP(?:,| towards )|heartbeats over UDP: a firewall blocks/;
const TCP_UNHEARD = / no answer from \S+:([0-9]+) within /;

/** What a fault says that this host must let out. */
function missing(message: string): readonly Passage[] {
  const port = TCP_UNHEARD.exec(message)?.[1];
  return [
    ...[...message.matchAll(TUNNEL_UNHEARD)].map(([, port]): Passage =>
      port === undefined ? { protocol: "esp" } : { protocol: "udp", port: Number(port) }
    ),
    ...port === undefined ? [] : [{ protocol: "tcp", port: Number(port) } as const],
    ...UDP_UNHEARD.test(message) ? [{ protocol: "udp" } as const] : [],
  ];
}

/** What a fault of a connection says that this host must let in. */
function needed(message: string): readonly Passage[] {
  return [
    ...[...message.matchAll(TUNNEL_SILENT)].map(([, port]): Passage =>
      port === undefined ? { protocol: "esp" } : { protocol: "udp", port: Number(port) }
    ),
    ...UDP_SILENT.test(message) ? [{ protocol: "udp" } as const] : [],
  ];
}
