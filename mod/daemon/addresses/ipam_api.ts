/** What the control socket can have done with addresses. */
import { type Attachments, parseAddressWish } from "../../attach/mod.ts";
import type { IpamSources } from "../../control/address_report.ts";
import type { HolderReport } from "../../control/address_types.ts";
import type { EngineTrouble, HealthReport } from "../../control/name_types.ts";
import type { ControlApi } from "../../control/routes.ts";
import { type Cidr, formatCidr, type Ip, parseCidr, parseIp } from "../../core/addr.ts";
import { MeshnetError } from "../../core/errors.ts";
import { parsePeerName, type PeerName } from "../../core/names.ts";
import type { Clock } from "../../core/ports.ts";
import { type Backup, readBackup, writeBackup } from "../../ipam/backup.ts";
import type { Answered } from "../../ipam/allocator_shell.ts";
import { peerText } from "../../ipam/words.ts";
import { type Ipam, ipamOff, patienceOf } from "./addresses.ts";
import { ENGINE_PREFIX, EXPOSE_HOLDER } from "../../core/holders.ts";

/** What it is made of. */
export interface IpamApiParts {
  /** undefined: allocation is off. */
  readonly ipam: Ipam | undefined;
  readonly attachments: Pick<Attachments, "list">;
  /** The names of a target. */
  readonly namesOf: (target: string) => readonly string[];
  /** How a target is; null: it is not probed. */
  readonly healthOf: (target: string) => HealthReport | null;
  /** Why the engine says that a target does not answer; undefined: it does not say so. */
  readonly troubleOf: (target: string) => EngineTrouble | undefined;
  readonly clock: Clock;
  /** This host's own addresses in the network. */
  readonly exposed: () => readonly { readonly address: string }[];
  /** Containers in networks of the engine's. */
  readonly members: () => readonly HolderReport[];
  /** Who is in the mesh, with their nicknames; this host first. */
  readonly peers: () => readonly { readonly name: PeerName; readonly nickname: string }[];
}

/** The requests that are about addresses. */
export type IpamApi = Pick<
  ControlApi,
  | "exportAddresses"
  | "importAddresses"
  | "holders"
  | "allocate"
  | "claim"
  | "release"
  | "prime"
  | "removePeers"
  | "leave"
>;

