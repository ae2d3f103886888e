/** Keeps this host's firewall as meshnet needs it, and says what it does to the mesh. */
import type { LogEvent } from "../core/log_events.ts";
import { MeshnetError, messageOf } from "../core/errors.ts";
import type { Clock, Logger } from "../core/ports.ts";
import { TokenBucket } from "../core/token_bucket.ts";
import type { Hook, Table } from "../wire/filter/model.ts";
import { changeLegacy, type LegacyParts, natLegacy, readLegacy, removeLegacy } from "./legacy_shell.ts";
import { planNat, type PresentNat } from "./nat.ts";
import { applyNft, type FilterSocket, nftTransactions, ownNft, readNft } from "./nft_shell.ts";
import { type ChainPlace, type FirewallPlan, judgePorts, planForward, type StandingRule } from "./plan.ts";
import {
  containersTraffic,
  exposedTraffic,
  type Exposure,
  type FirewallMode,
  type MeshPort,
  type WantedRule,
} from "./wanted.ts";
import { chainName, type FirewallProblem, forwardProblems, portProblems } from "./words.ts";

/** Repairs in a row, and the time in milliseconds after which one more is allowed. */
const REPAIRS = 10;
const REFILL_MS = 30_000;
/** What could not be done because another program was about it is tried again after so long. */
const AGAIN_MS = 300;

/** What looking after the firewall needs. */
export interface FirewallParts {
  readonly mode: FirewallMode;
  /** The bridge, or the switch's own leg. */
  readonly leg: string;
  /** Its index; 0: it is not there. */
  readonly indexOf: (name: string) => number;
  /** Whether it is a bridge, whose frames may pass the firewall. */
  readonly bridge: boolean;
  /** What other hosts send to, and over what. */
  readonly ports: readonly MeshPort[];
  readonly families: readonly ("ip" | "ip6")[];
  /** A setting below /proc/sys, undefined where there is none. */
  readonly setting: (key: string) => string | undefined;
  /** A netlink socket to netfilter. */
  readonly open: () => FilterSocket;
  readonly legacy: LegacyParts;
  readonly clock: Clock;
  /** Calls once after some milliseconds. */
  readonly later: (ms: number, work: () => void) => void;
  readonly log: Pick<Logger, "warn" | "info" | "debug">;
  /** Networks that are exposed from the start. */
  readonly exposures?: readonly Exposure[];
}

/** What has been done, for people. */
export interface FirewallReport {
  readonly mode: FirewallMode;
  /** Rules of ours that are there: `chain FORWARD of table ip filter: traffic of containers`. */
  readonly rules: readonly string[];
  /** How often another program took one of them out since the start. */
  readonly undone: number;
  /** How many milliseconds ago that was last seen; null: never. */
  readonly undoneAgoMs: number | null;
  readonly problems: readonly FirewallProblem[];
}

/** What is there. */
interface State {
  readonly tables: readonly Table[];
  /** undefined: there is no nf_tables. */
  readonly nat: PresentNat | undefined;
}

/** Remembers what it did and said, so that the log has each change once. */
export class Firewall {
  #said = "";
  #problemsSaid = "";
  #exposures: readonly Exposure[] = [];
  /** Our rules as they stood at the last look. */
  #stood = new Set<string>();
  #undone = 0;
  #undoneAt: number | undefined;
  #tired = false;
  #waits = false;
  #looked = false;
  /** What the last look found that saw everything. */
  #found: Pick<FirewallReport, "rules" | "problems"> = { rules: [], problems: [] };
  /** nf_tables could be read once: that they cannot be read now does not mean that they are empty. */
  #hasNft = false;
  /** nf_tables of this kernel cannot translate addresses. */
  #natByLegacy = false;
  #over = false;
  /** What the kernel refused of iptables-legacy's tables, and until when that is not tried again. */
  readonly #refusals = new Map<string, { readonly thrown: unknown; readonly until: number }>();
  readonly #repairs: TokenBucket;

