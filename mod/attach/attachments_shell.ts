/** Attaching namespaces to the network, and keeping them attached. All synchronous: calls are serial by nature. */
import { type Cidr, formatCidr } from "../core/addr.ts";
import { ERRNO } from "../core/errno.ts";
import { MeshnetError, messageOf } from "../core/errors.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import type { AttachAdapters } from "./adapters.ts";
import { mergeAddresses, parseAttachAddress, parseAttachAddresses } from "./address.ts";
import { applySteps } from "./apply_shell.ts";
import { checkConflicts } from "./conflict.ts";
import { checkPair, TargetKernel } from "./kernel_shell.ts";
import { describeAttachment, HostEnds, removeHostEnd, suspectsOf, UnknownEnds } from "./host_end_shell.ts";
import type {
  Attachment,
  AttachmentRequest,
  AttachmentResult,
  AttachOptions,
  Reconciled,
  Remembered,
  Suspects,
} from "./attachment.ts";
import { HOST_PREFIX, hostInterface, isAttachmentInterface } from "./names.ts";
import { planAttach, planDetach, type Wanted } from "./plan.ts";
import { type AttachmentRecord, isStill, movedTo, newMac, wantedOf } from "./record.ts";
import { judge, Registry, type Verdict } from "./registry.ts";
import type { PlannedStep, Step } from "./step.ts";
import { findTarget, parseAttachTarget, type ResolvedTarget, resolveTarget, sameFile } from "./target.ts";

/** When addresses are announced again after they were attached. */
const ANNOUNCE_AGAIN_MS = [200, 1000] as const;

/** The attachments of this host. Dispose it with the daemon; interfaces stay. */
export class Attachments implements Disposable {
  readonly #host: NetlinkSocket;
  readonly #hostEnds: HostEnds;
  readonly #registry: Registry;
  /** Why the last attempt to put an attachment right failed, by id. */
  readonly #failures = new Map<string, string>();
  readonly #unknown: UnknownEnds;
  #disposed = false;

  /** Reads what is remembered; changes nothing: call reconcile() next. */
  constructor(readonly adapters: AttachAdapters, readonly options: AttachOptions) {
    this.#registry = new Registry(adapters.store);
    for (const [key, reason] of this.#registry.unreadable) {
      adapters.log.error("attachment-unreadable", { key, reason });
    }
    this.#host = adapters.openRoute(undefined);
    this.#hostEnds = new HostEnds(this.#host);
    this.#unknown = new UnknownEnds(this.#host, adapters.log);
  }

  /** Gives up the daemon's socket; nothing may be called any more. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#host[Symbol.dispose]();
  }

  /**
   * Attaches a target with addresses, or adds addresses to one that is attached; asking again changes nothing.
   * On failure everything is as it was, in the kernel and in the store. Throws MeshnetError "attach/...".
   */
  attach(request: AttachmentRequest): AttachmentResult {
    const target = parseAttachTarget(request.target);
    const asked = parseAttachAddresses(request.addresses);
    const found = resolveTarget(target, this.adapters.probe);
    const before = this.#recordOf(found);
    this.#registry.checkFree(asked, before);
    using kernel = this.#enter(found);
    if (before !== undefined) this.#hostEnds.regainName(before.id);
    const name = before?.interface ?? this.options.interface;
    const pair = kernel.findPair(name, `attach ${target.text}`);
    const taken = pair !== undefined &&
      this.#registry.all().some((r) => hostInterface(r.id) === pair.hostName);
    if (before !== undefined || taken) {
      checkPair(`attach ${target.text}`, before && hostInterface(before.id), pair);
    }
    const base: AttachmentRecord = before !== undefined ? movedTo(before, found) : {
      // An interface of ours that no record knows is taken over with what it has.
      id: pair?.hostName.slice(HOST_PREFIX.length) ?? this.#registry.newId(found, name),
      target: target.text,
      namespace: found.namespace,
      processMark: found.processMark,
      interface: name,
      mac: pair?.mac ?? newMac(this.adapters.random),
      addresses: [],
    };
    const has = mergeAddresses(pair?.addresses ?? [], base.addresses);
    const addresses = mergeAddresses(base.addresses, mergeAddresses(before === undefined ? has : [], asked));
    const added = addresses.filter((cidr) => before?.addresses.some((a) => a.ip === cidr.ip) !== true);
    const warnings = checkConflicts(
      (text) => `attach ${text} to ${target.text}`,
      added,
      kernel.otherNetworks(name),
    );
    const record = { ...base, addresses };
    const wanted = wantedOf(record, this.options);
    const planned = planAttach(wanted, kernel.observe(wanted));
    this.#registry.save(record); // first: a crash from here on is completed by reconcile()
    let more: readonly string[];
    try {
      more = applySteps(planned, (step) => kernel.perform(step), `attach ${target.text}`);
    } catch (thrown) {
      this.#takeBack(record.id, before);
      throw thrown;
    }
    this.#failures.delete(record.id);
    this.#hostEnds.note(record.id);
    this.#announceLater(record.id, planned);
    const texts = added.map(formatCidr);
    if (planned.length > 0 || texts.length > 0) {
      const fields = { target: target.text, addresses: texts.join(" "), interface: wanted.hostName };
      this.adapters.log.info("attached", fields);
    }
    return {
      target: target.text,
      addresses: texts,
      attachment: this.#report(record),
      warnings: [...warnings, ...more],
    };
  }

