/** The files that tell attached namespaces whom to ask for names: written at attach, given back at detach. */
import type { Ip } from "../../core/addr.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import type { Logger, Store } from "../../core/ports.ts";
import { nameserversOf, resolvConfFor } from "../../dns/upstream/resolv_conf.ts";
import { ownFileOf, processOf } from "./own_file.ts";
import { readTextIfReadable, removeIfThere } from "../../sys/files.ts";

/** Where `ip netns exec` looks for files that a namespace has of its own. */
const FILES = "/etc/netns";
const NAME = "resolv.conf";
const PREFIX = "names/resolv-conf/";
const VERSION = 1;
/** A longer file is none that a person wrote. */
const MAX_BYTES = 64 * 1024;
/** So much of a file is shown; files that a person wrote are shorter. */
const MAX_SHOWN = 2_000;

/** How files are written. */
export interface ResolvFilesParts {
  readonly store: Store;
  readonly logger: Logger;
  /** Where namespaces ask. */
  readonly server: Ip;
  /** The domain of the mesh, a whole name. */
  readonly domain: string;
  /** This host's file: namespaces without one of their own see that. */
  readonly resolvConf: string;
  /** Where the files are, if not where `ip netns exec` looks. */
  readonly folder?: string;
  /** The file of a process, if not by `ownFileOf`. */
  readonly ownFile?: typeof ownFileOf;
}

/** A file of a target. */
interface Place extends Disposable {
  /** What people call it. */
  readonly shown: string;
  /** Where it is read and written. */
  readonly at: string;
  /** Whether it is made where it is missing, and taken away again. */
  readonly isMade: boolean;
}

/** What a file was, and what it became. */
interface Written {
  /** null: there was none. */
  readonly original: string | null;
  /** What we wrote last, and what we wrote before: a crash leaves one of them. Empty: the file is as it was. */
  readonly texts: readonly string[];
}

/** See the file. Nothing throws: that a file cannot be written is worth a warning, and no more. */
export class ResolvFiles {
  constructor(readonly parts: ResolvFilesParts) {}

  /** Writes the file of a target, if it has one. The result is what a person should know. */
  write(target: string): string | undefined {
    const { domain, resolvConf, server, store } = this.parts;
    let shown = `/etc/${NAME}`;
    try {
      using place = this.#placeOf(target);
      if (place === undefined) return undefined;
      ({ shown } = place);
      const { at: path } = place;
      const present = readPlain(place);
      const known = readWritten(store.get(PREFIX + target));
      const isOurs = known !== undefined && present !== null && wroteThis(known, present);
      if (!isOurs && present !== null && nameserversOf(present, []).includes(server)) return undefined; // somebody's wish
      const original = isOurs ? known.original : present;
      const text = resolvConfFor(original ?? readTextIfReadable(resolvConf) ?? "", { domain, server });
      if (present === text && isOurs) return undefined;
      const texts = [text, ...known?.texts.slice(0, 1) ?? []];
      this.#remember(target, { original, texts });
      const isNew = present === null;
      if (isNew) makeReadableFolder(path.slice(0, -NAME.length - 1));
      Deno.writeTextFileSync(path, text);
      if (isNew) Deno.chmodSync(path, 0o644); // programs of any user ask for names, whatever the umask of the daemon
      return undefined;
    } catch (thrown) {
      return `Its ${shown} is not written: ${messageOf(thrown)}; names are answered at ${server}`;
    }
  }

  /** Gives the file of a target back as it was, unless somebody has changed it. Where that cannot be done, it is
   * remembered, and the next start tries again. The result is what a person should know. */
  restore(target: string): string | undefined {
    const warning = this.#edited(target);
    if (this.#restore(target)) this.#note(target, undefined);
    return warning;
  }

  /** What a person should know of a target that we told to ask here, and that asks somebody else by now. */
  bypassing(target: string): { readonly path: string; readonly asks: string } | undefined {
    const known = readWritten(this.parts.store.get(PREFIX + target));
    if (known === undefined || known.texts.length === 0) return undefined;
    try {
      using place = this.#placeOf(target);
      if (place === undefined) return undefined;
      const text = readPlain(place) ?? readTextIfReadable(this.parts.resolvConf) ?? "";
      const [first] = nameserversOf(text, []);
      return first === this.parts.server ? undefined : { path: place.shown, asks: first ?? "nobody" };
    } catch (thrown) {
      return { path: `its ${NAME}`, asks: `somebody else, perhaps: ${messageOf(thrown)}` };
    }
  }

  /** Gives back the files of targets that are not among these: they were detached while nobody looked. Those of the others
   * are written where they are not as they should be. */
  reconcile(targets: ReadonlySet<string>): void {
    for (const target of this.#written()) {
      if (!targets.has(target)) this.restore(target);
      else this.write(target);
    }
  }

  /** Gives all files back, and remembers whose they were: the next start with names writes them again. */
  withdraw(): void {
    for (const target of this.#written()) {
      if (this.#restore(target)) this.#note(target, { original: null, texts: [] });
    }
  }

  /** Gives all files back for good. Says whether there were any. Throws once it has tried all, if one cannot be given
   * back. */
  restoreAll(): boolean {
    const targets = this.#written();
    for (const target of targets) this.restore(target);
    const kept = this.#written();
    if (kept.length === 0) return targets.length > 0;
    throw new MeshnetError("attach/failed", `those of ${kept.join(", ")} are as meshnet wrote them`, {
      hint: "The log says why",
    });
  }

  #written(): readonly string[] {
    return filesWritten(this.parts.store);
  }

  /** Says whether there is nothing left to give back. */
  #restore(target: string): boolean {
    const known = readWritten(this.parts.store.get(PREFIX + target));
    let shown = "";
    try {
      using place = this.#placeOf(target);
      if (place === undefined || known === undefined) return true;
      ({ shown } = place);
      const { at: path } = place;
      const present = readPlain(place);
      if (present === null || present === known.original || !wroteThis(known, present)) return true;
      if (known.original !== null) Deno.writeTextFileSync(path, known.original);
      else {
        removeIfThere(path);
        removeIfThere(path.slice(0, -NAME.length - 1)); // if nothing else is in it
      }
      return true;
    } catch (thrown) {
      if (thrown instanceof MeshnetError) return true; // somebody has put something else in its place
      this.parts.logger.warn("file not given back", { target, path: shown, reason: messageOf(thrown) });
      return false;
    }
  }

