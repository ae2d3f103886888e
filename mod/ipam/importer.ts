/** Addresses from a backup: after a disaster, and never against what others know. */
import { formatCidr } from "../core/addr.ts";
import type { PeerName } from "../core/names.ts";
import type { AllocatorEvent, IpamRefusal, LeftOut } from "./allocator_types.ts";
import type { BackupHolder } from "./backup.ts";
import type { Parts } from "./parts.ts";
import { ownersMissing, peerText, refusal } from "./words.ts";

type Import = Extract<AllocatorEvent, { kind: "import" }>;

/**
 * Without a ring, that of the backup is taken when all owners that it names are here: none of them can have given
 * anything away since without this host's hearing of it. This host itself may have, to hosts that the backup does not
 * know: they are believed when they turn up, until this host hands something out. With a ring, only what the backup's
 * own host held is taken, where it is that host's and free.
 */
export class Importer {
  readonly #parts: Parts;
  readonly #installed: () => void;
  #waiting: Import[] = [];

  /** `installed` is called when there is a ring where there was none. */
  constructor(parts: Parts, installed: () => void) {
    this.#parts = parts;
    this.#installed = installed;
  }

  /** Takes a backup in, at once or when those who have just been met had time to speak. */
  add(event: Import): void {
    this.#waiting.push(event);
    this.settle();
  }

  /** When what waits is due; Infinity: nothing waits. */
  get due(): number {
    return this.#waiting.length > 0 ? this.#parts.heardAt : Infinity;
  }

  /** Nobody waits for it any more. */
  cancel(id: number): void {
    const before = this.#waiting.length;
    this.#waiting = this.#waiting.filter((event) => event.id !== id);
    if (this.#waiting.length < before) this.#parts.refuse(id, refusal("cancelled", "Import cancelled"));
  }

  /** Does what waits, when it is time. */
  settle(): void {
    const { heardAt, now } = this.#parts;
    if (heardAt !== Infinity && now < heardAt) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const event of waiting) this.#import(event);
  }

  #import(event: Import): void {
    const { ring, nicknames, self } = this.#parts;
    const { backup, id } = event;
    const blocked = this.#parts.gone ? refusal("shut-down", "This host has left") : this.#parts.blocked();
    if (blocked !== undefined) return this.#parts.refuse(id, blocked);
    const isNew = ring.isEmpty;
    if (isNew) {
      const missing = this.#missing(event);
      if (missing.length > 0) return this.#parts.refuse(id, this.#refusal(missing, backup));
      for (const [peer, nickname] of backup.nicknames) {
        if (!nicknames.has(peer)) nicknames.set(peer, nickname);
      }
      this.#install(event);
    } else if (backup.peer !== self) {
      const who = peerText(backup.peer, backup.nicknames);
      const message = `Cannot import: the range is shared out already, and the backup has what ${who} held`;
      return this.#parts.refuse(id, refusal("ring-exists", message, `Import it on ${who}`));
    }
    const left: LeftOut[] = [];
    let restored = 0;
    for (const holder of backup.held) {
      for (const cidr of holder.cidrs) {
        const why = backup.peer === self
          ? this.#restore(holder, cidr)
          : `it was held on ${peerText(backup.peer, backup.nicknames)}` +
            (event.gone.includes(backup.peer) ? ", which is gone" : ": import the backup of that host there");
        if (why === undefined) restored++;
        else left.push({ ident: holder.ident, address: formatCidr(cidr), why });
      }
    }
    this.#parts.answer(id, { kind: "imported", ring: isNew, restored, left });
  }

  #refusal(missing: readonly PeerName[], backup: Import["backup"]): IpamRefusal {
    const { nicknames, self } = this.#parts;
    const isHere = (peer: PeerName) => peer === self || this.#parts.reaches(peer);
    const here = new Map(
      [...nicknames].flatMap(([peer, nickname]) => nickname !== "" && isHere(peer) ? [[nickname, peer]] : []),
    );
    return ownersMissing(missing, { here, nicknames: backup.nicknames, self });
  }

  /** Owners that could have given addresses away that the backup says are theirs. */
  #missing({ backup, gone }: Import): PeerName[] {
    const { self } = this.#parts;
    const owners = new Set(backup.ring.entries.map(({ owner }) => owner));
    return [...owners].filter((peer) => peer !== self && !this.#parts.reaches(peer) && !gone.includes(peer));
  }

  #install({ backup }: Import): void {
    const { ring, self } = this.#parts;
    const before = ring.rangesOf(self);
    ring.install(backup.ring.entries, backup.ring.seeds);
    this.#parts.careful = true;
    this.#parts.believeDisk(new Map()); // who is met from now on may know better
    this.#parts.followRing(before);
    this.#parts.saveRing();
    this.#parts.note("imported", `${backup.ring.entries.length} ranges, written ${backup.written}`);
    this.#parts.broadcast();
    this.#installed();
  }

  /** Gives an address back to who held it; or says why not. */
  #restore({ ident, isContainer }: BackupHolder, cidr: BackupHolder["cidrs"][number]): string | undefined {
    const { nicknames, owned, ring, self, space, universe } = this.#parts;
    const holder = owned.holderOf(cidr.ip);
    if (holder === ident) return undefined;
    if (holder !== undefined) return `${holder} has it now`;
    const at = universe.offsetOf(cidr.ip);
    if (at !== undefined) {
      const owner = ring.ownerOf(at)!;
      if (owner !== self) return `it belongs to ${peerText(owner, nicknames)} now`;
      if (!space.claim(at)) return "it is in use";
    }
    this.#parts.hold(ident, cidr, isContainer, { isRestored: true });
    return undefined;
  }
}
