/** All suites of the lab in user-mode Linux. */
import clone from "./clone_lab.ts";
import contract from "./contract_lab.ts";
import datapath from "./datapath_lab.ts";
import doctor from "./doctor_lab.ts";
import encrypted from "./esp_lab.ts";
import fallback from "./fallback_lab.ts";
import groups from "./groups_lab.ts";
import ipv6 from "./ipv6_lab.ts";
import kernel from "./kernel_lab.ts";
import loop from "./loop_lab.ts";
import lifecycle from "./lifecycle_lab.ts";
import manyFlows from "./many_flows_lab.ts";
import moves from "./moves_lab.ts";
import mixedLine from "./mixed_line_lab.ts";
import noModule from "./no_module_lab.ts";
import password from "./password_lab.ts";
import renumber from "./renumber_lab.ts";
import restart from "./restart_lab.ts";
import sleeveDatapath from "./sleeve_datapath_lab.ts";
import type { Suite } from "../common/suite.ts";
import transit from "./transit_lab.ts";
import twoHosts from "./two_hosts_lab.ts";

/** Every suite. Each kernel goes down the list and takes what no other has taken. So no suite of a kernel comes after one
 * that is further down: what must find its kernel without certain modules stands above what loads them. `noModule` is the
 * first, and `twoHosts` and `password` stand above `encrypted`, `doctor` and `renumber`. Otherwise long ones come first, so that all kernels end
 * at about the same time. */
export const SUITES: readonly Suite[] = [
  ...[noModule, twoHosts, password],
  ...encrypted,
  ...[doctor, renumber, restart, lifecycle, moves],
  ...fallback,

  ...mixedLine,
  ...ipv6,
  ...[manyFlows, transit, groups, loop, sleeveDatapath, clone, kernel, contract, datapath],
];