/** Serves them. */
export function ipamApi(
  { attachments, clock, exposed, healthOf, ipam, members, namesOf, peers, troubleOf }: IpamApiParts,
): IpamApi {
  const need = (action: string): Ipam => {
    if (ipam === undefined) throw ipamOff(action);
    return ipam;
  };
  const own = () => {
    const addresses = exposed().map(({ address }) => address);
    return addresses.length === 0 ? [] : [{ target: EXPOSE_HOLDER, name: null, attached: true, addresses }];
  };
  return {
    holders() {
      const others = members();
      const all = holdersOf([...own(), ...attachments.list()], ipam, new Set(others.flatMap(ipsOf)));
      const named = all.map((one) => ({
        ...one,
        names: namesOf(one.holder),
        health: healthOf(one.holder),
        trouble: troubleOf(one.holder) ?? null,
      }));
      return [...named, ...others];
    },
    async allocate({ holder, subnet: text, ...wait }, gone) {
      const { shell, subnet, unused } = need(`Cannot allocate an address for ${holder}`);
      const before = shell.lookup(holder);
      const common = { ident: holder, isContainer: false, patience: patienceOf(wait, clock) };
      const wish = parseAddressWish(text === null ? "net:default" : `net:${text.replace(/^net:/, "")}`);
      const wanted = wish.kind === "any" ? wish.subnet ?? subnet : subnet;
      const cidr = await unused.allocate({ kind: "allocate", subnet: wanted, ...common }, {
        ...{ gone, target: holder, whom: holder },
        has: (ip) => before.some((one) => one.ip === ip),
      });
      return answerOf(holder, { kind: "address", cidr });
    },
    async claim({ address, holder, ...wait }, gone) {
      const { shell } = need(`Cannot claim ${address}`);
      const common = { ident: holder, isContainer: false, patience: patienceOf(wait, clock) };
      const cidr = cidrOf(address, "10.32.1.7/12");
      return answerOf(holder, await shell.ask({ kind: "claim", cidr, lenient: false, ...common }, gone));
    },
    async release({ address, holder }) {
      const { shell } = need(`Cannot release addresses of ${holder}`);
      const ip = address === null ? undefined : parseIp(address) ?? cidrOf(address, "10.32.1.7").ip;
      refuseAttached({ holder, ip }, attachments.list());
      refuseExposed({ holder, ip }, own());
      return answerOf(holder, await shell.ask({ kind: "release", ident: holder, ip }));
    },
    exportAddresses() {
      const { shell, universe } = need("Cannot export addresses");
      const backup = shell.backup(new Date().toISOString());
      if (backup !== undefined) return writeBackup(backup, universe);
      throw new MeshnetError("ipam/no-ring", "Cannot export addresses: nobody has asked for one yet", {
        hint: "There is nothing to keep; `meshnet prime` has the range shared out",
      });
    },
    async importAddresses({ backup: json, gone: words }, left) {
      const { shell, universe } = need("Cannot import addresses");
      const read = readBackup(json, universe);
      if (!read.ok) {
        throw new MeshnetError("ipam/bad-backup", `Cannot import: in the backup ${read.reason}`, {
          hint: "Give a file as `meshnet ipam export` has written it",
        });
      }
      const backup = read.value;
      const gone = words.map((word) => goneOwner(word, backup));
      const answer = await shell.ask({ kind: "import", backup, gone }, left);
      if (answer.kind !== "imported") throw new TypeError(`An import was answered with ${answer.kind}`);
      const leftOut = answer.left.map(({ address, ident, why }) => ({ holder: ident, address, why }));
      return { shares: answer.ring, restored: answer.restored, left: leftOut, gone };
    },
    async prime(wait, gone) {
      const { shell } = need("Cannot prime");
      await shell.ask({ kind: "prime", patience: patienceOf(wait, clock) }, gone);
      return { done: true };
    },
    async removePeers({ peers: words, ...wait }, gone) {
      const { shell } = need("Cannot remove peers");
      const known = [...peers(), ...shell.status().nicknames];
      const victims = words.map((word) => peerOf(word, known));
      const patience = patienceOf(wait, clock);
      const answer = await shell.ask({ kind: "remove", peers: victims, patience }, gone);
      return { peers: victims, addresses: answer.kind === "removed" ? answer.taken : 0 };
    },
    async leave() {
      await ipam?.shell.ask({ kind: "shutdown" });
      return { done: true };
    },
  };
}

/** What `status` is told of allocation. */
export function ipamSources(ipam: Ipam | undefined): IpamSources | undefined {
  if (ipam === undefined) return undefined;
  const { shell, subnet, unused } = ipam;
  const status = shell.status();
  const inUse = unused.foundInUse(status).map(({ host, ip, mac, target, text }) => ({
    address: ip,
    mac,
    host,
    by: text,
    target,
  }));
  return { status, subnet: formatCidr(subnet), inUse, refused: shell.refused() };
}

function cidrOf(text: string, example: string): Cidr {
  const cidr = parseCidr(text.replace(/^ip:/, ""));
  if (cidr !== undefined) return cidr;
  throw new MeshnetError(
    "usage/bad-address",
    `Cannot use address ${text}: it is no address with a prefix length`,
    {
      hint: `Give for example ${example}`,
    },
  );
}

function answerOf(holder: string, answer: Answered) {
  const cidrs = answer.kind === "address" ? [answer.cidr] : answer.kind === "released" ? answer.cidrs : [];
  return { holder, addresses: cidrs.map(formatCidr) };
}

