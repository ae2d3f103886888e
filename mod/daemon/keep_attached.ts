/** Looks after attachments: what was broken from outside is mended, what has gone is forgotten. */
import type { Attachments } from "../attach/mod.ts";

/** Time between two looks. Long: a look costs little, but an idle host should sleep. */
const INTERVAL_MS = 60_000;

/** A timer that runs only while something is attached. */
export interface AttachmentKeeper extends Disposable {
  /** Something was attached or detached. */
  touched(): void;
}

/** Starts to look after attachments. */
export function keepAttached(attachments: Attachments): AttachmentKeeper {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const touched = () => {
    clearTimeout(timer);
    timer = attachments.list().length === 0 ? undefined : setTimeout(() => {
      attachments.reconcile();
      touched();
    }, INTERVAL_MS);
  };
  touched();
  return { touched, [Symbol.dispose]: () => clearTimeout(timer) };
}
