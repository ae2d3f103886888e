/** Hears from the kernel what happens to interfaces of containers, at both ends. */
import { isHostInterface } from "../../attach/mod.ts";
import type { Ip } from "../../core/addr.ts";
import { NAME_PORT } from "../../core/name_leg.ts";
import { after, type Millis } from "../../core/time.ts";
import type { NoticeSocket } from "../../overlay/ports/datapath_port.ts";
import type { Disturbed } from "../../overlay/ports/dataplane_messages.ts";
import { takeNotices } from "../../overlay/ports/notices.ts";
import type { Watcher } from "../../overlay/ports/watcher.ts";
import {
  addedAddresses,
  linksOfRemovedAddresses,
  readInterfaceNotice,
} from "../../wire/netlink/rtnetlink.ts";

/** What happens within this time is told together. */
const GATHER_MS = 50;
/** So many host ends are known by their index: their names are looked after. */
const MAX_KNOWN = 4096;
/** More than this is told as "anything may have happened". */
const MAX_NAMED = 512;

/** What hearing needs. */
export interface AttachedNoticesParts {
  /** A member of LINK_NOTICES and of ADDRESS_NOTICES that hears all namespaces which this one knows: those with the
   * other end of one of its veth pairs among them. No socket is in a container, so none keeps its namespace alive. */
  readonly socket: NoticeSocket;
  /** What host ends should have. */
  readonly mtu: number;
  /** Something happened to these. */
  readonly tell: (disturbed: Disturbed) => void;
  /** These IPv4 addresses came to interfaces, ours or not, in this namespace or another. Beyond a bound some are left out. */
  readonly tellAddresses: (added: readonly Ip[]) => void;
  /** So much happened that all must be looked at. */
  readonly tellAll: () => void;
}

/** Tells of host ends, and of the name server's port, that have gone, were taken off their switch, set down, renamed or got another MTU. Also tells of
 * interfaces in other namespaces that have gone, were set down or lost an address: of these only the index is known, so
 * some are not ours. And of addresses that came. */
export class AttachedNotices implements Watcher {
  readonly name = "interfaces of containers";
  readonly #hostEnds = new Set<string>();
  readonly #guests = new Set<number>();
  /** Names of host ends by index, of those that were heard of. */
  readonly #known = new Map<number, string>();
  readonly #added = new Set<Ip>();
  #all = false;
  #tellAt = Infinity;

  constructor(readonly parts: AttachedNoticesParts) {}

  /** See Watcher. */
  get fd(): number {
    return this.parts.socket.fd;
  }

  /** See Watcher. */
  drain(now: Millis): void {
    const complete = takeNotices(this.parts.socket, (notice) => {
      for (const { name, index, present, up, mtu, hasMaster } of readInterfaceNotice(notice)) {
        if (isHostInterface(name) || name === NAME_PORT) {
          this.#know(index, name, present);
          const isSized = mtu === 0 || mtu === this.parts.mtu;
          if (!present || !up || !hasMaster || !isSized) this.#hostEnds.add(name);
          continue;
        }
        const former = this.#known.get(index); // it may be an interface of that number in another namespace
        if (former !== undefined) this.#hostEnds.add(former);
        if (!present || !up) this.#guests.add(index);
      }
      for (const index of linksOfRemovedAddresses(notice)) this.#guests.add(index);
      for (const ip of addedAddresses(notice)) if (this.#added.size < MAX_NAMED) this.#added.add(ip);
    });
    if (!complete || this.#hostEnds.size + this.#guests.size > MAX_NAMED) this.#all = true;
    if (this.#all) this.#clear();
    if (this.#all || this.#hostEnds.size + this.#guests.size + this.#added.size > 0) {
      this.#tellAt = Math.min(this.#tellAt, after(now, GATHER_MS));
    }
  }

  /** See Watcher. */
  nextWake(): number {
    return this.#tellAt;
  }

  /** See Watcher. */
  wake(now: Millis): void {
    if (now < this.#tellAt) return;
    this.#tellAt = Infinity;
    const all = this.#all;
    this.#all = false;
    const added = [...this.#added];
    this.#added.clear();
    if (added.length > 0) this.parts.tellAddresses(added);
    if (all) return this.parts.tellAll();
    if (this.#hostEnds.size + this.#guests.size === 0) return;
    const disturbed = { hostEnds: [...this.#hostEnds], guests: [...this.#guests] };
    this.#clear();
    this.parts.tell(disturbed);
  }

  #know(index: number, name: string, present: boolean): void {
    if (!present) this.#known.delete(index);
    else if (this.#known.size < MAX_KNOWN) this.#known.set(index, name);
  }

  #clear(): void {
    this.#hostEnds.clear();
    this.#guests.clear();
  }

  /** Closes the socket. */
  [Symbol.dispose](): void {
    this.parts.socket[Symbol.dispose]();
  }
}
