/** All suites of the lab in user-mode Linux. */
import clone from "./clone_lab.ts";
import datapath from "./datapath_lab.ts";
import encrypted from "./esp_lab.ts";
import fallback from "./fallback_lab.ts";
import groups from "./groups_lab.ts";
import kernel from "./kernel_lab.ts";
import lifecycle from "./lifecycle_lab.ts";
import manyFlows from "./many_flows_lab.ts";
import mixedLine from "./mixed_line_lab.ts";
import noModule from "./no_module_lab.ts";
import password from "./password_lab.ts";
import restart from "./restart_lab.ts";
import sleeveDatapath from "./sleeve_datapath_lab.ts";
import type { Suite } from "../common/suite.ts";
import transit from "./transit_lab.ts";
import twoHosts from "./two_hosts_lab.ts";

/** Every suite. Each kernel goes down the list and takes what no other has taken: long ones first, so that all end at
 * about the same time. What must find its kernel without certain modules comes before what loads them: `no_module` is
 * the first of all, and `password` comes before `esp`. */
export const SUITES: readonly Suite[] = [
  ...[noModule, kernel, datapath, sleeveDatapath, twoHosts, lifecycle, clone],
  ...[transit, groups, restart, password, encrypted, manyFlows],
  ...fallback,
  ...mixedLine,
];
