/** Figures and remarks of the running scenario; they are shown beside its result. */

let notes: string[] = [];

/** Adds a remark to the running scenario. */
export function note(text: string): void {
  notes.push(text);
}

/** The remarks since the last call. */
export function takeNotes(): readonly string[] {
  const taken = notes;
  notes = [];
  return taken;
}
