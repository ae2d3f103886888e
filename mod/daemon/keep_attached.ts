/** Looks after attachments: what was broken from outside is mended, what has gone waits for its return or is forgotten. */
import type { Attachments, Reconciled } from "../attach/mod.ts";
import type { Faults } from "../core/faults.ts";
import type { Disturbed } from "../overlay/ports/dataplane_messages.ts";

/** Time between two looks. Long: a look costs little, but an idle host should sleep. */
const INTERVAL_MS = 60_000;
/** Where `ip netns add` makes names. */
const NAMED = "/run/netns";
/** A name that has just appeared is looked at so much later: first it is an empty file, then the namespace. */
const APPEARED_MS = [50, 1_000] as const;

/** What was disturbed is looked at once more after so long. */
const AGAIN_MS = 1_000;

/** Looks only while something is attached. */
export interface AttachmentKeeper extends Disposable {
  /** Something was attached or detached. */
  touched(): void;
  /** Something happened to these, or to what all of them hang on: looks at once, and a little later. */
  disturbed(which?: Disturbed): void;
}

/** Starts to look after attachments. `before` is called first each time: it mends what they hang on. What fails goes to
 * `faults`, and is tried again at the next look. */
export function keepAttached(
  attachments: Pick<Attachments, "reconcile" | "remembered">,
  { also = () => false, before = () => {}, faults, looked = () => {} }: {
    readonly before?: (() => void) | undefined;
    /** Whether there is something else to look after, by `before` alone. */
    readonly also?: (() => boolean) | undefined;
    /** Is told what each look has found. */
    readonly looked?: ((found: Reconciled) => void) | undefined;
    readonly faults: Pick<Faults, "guard" | "later">;
  },
): AttachmentKeeper {
  const mend = faults.guard("mend what attachments hang on", before);
  const reconcile = faults.guard(
    "look after attachments",
    (which?: Disturbed) => looked(attachments.reconcile(which)),
  );
  const timers = new Set<ReturnType<typeof setTimeout>>();
  let names: Deno.FsWatcher | undefined;
  const stop = () => {
    for (const timer of timers) clearTimeout(timer);
    timers.clear();
  };
  const after = (ms: number, work: () => void) => {
    const look = faults.guard("look after attachments", () => {
      timers.delete(timer);
      work();
      if (timers.size === 0) touched();
    });
    const timer = setTimeout(look, ms);
    timers.add(timer);
  };
  const lookAfter = (ms: number) =>
    after(ms, () => {
      mend();
      reconcile();
    });
  const isAnyAttached = () => attachments.remembered().length > 0;
  const isNeeded = () => isAnyAttached() || also();
  const touched = () => {
    stop();
    const needed = isNeeded();
    if (needed) lookAfter(INTERVAL_MS);
    if (!needed) {
      names?.close();
      names = undefined;
    } else {
      names ??= watchNames(() => disturbed(), faults);
    }
  };
  let over = false;
  const disturbed = (which?: Disturbed) => {
    if (over) return;
    if (which !== undefined) {
      if (!isAnyAttached()) return; // an engine's own, of which others are told
      reconcile(which);
      return after(AGAIN_MS, () => reconcile(which)); // what was still under way
    }
    if (!isNeeded()) return;
    stop();
    for (const ms of APPEARED_MS) lookAfter(ms);
  };
  touched();
  return {
    touched,
    disturbed,
    [Symbol.dispose]: () => {
      over = true;
      stop();
      names?.close();
    },
  };
}

/** Calls when a name of a namespace appears; undefined where that cannot be watched, and looking has to do. */
function watchNames(appeared: () => void, faults: Pick<Faults, "later">): Deno.FsWatcher | undefined {
  try {
    const watcher = Deno.watchFs(NAMED, { recursive: false });
    const watching = async () => {
      for await (const { kind } of watcher) if (kind === "create") appeared();
    };
    faults.later("watch for namespaces", watching()); // without it, looking from time to time has to do
    return watcher;
  } catch {
    return undefined; // nobody has used `ip netns` on this host yet
  }
}
