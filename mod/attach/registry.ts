/** The attachments that this host remembers, and what to do about each after a restart or a change. */
import { type Cidr, formatCidr } from "../core/addr.ts";
import { MeshnetError } from "../core/errors.ts";
import type { Store } from "../core/ports.ts";
import { shortHash } from "./names.ts";
import {
  type AttachmentRecord,
  decodeRecord,
  encodeRecord,
  isStill,
  RECORD_PREFIX,
  recordKey,
} from "./record.ts";
import {
  absenceOf,
  type FileIdentity,
  type NamespaceProbe,
  parseAttachTarget,
  type ResolvedTarget,
  sameFile,
} from "./target.ts";

/** What reconciling does with one record, before anything is compared with the kernel. */
export type Verdict =
  /** The target is there: make the kernel agree, which changes nothing when it does. */
  | { readonly kind: "keep"; readonly target: ResolvedTarget }
  /** Nothing has the target's name now: clean up, and attach it when something has. */
  | { readonly kind: "wait"; readonly why: string }
  /** Nobody can say whether the target is there: everything stays as it is. */
  | { readonly kind: "hold"; readonly why: string }
  /** The target is gone for good: clean up and forget. */
  | { readonly kind: "forget"; readonly why: string };

/** Judges a record by what its target leads to now. */
export function judge(
  record: AttachmentRecord,
  found: ResolvedTarget | undefined,
  probe: NamespaceProbe,
): Verdict {
  if (isStill(record, found)) return { kind: "keep", target: found };
  if (found !== undefined) return { kind: "forget", why: "process number belongs to another process" };
  const target = parseAttachTarget(record.target);
  const isContainer = target.kind === "container";
  switch (absenceOf(target, probe)) {
    case "returns":
      return {
        kind: "wait",
        why: isContainer ? "the container does not run" : "there is no namespace of that name",
      };
    case "unknown":
      return { kind: "hold", why: "no container engine answers" };
    case "gone":
      return { kind: "forget", why: isContainer ? "container is gone" : "target is gone" };
  }
}

/** No file has this identity. */
const NOWHERE: FileIdentity = { device: 0, inode: 0 };

/** The records, in memory and in the store at once. */
export class Registry {
  readonly #records = new Map<string, AttachmentRecord>();
  /** Records that could not be read, left as they are: key and reason. */
  readonly unreadable: readonly (readonly [key: string, reason: string])[];

  /** Reads everything remembered. */
  constructor(readonly store: Store) {
    const unreadable: [string, string][] = [];
    for (const [key, value] of store.list(RECORD_PREFIX)) {
      const decoded = decodeRecord(value);
      if (decoded.ok) this.#records.set(decoded.value.id, decoded.value);
      else unreadable.push([key, decoded.reason]);
    }
    this.unreadable = unreadable;
  }

  /** All records, oldest first within this run. */
  all(): readonly AttachmentRecord[] {
    return [...this.#records.values()];
  }

  /** The record with that id. */
  get(id: string): AttachmentRecord | undefined {
    return this.#records.get(id);
  }

  /** The record of a namespace or, failing that, of a target's text. */
  find(target: { readonly text: string }, found: ResolvedTarget | undefined): AttachmentRecord | undefined {
    const records = this.all();
    return records.find((r) => found !== undefined && isSame(r, found)) ??
      records.find((r) => r.target === target.text);
  }

  /** Remembers a record, or its new state. */
  save(record: AttachmentRecord): void {
    this.store.put(recordKey(record.id), encodeRecord(record));
    this.#records.set(record.id, record);
  }

  /** Keeps a record whose target is not there: whatever has its namespace's number now is another one. Says whether
   * that is new. */
  saveAbsent(record: AttachmentRecord): boolean {
    if (sameFile(record.namespace, NOWHERE)) return false;
    this.save({ ...record, namespace: NOWHERE });
    return true;
  }

  /** Forgets a record. */
  drop(id: string): void {
    this.store.remove(recordKey(id));
    this.#records.delete(id);
  }

  /** Sets a record back to what it was, `undefined` for none: here at once, also when the store refuses it and this
   * throws. */
  restore(id: string, before: AttachmentRecord | undefined): void {
    if (before === undefined) this.#records.delete(id);
    else this.#records.set(id, before);
    if (before === undefined) this.drop(id);
    else this.save(before);
  }

  /** An id for a new attachment, taken from what it hangs on so that it is the same if asked again. */
  newId(found: ResolvedTarget, interfaceName: string): string {
    const { namespace, target } = found;
    for (let salt = 0;; salt++) {
      const id = shortHash([target.text, namespace.device, namespace.inode, interfaceName, salt].join(" "));
      if (!this.#records.has(id)) return id;
    }
  }

  /** Throws "attach/bad-address" when an address belongs to another target of this host. */
  checkFree(addresses: readonly Cidr[], own: AttachmentRecord | undefined): void {
    for (const cidr of addresses) {
      const holder = this.all().find((r) => r.id !== own?.id && r.addresses.some((a) => a.ip === cidr.ip));
      if (holder === undefined) continue;
      const text = formatCidr(cidr);
      throw new MeshnetError(
        "attach/bad-address",
        `Cannot attach ${text}: it is attached to ${holder.target} here`,
        {
          hint: `Choose another address, or first run: meshnet detach ${text} ${holder.target}`,
        },
      );
    }
  }
}

/** Whether a record is about a namespace that was found: the same one, unless its process number was reused. */
function isSame(record: AttachmentRecord, found: ResolvedTarget): boolean {
  if (!sameFile(record.namespace, found.namespace)) return false;
  return record.target !== found.target.text || record.processMark === found.processMark;
}