  constructor(readonly parts: FirewallParts) {
    this.#exposures = parts.exposures ?? [];
    this.#repairs = new TokenBucket(REPAIRS, { refill: REFILL_MS, now: parts.clock.now() });
  }

  /** Lets exposed networks through, from now on these and no others. */
  expose(exposures: readonly Exposure[]): FirewallReport {
    this.#exposures = exposures;
    return this.check();
  }

  /** Looks, mends, and tells. Does not throw: what cannot be seen is not told, and while all of nf_tables cannot be seen all
   * stays as it was. */
  check(): FirewallReport {
    const { clock, mode } = this.parts;
    const looks = mode !== "off" && !this.#over;
    if (looks) this.#found = this.#look();
    return {
      mode,
      ...looks ? this.#found : { rules: [], problems: [] },
      undone: this.#undone,
      undoneAgoMs: this.#undoneAt === undefined ? null : Math.round(clock.now() - this.#undoneAt),
    };
  }

  /** Takes out what an earlier run put in, where this one is to change nothing. */
  begin(): void {
    if (this.parts.mode !== "auto") this.#takeOut();
    this.check();
  }

  #takeOut(): void {
    const { legacy, log, open } = this.parts;
    try {
      const { busy, removed } = removeOwnRules({ open, legacy, log });
      if (removed > 0) log.info("took our rules out of this host's firewall", { rules: removed });
      if (busy) this.#again(AGAIN_MS, () => this.#takeOut());
    } catch (thrown) {
      log.warn("cannot take our rules out of this host's firewall", { reason: messageOf(thrown) });
    }
  }

  /** Stops mending; rules stay, as traffic does. */
  [Symbol.dispose](): void {
    this.#over = true;
  }

  #look(): Pick<FirewallReport, "rules" | "problems"> {
    const { families, log, mode, ports } = this.parts;
    const wanted = this.#wanted();
    const state = this.#read(wanted.length > 0);
    if (state === undefined) return this.#found;
    const change = mode === "auto";
    const plan = planForward(state.tables, { change, wanted });
    const { failures, stands } = change ? this.#apply(plan, { state, wanted }) : { failures: [], stands: [] };
    const lost = plan.dropping.filter(({ meant }) => meant || !change);
    const programs = { both: state.tables.some(({ backend }) => backend === "legacy") };
    const problems = [
      ...forwardProblems({ dropping: lost }, programs),
      ...portProblems(judgePorts(state.tables, { families, ports }), programs),
      ...failures,
    ];
    this.#tell(problems);
    const rules = stands.map(({ at, comment }) => `${chainName(at)}: ${comment.replace(/^meshnet: /, "")}`);
    const text = rules.join("; ");
    if (text !== this.#said && text !== "") {
      log.info("this host's firewall sees traffic of containers; rules of ours let it through", {
        rules: text,
      });
    }
    this.#said = text;
    return { rules, problems };
  }

  #wanted(): readonly WantedRule[] {
    const { bridge, indexOf, leg, setting } = this.parts;
    const sees = {
      ipv4: bridge && setting("net/bridge/bridge-nf-call-iptables") === "1",
      ipv6: bridge && setting("net/bridge/bridge-nf-call-ip6tables") === "1",
    };
    const own = { name: leg, index: indexOf(leg) };
    return [...containersTraffic(own, sees), ...exposedTraffic(own, this.#exposures)];
  }

  /** undefined: nf_tables cannot be read at present, and are looked at again later. */
  #read(forwarded: boolean): State | undefined {
    const { legacy, log, open } = this.parts;
    // At first also for what an earlier run left behind.
    const all = forwarded || this.#stood.size > 0 || !this.#looked;
    const hooks: readonly Hook[] = all ? ["input", "output", "forward"] : ["input", "output"];
    let nft: { readonly tables: readonly Table[]; readonly nat?: PresentNat } = { tables: [] };
    try {
      using socket = open();
      nft = readNft(socket, hooks);
      this.#hasNft = true;
    } catch (thrown) { // a kernel without nf_tables, say
      log.debug("cannot look at nf_tables", { reason: messageOf(thrown) });
      const torn = isTorn(thrown);
      if (torn || this.#hasNft) return void this.#again(torn ? AGAIN_MS : REFILL_MS);
    }
    let tables: readonly Table[] = [];
    try {
      tables = readLegacy(legacy);
    } catch (thrown) {
      log.debug("cannot look at iptables-legacy's tables", { reason: messageOf(thrown) });
    }
    this.#looked = true;
    return { tables: [...nft.tables, ...tables], nat: nft.nat };
  }

  /** Makes the changes. Gives what could not be done, and our rules that are there now. */
  #apply(
    plan: FirewallPlan,
    { state, wanted }: { readonly state: State; readonly wanted: readonly WantedRule[] },
  ): { readonly failures: readonly FirewallProblem[]; readonly stands: readonly StandingRule[] } {
    const { legacy, log, open } = this.parts;
    const key = ({ at, comment }: StandingRule) => `${chainName(at)}: ${comment}`;
    const removed = plan.standing.filter((rule) => !rule.found && this.#stood.has(key(rule)));
    if (removed.length > 0 && !this.#mayRepair()) {
      this.#again(REFILL_MS);
      const failures = [{
        message: `Another program takes out the rules that let traffic${
          removed[0]!.comment.replace(/^meshnet: traffic/, "")
        } through this host's firewall, ${this.#undone} times so far: they are put back only now and then`,
        hint:
          `Let that program keep them, or its own configuration let traffic of ${this.parts.leg} through: ${
            removed.map(({ at }) => chainName(at)).join(", ")
          }`,
      }];
      return { failures, stands: plan.standing.filter(({ found }) => found) };
    }
    const failures: FirewallProblem[] = [];
    let stands = plan.standing;
    const attempt = (what: string, work: () => boolean, table?: string) => {
      try {
        if (work()) return;
        this.#again();
      } catch (thrown) {
        failures.push({
          message: `Cannot change this host's firewall, ${what}: ${messageOf(thrown)}`,
          hint: what.endsWith(" firewalld")
            ? "firewalld keeps its table to itself, so tell it: firewall-cmd --permanent --zone=trusted " +
              `--add-interface=${this.parts.leg} && firewall-cmd --reload`
            : "Another program may own the table; `meshnet up --firewall report` names the rules that are needed",
        });
      }
      stands = stands.filter(({ at, found }) => found || tableOf(at) !== table);
    };
    for (const { changes, table } of nftTransactions(plan.changes)) {
      attempt(`table ${table}`, () => {
        using socket = open();
        applyNft(socket, changes);
        return true;
      }, `nft ${table}`);
    }
    if (plan.changes.some(({ at }) => at.backend === "legacy")) {
      const again = (tables: readonly Table[]) => planForward(tables, { change: true, wanted }).changes;
      attempt(
        "the tables of iptables-legacy",
        () => this.#sparing("rules", () => changeLegacy(legacy, again)),
        "legacy",
      );
    }
    attempt("addresses of exposed networks", () => this.#applyNat(state));
    if (removed.length > 0) {
      log.warn("another program took rules of ours out of this host's firewall; they are back", {
        rules: removed.map(key).join("; "),
      });
    }
    this.#stood = new Set(stands.map(key));
    return { failures, stands };
  }

  #applyNat({ nat }: State): boolean {
    const { legacy, log, open } = this.parts;
    const changes = nat === undefined || this.#natByLegacy ? [] : planNat(nat, this.#exposures);
    if (changes.length > 0) {
      using socket = open();
      try {
        applyNft(socket, changes);
      } catch (thrown) {
        if (changes.every(({ kind }) => kind === "delete-table")) throw thrown;
        log.debug("nf_tables translates no addresses here", { reason: messageOf(thrown) });
        this.#natByLegacy = true;
      }
    }
    const needed = this.#exposures.some(({ masquerade }) => masquerade);
    if (nat === undefined && needed) this.#natByLegacy = true;
    return !this.#natByLegacy || this.#sparing("nat", () => natLegacy(legacy, this.#exposures));
  }

  /** Work on iptables-legacy's tables, with rests after what the kernel refuses. The lock of these tables is taken for each
   * try, which those hear who wait for changes: each try would bring about the next. */
  #sparing(what: string, work: () => boolean): boolean {
    const now = this.parts.clock.now();
    const refusal = this.#refusals.get(what);
    if (refusal !== undefined && now < refusal.until) throw refusal.thrown;
    try {
      return work();
    } catch (thrown) {
      this.#refusals.set(what, { thrown, until: now + REFILL_MS });
      throw thrown;
    }
  }

  /** Counts a repair. False: there were too many, so this one has to wait. */
  #mayRepair(): boolean {
    const now = this.parts.clock.now();
    const waits = this.#repairs.take(now) > 0;
    if (!waits || !this.#tired) {
      this.#undone++;
      this.#undoneAt = now;
    }
    this.#tired = waits;
    return !waits;
  }

  #again(ms = AGAIN_MS, work: () => void = () => void this.check()): void {
    if (this.#waits) return;
    this.#waits = true;
    this.parts.later(ms, () => {
      this.#waits = false;
      if (!this.#over) work();
    });
  }

  #tell(problems: readonly FirewallProblem[]): void {
    const { log } = this.parts;
    const text = problems.map(({ message }) => message).join("; ");
    if (text === this.#problemsSaid) return;
    this.#problemsSaid = text;
    if (text === "") log.info("this host's firewall drops nothing of the mesh", {});
    for (const { hint, message } of problems) log.warn(eventOf(message), { reason: message, hint });
  }
}