  /** Takes addresses away from a target; with none named, or none left, the interface. Throws "attach/not-attached"
   * for what is not attached. On failure everything is as it was. */
  detach(request: AttachmentRequest): AttachmentResult {
    const target = parseAttachTarget(request.target);
    const asked = request.addresses.map(parseAttachAddress);
    const found = findTarget(target, this.adapters.probe);
    const record = found === undefined ? this.#registry.find(target, undefined) : this.#recordOf(found);
    if (record === undefined) {
      const all = this.#registry.all().map((r) => r.target).join(", ");
      throw new MeshnetError("attach/not-attached", `Cannot detach ${target.text}: it is not attached`, {
        hint: all === "" ? "Nothing is attached on this host" : `Attached are: ${all}`,
      });
    }
    const removed = asked.length === 0 ? record.addresses : asked;
    for (const cidr of removed) {
      if (record.addresses.some((a) => a.ip === cidr.ip && a.prefix === cidr.prefix)) continue;
      throw new MeshnetError(
        "attach/not-attached",
        `Cannot detach ${formatCidr(cidr)}: ${target.text} does not have it`,
        {
          hint: `Its addresses are: ${record.addresses.map(formatCidr).join(", ")}`,
        },
      );
    }
    const left = record.addresses.filter((a) => !removed.some((r) => r.ip === a.ip));
    const { kind } = judge(record, found, this.adapters.probe);
    if (found === undefined && left.length > 0 && kind !== "wait") {
      // Held: it may run, but nobody says where. Taking its interface would take all of its addresses.
      const [why, else_] = kind === "hold"
        ? ["no container engine answers", ", or start the engine"]
        : ["it is gone", ""];
      throw new MeshnetError("attach/bad-target", `Cannot take addresses from ${target.text}: ${why}`, {
        hint: `Detach it as a whole: meshnet detach ${target.text}${else_}`,
      });
    }
    // First the store, which a full disk refuses: what is cut off in the kernel could not be given back whole.
    if (left.length === 0) this.#registry.drop(record.id);
    else this.#registry.save({ ...(found === undefined ? record : movedTo(record, found)), addresses: left });
    let warnings: readonly string[];
    try {
      this.#hostEnds.regainName(record.id);
      warnings = found === undefined
        ? this.#removeHostEnd(record)
        : this.#takeFrom(found, record, { removed, left });
    } catch (thrown) {
      this.#takeBack(record.id, record);
      throw thrown;
    }
    this.#failures.delete(record.id);
    this.#hostEnds.note(record.id);
    const addresses = removed.map(formatCidr);
    this.adapters.log.info("detached", { target: record.target, addresses: addresses.join(" ") });
    const attachment = left.length === 0 ? null : this.#report({ ...record, addresses: left });
    return { target: target.text, addresses, attachment, warnings };
  }

  /** Under which name a target's addresses are held: that under which it was attached first, also where it is called by
   * another name now. Throws "attach/bad-target" for what is not there, unless it is `remembered`. */
  holderOf(text: string, { remembered = false } = {}): string {
    const target = parseAttachTarget(text);
    const found = remembered
      ? findTarget(target, this.adapters.probe)
      : resolveTarget(target, this.adapters.probe);
    const record = found === undefined ? this.#registry.find(target, undefined) : this.#recordOf(found);
    return record?.target ?? text;
  }

