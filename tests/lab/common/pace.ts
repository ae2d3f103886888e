/** How slow this kernel is. User-mode Linux takes four times as long on some machines as on others, in everything alike: a
 * page fault is several switches between processes of the machine. So time limits in it are stretched by what that costs,
 * and those of a fast machine stay as they are written. */

const PAGE = 4096;
const PAGES = 4_000;
/** What a page's first use costs in user-mode Linux on the machines for which the limits were written. */
const USUAL_MS = 0.06;
const MOST = 6;

let factor = 1;

/** What to multiply time limits with: 1 to 6, and 1 before `measurePace()`. */
export function slowness(): number {
  return factor;
}

/** Measures this kernel, which must be user-mode Linux, and keeps the result for `slowness()`. */
export function measurePace(): number {
  const begun = performance.now();
  const pages = new Uint8Array(PAGE * PAGES);
  for (let at = 0; at < pages.length; at += PAGE) pages[at] = 1;
  factor = Math.min(MOST, Math.max(1, (performance.now() - begun) / PAGES / USUAL_MS));
  return factor;
}