  /** What a person should know of a file that stays, because somebody has changed what we wrote: nobody else knows what it
   * was before. */
  #edited(target: string): string | undefined {
    const known = readWritten(this.parts.store.get(PREFIX + target));
    if (known === undefined || known.texts.length === 0) return undefined;
    try {
      using place = this.#placeOf(target);
      if (place === undefined) return undefined;
      const { shown: path } = place;
      const present = readPlain(place);
      const { original } = known;
      if (present === null || present === original || wroteThis(known, present)) return undefined;
      const before = original === null ? "none" : JSON.stringify(original.slice(0, MAX_SHOWN));
      this.parts.logger.warn("file stays as somebody has changed it", { path, before });
      const was = original === null ? "before, there was none" : `before, it was ${before}`;
      return `Its ${path} stays, as somebody has changed it; ${was}`;
    } catch {
      return undefined; // giving it back says why
    }
  }

  #remember(target: string, { original, texts }: Written): void {
    const [key, text] = [PREFIX + target, JSON.stringify({ version: VERSION, original, texts })];
    if (this.parts.store.get(key) !== text) this.parts.store.put(key, text);
  }

  /** Remembers what is left to know once a file is as it was; undefined: nothing. */
  #note(target: string, left: Written | undefined): void {
    try {
      if (left === undefined) this.parts.store.remove(PREFIX + target);
      else this.#remember(target, left);
    } catch (thrown) { // the next start finds that there is nothing to give back
      this.parts.logger.warn("file not forgotten", { target, reason: messageOf(thrown) });
    }
  }

  /** The file of a target: namespaces that `ip netns` knows have one, and processes with a file system of their own. Throws
   * where it is one that must not be written. */
  #placeOf(target: string): Place | undefined {
    const [, name] = /^(?:netns:|(?:\/var)?\/run\/netns\/)([^/]+)$/.exec(target) ?? [];
    if (name !== undefined && name !== "." && name !== "..") {
      const at = `${this.parts.folder ?? FILES}/${name}/${NAME}`;
      return { shown: at, at, isMade: true, [Symbol.dispose]() {} };
    }
    const pid = processOf(target);
    const held = pid === undefined ? undefined : (this.parts.ownFile ?? ownFileOf)(pid);
    if (held === undefined) return undefined;
    return {
      shown: `/etc/${NAME}`,
      at: held.path,
      isMade: false,
      [Symbol.dispose]: () => held[Symbol.dispose](),
    };
  }
}

/** Whether we left a file like this. Writing empties a file first, so a kill leaves any beginning of a text. The file is
 * not replaced by another one: a running `ip netns exec` has it mounted. */
function wroteThis({ original, texts }: Written, present: string): boolean {
  return texts.length > 0 && [original ?? "", ...texts].some((text) => text.startsWith(present));
}

/** Makes a folder that all can read, whatever the umask of the daemon. Those that are there stay as they are. */
function makeReadableFolder(path: string): void {
  try {
    Deno.mkdirSync(path);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.AlreadyExists) return;
    if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
    makeReadableFolder(path.slice(0, path.lastIndexOf("/")));
    return makeReadableFolder(path);
  }
  Deno.chmodSync(path, 0o755);
}

/** The text of a file; null where there is none. Throws for anything but a short file: a link may lead to the host's own. */
function readPlain({ at: path, isMade }: Place): string | null {
  try {
    const { isFile, size } = isMade ? Deno.lstatSync(path) : Deno.statSync(path); // that of a process is held: no link
    if (!isFile) throw refusal("it is a link, or no file");
    if (size > MAX_BYTES) throw refusal(`it has ${size} bytes`);
    return Deno.readTextFileSync(path);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return null;
    throw thrown;
  }
}

function refusal(reason: string): MeshnetError {
  return new MeshnetError("attach/failed", reason);
}

function readWritten(text: string | undefined): Written | undefined {
  try {
    const { original, texts, version } = JSON.parse(text ?? "{}") as Record<string, unknown>;
    const isWhole = version === VERSION && (original === null || typeof original === "string") &&
      Array.isArray(texts) && texts.every((each) => typeof each === "string");
    return isWhole ? { original, texts } : undefined;
  } catch {
    return undefined;
  }
}

/** The targets whose files were written, as a store says. */
export function filesWritten(store: Pick<Store, "list">): readonly string[] {
  return store.list(PREFIX).map(([key]) => key.slice(PREFIX.length));
}