  /** The targets of all attachments. */
  targets(): readonly string[] {
    return this.#registry.all().map(({ target }) => target);
  }

  /** All attachments, with what is wrong with them. */
  list(): readonly Attachment[] {
    return this.#registry.all().map((record) => this.#report(record));
  }

  /** Who has which addresses, as far as is remembered: the kernel is not looked at. */
  remembered(): readonly Remembered[] {
    return this.#registry.all();
  }

  /**
   * Makes the kernel agree with what is remembered: at start, and from time to time to heal what was broken from
   * outside. What agrees is not touched. Never throws for a single attachment. `only`: looks at no others.
   */
  reconcile(only?: Suspects): Reconciled {
    const done = {
      adopted: [] as string[],
      restored: [] as string[],
      waiting: [] as string[],
      forgotten: [] as string[],
      failed: [] as { target: string; reason: string }[],
    };
    const records = this.#registry.all();
    for (const record of only === undefined ? records : suspectsOf(records, only, this.#host)) {
      const { target } = record;
      try {
        done[this.#reconcileOne(record)].push(target);
        this.#failures.delete(record.id);
        this.#hostEnds.note(record.id);
      } catch (thrown) {
        const reason = messageOf(thrown);
        if (this.#failures.get(record.id) !== reason) {
          this.adapters.log.warn("attachment-broken", { target, reason });
        }
        this.#failures.set(record.id, reason);
        done.failed.push({ target, reason });
      }
    }
    if (only?.hostEnds.some(isAttachmentInterface) ?? true) this.#findUnknown();
    return { ...done, unknown: this.#unknown.names };
  }

  /** Host ends that no record knows: frames pass them, but nobody looks after them. Those that reconcile() found and
   * that are still there. */
  unknown(): readonly string[] {
    if (this.#unknown.names.length > 0) this.#findUnknown();
    return this.#unknown.names;
  }

  #findUnknown(): void {
    this.#unknown.look(new Set(this.#registry.all().map((record) => hostInterface(record.id))));
  }

  /** Detaches everything and forgets it, whatever state it is in. Returns the targets. Throws the first failure, after
   * having tried all. */
  removeAll(): readonly string[] {
    const removed: string[] = [];
    let failure: unknown;
    for (const record of this.#registry.all()) {
      try {
        this.#removeHostEnd(record);
        this.#registry.drop(record.id);
        removed.push(record.target);
      } catch (thrown) {
        failure ??= thrown;
      }
    }
    if (failure !== undefined) throw failure;
    return removed;
  }

  #reconcileOne(record: AttachmentRecord): "adopted" | "restored" | "waiting" | "forgotten" {
    const { probe } = this.adapters;
    const verdict = judge(record, findTarget(parseAttachTarget(record.target), probe), probe);
    if (verdict.kind === "hold") return "adopted"; // as it is
    if (verdict.kind !== "keep") return this.#leave(record, verdict);
    using kernel = this.#enter(verdict.target);
    this.#hostEnds.regainName(record.id);
    // Something may keep the namespace alive that the target has left.
    if (!sameFile(verdict.target.namespace, record.namespace)) this.#removeHostEnd(record);
    const wanted = wantedOf(record, this.options);
    const action = `attach ${record.target}`;
    checkPair(action, wanted.hostName, kernel.findPair(record.interface, action));
    const planned = planAttach(wanted, kernel.observe(wanted));
    const moved = movedTo(record, verdict.target);
    if (!sameFile(moved.namespace, record.namespace)) this.#registry.save(moved);
    if (planned.length === 0) return "adopted";
    const warnings = applySteps(planned, (step) => kernel.perform(step), action);
    for (const reason of warnings) {
      this.adapters.log.warn("attach-warning", { target: record.target, reason });
    }
    // What this kernel refuses each time is no repair.
    if (warnings.length === planned.length) return "adopted";
    this.#announceLater(record.id, planned);
    this.adapters.log.info("attachment-restored", { target: record.target, steps: planned.length });
    return "restored";
  }

  /** The record of a namespace, after forgetting those that only seem to be about it. */
  #recordOf(found: ResolvedTarget): AttachmentRecord | undefined {
    for (;;) {
      const record = this.#registry.find(found.target, found);
      if (record === undefined) return undefined;
      const its = record.target === found.target.text
        ? found
        : findTarget(parseAttachTarget(record.target), this.adapters.probe);
      const verdict = judge(record, its, this.adapters.probe);
      if (verdict.kind === "hold") return record; // found by its namespace, which is the same still
      if (verdict.kind !== "keep") this.#leave(record, verdict);
      else if (sameFile(verdict.target.namespace, found.namespace)) return record;
      else this.#registry.save(movedTo(record, verdict.target)); // its name leads elsewhere by now
    }
  }

  /** The target of a record is not there: nothing of it may be left on the host. */
  #leave(
    record: AttachmentRecord,
    verdict: Extract<Verdict, { kind: "wait" | "forget" }>,
  ): "waiting" | "forgotten" {
    const fields = { target: record.target, reason: verdict.why };
    this.#hostEnds.regainName(record.id);
    this.#removeHostEnd(record);
    this.#hostEnds.note(record.id);
    this.#failures.delete(record.id);
    if (verdict.kind === "wait") {
      if (this.#registry.saveAbsent(record)) this.adapters.log.info("attachment-waiting", fields);
      return "waiting";
    }
    this.#registry.drop(record.id);
    this.adapters.forgotten(record.target);
    this.adapters.log.info("attachment-forgotten", fields);
    return "forgotten";
  }

  #takeFrom(
    found: ResolvedTarget,
    record: AttachmentRecord,
    addresses: { removed: readonly Cidr[]; left: readonly Cidr[] },
  ): readonly string[] {
    using kernel = this.#enter(found);
    const wanted: Wanted = wantedOf(record, this.options);
    const action = `detach ${record.target}`;
    if (addresses.left.length > 0) {
      checkPair(action, wanted.hostName, kernel.findPair(record.interface, action));
    }
    const planned = planDetach(wanted, kernel.observe(wanted), addresses);
    return applySteps(planned, (step) => kernel.perform(step), action);
  }