function holdersOf(
  attachments: readonly {
    readonly target: string;
    readonly name: string | null;
    readonly attached: boolean;
    readonly addresses: readonly string[];
  }[],
  ipam: Ipam | undefined,
  /** Addresses of containers in networks of the engine's, which are listed by themselves. */
  ofMembers: ReadonlySet<Ip>,
): readonly Omit<HolderReport, "health" | "names" | "trouble">[] {
  const held = new Map(
    (ipam?.shell.status().held ?? []).map(({ cidrs, ident }) => [ident, cidrs.map(formatCidr)]),
  );
  const targets = attachments.map(({ addresses, attached, name, target }) => ({
    ...{ holder: target, name, attached },
    addresses: [...new Set([...addresses, ...held.get(target) ?? []])],
  }));
  const names = new Set(targets.map(({ holder }) => holder));
  const isMembers = (texts: readonly string[]) => texts.every((text) => ofMembers.has(parseCidr(text)!.ip));
  const others = [...held].filter(([holder, addresses]) =>
    !names.has(holder) && !(holder.startsWith(ENGINE_PREFIX) && isMembers(addresses))
  );
  return [
    ...targets,
    ...others.map(([holder, addresses]) => ({ holder, name: null, attached: false, addresses })),
  ];
}

function ipsOf({ addresses }: Pick<HolderReport, "addresses">): readonly Ip[] {
  return addresses.flatMap((text) => parseCidr(text)?.ip ?? []);
}

/** An address that is in use is not given away under its user. */
function refuseAttached(
  { holder, ip }: { readonly holder: string; readonly ip: Ip | undefined },
  attachments: readonly { readonly target: string; readonly addresses: readonly string[] }[],
): void {
  const attachment = attachments.find(({ target }) => target === holder);
  if (attachment === undefined) return;
  if (ip !== undefined && !attachment.addresses.some((text) => parseCidr(text)?.ip === ip)) return;
  throw new MeshnetError("ipam/in-use", `Cannot release addresses of ${holder}: it is attached`, {
    hint: `Run \`meshnet detach ${holder}\`: that gives them back`,
  });
}

/** An owner of a backup by nickname or name. */
function goneOwner(word: string, { nicknames, ring }: Backup): PeerName {
  const owners = [...new Set(ring.entries.map(({ owner }) => owner))];
  const found = owners.filter((owner) => owner === word || nicknames.get(owner) === word);
  if (found.length === 1) return found[0]!;
  const list = owners.slice(0, 16).map((owner) => peerText(owner, nicknames)).join(", ");
  throw new MeshnetError(
    "peer/unknown",
    `Cannot take ${word} for gone: ${
      found.length === 0 ? "no" : "more than one"
    } host of that name owns addresses ` +
      "in the backup",
    { hint: `Its owners are: ${list}` },
  );
}

function refuseExposed(
  { holder, ip }: { readonly holder: string; readonly ip: Ip | undefined },
  own: readonly { readonly addresses: readonly string[] }[],
): void {
  const isExposed = holder === EXPOSE_HOLDER &&
    own.some(({ addresses }) => ip === undefined || addresses.some((text) => parseCidr(text)?.ip === ip));
  if (!isExposed) return;
  throw new MeshnetError(
    "ipam/in-use",
    `Cannot release addresses of ${holder}: this host is exposed with them`,
    {
      hint: "Run `meshnet hide`: that gives them back",
    },
  );
}

/** A nickname, or else a name, as the name of a peer. */
function peerOf(
  word: string,
  known: readonly { readonly name: PeerName; readonly nickname: string }[],
): PeerName {
  const self = known[0]?.name;
  const named = new Set(known.filter(({ nickname }) => nickname === word).map(({ name }) => name));
  const name = named.size === 1 ? [...named][0]! : parsePeerName(word);
  if (named.size > 1) {
    throw new MeshnetError("peer/unknown", `Cannot remove ${word}: ${named.size} hosts have this nickname`, {
      hint: `Give the name instead: ${[...named].join(" or ")}`,
    });
  }
  if (name === undefined) {
    const nicknames = [...new Set(known.slice(1).map(({ name, nickname }) => nickname || name))].slice(0, 16);
    throw new MeshnetError("peer/unknown", `Cannot remove ${word}: no such host is known`, {
      hint: nicknames.length === 0 ? "No other host is known" : `Known are: ${nicknames.join(", ")}`,
    });
  }
  if (name === self) {
    throw new MeshnetError("usage/bad-option", `Cannot remove ${word}: it is this host itself`, {
      hint: "`meshnet reset` removes this host and hands its addresses to others",
    });
  }
  return name;
}
