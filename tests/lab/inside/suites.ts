/** All suites of the lab, in the order in which they run. */
import kernel from "./kernel_lab.ts";
import type { Suite } from "./suite.ts";

/** Every suite. Those of different kernels run at the same time. */
export const SUITES: readonly Suite[] = [kernel];
/** How many kernels are booted side by side. */
export const KERNELS = 2;
