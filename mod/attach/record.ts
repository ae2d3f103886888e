/** What is remembered of an attachment, so that it survives restarts of the daemon and of the host. */
import { type Cidr, formatCidr, formatMac, type Mac, macAt, parseCidr, parseMac } from "../core/addr.ts";
import { bad, type Decoded, good } from "../core/brand.ts";
import { messageOf } from "../core/errors.ts";
import type { Random, Store } from "../core/ports.ts";
import { hostInterface } from "./names.ts";
import type { FileIdentity, ResolvedTarget } from "./target.ts";
import type { Wanted } from "./plan.ts";

/** Keys of attachments in the store begin with this. */
export const RECORD_PREFIX = "attachment/";
const VERSION = 1;

/** One attachment as remembered. */
export interface AttachmentRecord {
  /** Ten hexadecimal digits; names the host end. */
  readonly id: string;
  /** As given by the person who attached. */
  readonly target: string;
  readonly namespace: FileIdentity;
  /** For targets by process: what tells it from a later process with the same number. */
  readonly processMark: string | undefined;
  /** The interface in the target. */
  readonly interface: string;
  readonly mac: Mac | undefined;
  /** In the order of attaching; at least one. */
  readonly addresses: readonly Cidr[];
}

/** Key of a record in the store. */
export function recordKey(id: string): string {
  return RECORD_PREFIX + id;
}

/** A record as JSON, version first. */
export function encodeRecord(record: AttachmentRecord): string {
  return JSON.stringify({
    version: VERSION,
    id: record.id,
    target: record.target,
    namespace: record.namespace,
    processMark: record.processMark ?? null,
    interface: record.interface,
    mac: record.mac === undefined ? null : formatMac(record.mac),
    addresses: record.addresses.map(formatCidr),
  });
}

/** Reads what encodeRecord() wrote. */
export function decodeRecord(text: string): Decoded<AttachmentRecord> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (thrown) {
    return bad(`not JSON: ${messageOf(thrown)}`);
  }
  if (typeof json !== "object" || json === null) return bad("not an object");
  const fields = json as Record<string, unknown>;
  if (fields.version !== VERSION) {
    return bad(`version is ${JSON.stringify(fields.version)}, expected ${VERSION}`);
  }
  const { id, target, processMark } = fields;
  const namespace = fields.namespace as Record<string, unknown> | null | undefined;
  const mac = typeof fields.mac === "string" ? parseMac(fields.mac) : undefined;
  const texts: readonly unknown[] = Array.isArray(fields.addresses) ? fields.addresses : [];
  const addresses = texts.map((t) => typeof t === "string" ? parseCidr(t) : undefined);
  if (typeof id !== "string" || !/^[0-9a-f]{10}$/.test(id)) return bad(`id is ${JSON.stringify(id)}`);
  if (typeof target !== "string" || target === "") return bad(`target is ${JSON.stringify(target)}`);
  if (typeof fields.interface !== "string" || !/^[a-z][a-z0-9]{0,14}$/.test(fields.interface)) {
    return bad(`interface is ${JSON.stringify(fields.interface)}`);
  }
  if (typeof namespace?.device !== "number" || typeof namespace.inode !== "number") {
    return bad("namespace has no device and inode");
  }
  if (fields.mac !== null && mac === undefined) return bad(`mac is ${JSON.stringify(fields.mac)}`);
  if (processMark !== null && typeof processMark !== "string") return bad("processMark is not text");
  if (addresses.length === 0 || !addresses.every((a) => a !== undefined)) {
    return bad("addresses are missing or wrong");
  }
  return good({
    id,
    target,
    namespace: { device: namespace.device, inode: namespace.inode },
    processMark: processMark ?? undefined,
    interface: fields.interface,
    mac,
    addresses,
  });
}

/** How the interface of a record should be. */
export function wantedOf(
  record: AttachmentRecord,
  options: { mtu: number; multicastRoute: boolean; nameServer: boolean },
): Wanted {
  const { interface: name, mac, addresses } = record;
  return { hostName: hostInterface(record.id), name, mac, addresses, ...options };
}

/** The record as it is with the target found now: a namespace that was made anew under its old name is taken over. Found
 * by another of its names, it stays what it is: the mark is that of the process which the record names. */
export function movedTo(record: AttachmentRecord, found: ResolvedTarget): AttachmentRecord {
  const processMark = found.target.text === record.target ? found.processMark : record.processMark;
  return { ...record, namespace: found.namespace, processMark };
}

/** Whether a target found now is the one that a record means. Names and paths mean whatever they lead to, so an
 * attachment returns with its container; a process number means that very process. */
export function isStill(
  record: AttachmentRecord,
  found: ResolvedTarget | undefined,
): found is ResolvedTarget {
  return found !== undefined && found.processMark === record.processMark;
}

/** A MAC for a new interface: locally administered, not a group. */
export function newMac(random: Random): Mac {
  const octets = random.bytes(6);
  octets[0] = (octets[0]! & 0xfe) | 2;
  return macAt(octets, 0);
}

/** What is remembered of attachments whose host end is not there: their keys, and the targets. What nobody can read counts as
 * one. */
export function recordsWithoutInterface(
  store: Pick<Store, "list">,
  isThere: (hostInterface: string) => boolean,
): readonly { readonly key: string; readonly target: string | undefined }[] {
  return store.list(RECORD_PREFIX).map(([key, text]) => ({ key, record: decodeRecord(text) }))
    .filter(({ record }) => !record.ok || !isThere(hostInterface(record.value.id)))
    .map(({ key, record }) => ({ key, target: record.ok ? record.value.target : undefined }));
}
