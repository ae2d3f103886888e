/** Reads the golden vectors of tests/vectors. */

/** The parsed content of `tests/vectors/<name>.json`; the caller states its shape. */
// deno-lint-ignore no-explicit-any
export function loadVectors<T = any>(name: string): T {
  const url = new URL(`../vectors/${name}.json`, import.meta.url);
  return JSON.parse(Deno.readTextFileSync(url)) as T;
}