/** Whether other programs changed rules all the time while they were read. */
function isTorn(thrown: unknown): boolean {
  return thrown instanceof MeshnetError && thrown.code === "netlink/torn";
}

/** What is changed in one step. */
function tableOf({ backend, family, table }: ChainPlace): string {
  return backend === "nft" ? `nft ${family} ${table}` : "legacy";
}

function eventOf(message: string): LogEvent {
  return message.includes("firewall sees")
    ? "this host's firewall sees traffic of containers"
    : "this host's firewall is in the way";
}

/** Removes every rule of ours from this host's firewall, and says how many there were. nf_tables that cannot be read have
 * none. `busy`: another program changes rules all the time or has the lock, so some may be left. Throws what the kernel
 * refuses, after all was tried. */
export function removeOwnRules(
  { legacy, log, open }: Pick<FirewallParts, "open" | "legacy"> & { readonly log?: Pick<Logger, "debug"> },
): { readonly removed: number; readonly busy: boolean } {
  let removed = 0;
  let busy = false;
  let own: ReturnType<typeof ownNft> = [];
  try {
    using socket = open();
    own = ownNft(socket);
  } catch (thrown) {
    log?.debug("cannot look at nf_tables", { reason: messageOf(thrown) });
    busy = isTorn(thrown);
  }
  const failures: unknown[] = [];
  const attempt = (work: () => void) => {
    try {
      work();
    } catch (thrown) {
      failures.push(thrown);
    }
  };
  for (const { changes, rules } of own) {
    attempt(() => {
      using socket = open();
      applyNft(socket, changes);
      removed += rules;
    });
  }
  if ((["ip", "ip6"] as const).some((family) => legacy.names(family).length > 0)) {
    attempt(() => {
      const ours = removeLegacy(legacy);
      if (ours === undefined) busy = true;
      removed += ours ?? 0;
    });
  }
  if (failures.length > 0) throw failures[0];
  return { removed, busy };
}
