/** How slow this kernel is. In user-mode Linux a page fault is several switches between processes of the machine, which cost
 * much where a hypervisor has a part in them. Starts of programs are mostly page faults. So time limits in it are stretched
 * by what one costs, and those of a fast machine stay as they are written. */

const PAGE = 4096;
const PAGES = 4_000;
/** Up to this cost of a page's first use limits hold as they are written. Chosen: a slow machine was seen to take 0.16 to
 * 0.25 ms with one kernel, and up to 0.5 with two. */
const USUAL_MS = 0.06;
/** No limit is stretched further. */
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
