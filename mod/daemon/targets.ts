/** Whom to connect to at start: what the configuration names, and what was added by hand. Pure. */

/** What is known of targets at start. */
export interface TargetSources {
  /** What the configuration names now; undefined when it says nothing of peers. */
  readonly configured: readonly string[] | undefined;
  /** What it named at the last start. */
  readonly configuredBefore: readonly string[];
  /** The targets when the daemon ended. */
  readonly stored: readonly string[];
}

/** The configured ones, then those that `meshnet connect` added in earlier runs. What only the old configuration
 * named is dropped, so taking a peer out of the file is enough. Nothing configured: those of the last run. */
export function targetsAtStart(sources: TargetSources): readonly string[] {
  const { configured, configuredBefore, stored } = sources;
  if (configured === undefined) return stored;
  const added = stored.filter((target) => !configuredBefore.includes(target));
  return [...new Set([...configured, ...added])];
}

/** What a changed configuration asks for while the daemon runs. */
export function targetChanges(
  before: readonly string[],
  now: readonly string[],
): { readonly connect: readonly string[]; readonly forget: readonly string[] } {
  return {
    connect: now.filter((target) => !before.includes(target)),
    forget: before.filter((target) => !now.includes(target)),
  };
}

/** A list as it is stored, or empty for what is none. */
export function parseTargetList(text: string | undefined): readonly string[] {
  try {
    const list: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(list) ? list.filter((item) => typeof item === "string") : [];
  } catch {
    return [];
  }
}