  /** After a request that failed: remembers of an attachment what was true before. */
  #takeBack(id: string, before: AttachmentRecord | undefined): void {
    try {
      this.#registry.restore(id, before);
    } catch (thrown) { // the request's own failure is what its caller must read
      const fields = { id, reason: messageOf(thrown) };
      this.adapters.log.error("attachment-not-remembered", fields);
    }
  }

  #removeHostEnd(record: AttachmentRecord): readonly string[] {
    const surroundings = { ...this.adapters, host: this.#host };
    return removeHostEnd(hostInterface(record.id), surroundings, `detach ${record.target}`);
  }

  #enter(found: ResolvedTarget): TargetKernel {
    try {
      return new TargetKernel(this.adapters, this.#host, found.path);
    } catch (thrown) {
      if (!(thrown instanceof MeshnetError) || thrown.errno !== ERRNO.EINVAL) throw thrown;
      const message = `Cannot use target ${found.target.text}: it is not a network namespace`;
      throw new MeshnetError("attach/bad-target", message, {
        hint: "It may be a namespace of another kind; network namespaces are /proc/N/ns/net",
        cause: thrown,
      });
    }
  }

  #report(record: AttachmentRecord): Attachment {
    const surroundings = { ...this.adapters, host: this.#host };
    return describeAttachment(record, surroundings, this.#failures.get(record.id));
  }

  /** Announces again what was announced: a switch may have lost the first frames of a port it had just got. */
  #announceLater(id: string, planned: readonly PlannedStep[]): void {
    const announce = planned.map(({ step }) => step).find((step) => step.kind === "announce");
    if (announce === undefined) return;
    for (const ms of ANNOUNCE_AGAIN_MS) {
      this.adapters.later(ms, () => {
        const record = this.#disposed ? undefined : this.#registry.get(id);
        const addresses = announce.addresses.filter((a) => record?.addresses.some((has) => has.ip === a.ip));
        if (record !== undefined && addresses.length > 0) this.#announce(record, { ...announce, addresses });
      });
    }
  }

  #announce(record: AttachmentRecord, announce: Step): void {
    try {
      const found = findTarget(parseAttachTarget(record.target), this.adapters.probe);
      if (!isStill(record, found)) return;
      using kernel = this.#enter(found);
      kernel.perform(announce);
    } catch (thrown) {
      this.adapters.log.debug("announce-failed", { target: record.target, reason: messageOf(thrown) });
    }
  }
}
