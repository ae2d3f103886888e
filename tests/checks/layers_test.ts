/** Who may import whom. */
import { importsOf, noFindings, programFiles, resolve } from "./tree.ts";

/** What each area may import besides itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  wire: ["core"],
  mesh: ["core", "wire"],
  overlay: ["core", "wire"],
  sleeve: ["core", "wire", "overlay"],
  datapath: ["core", "wire", "overlay"],
  ipsec: ["core", "wire", "overlay"],
  attach: ["core", "wire"],
  firewall: ["core", "wire"],
  ipam: ["core", "wire"],
  dns: ["core", "wire"],
  control: ["core", "wire", "mesh", "overlay", "attach", "ipam"],
  docker: ["core", "control"],
  doctor: ["core", "wire", "control"],
  sys: ["core"],
  ffi: ["core"],
  daemon: [
    ...["core", "wire", "mesh", "overlay", "sleeve", "datapath", "ipsec", "attach", "control", "sys", "ffi"],
    ...["firewall", "ipam", "dns", "docker", "doctor"],
  ],
  cli: ["core"],
  main: ["core", "cli", "daemon"],
  tasks: ["core", "tests"],
};
/** The inner rooms of an area, and which of its other rooms each may import; of the area's top floor it takes types only. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  "dns/records": [],
  "dns/answers": ["dns/records"],
  "dns/upstream": [],
  "dns/thread": ["dns/answers", "dns/records", "dns/upstream"],
  "wire/dns": ["wire/mesh"],
  "wire/filter": ["wire/netlink"],
  "wire/ipam": ["wire/mesh"],
  "wire/mesh": ["wire/packet"],
  "wire/netlink": ["wire/packet"],
  "wire/packet": [],
  "mesh/topology": [],
  "mesh/gossip": ["mesh/topology"],
  "mesh/dialing": [],
  "mesh/connections": ["mesh/dialing", "mesh/gossip", "mesh/topology"],
  "mesh/tcp": ["mesh/dialing"],
  "overlay/ports": [],
  "overlay/paths": ["overlay/ports"],
  "overlay/flows": ["overlay/paths", "overlay/ports"],
  "overlay/loops": ["overlay/flows", "overlay/paths", "overlay/ports"],
  "overlay/links": ["overlay/paths", "overlay/ports"],
};
/** Rooms that others than their own area may import; the other rooms of that area are its own affair. */
const OPEN_ROOMS: Readonly<Record<string, RegExp>> = {
  overlay: /^mod\/overlay\/(ports|worker_shell|dataplane|loops\/loop_finder)/,
};
/** Single files that an area may import in addition. */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  cli: [
    "mod/control/address_types.ts",
    "mod/control/api_types.ts",
    "mod/control/client.ts",
    "mod/control/doctor_types.ts",
    "mod/control/health.ts",
    "mod/control/history_types.ts",
    "mod/control/name_types.ts",
  ],
};
/** What may be loaded only when it is reached, so that no other command pays for it. */
const LAZY: Readonly<Record<string, readonly string[]>> = { cli: ["daemon"], tasks: ["cli"] };

function areaOf(path: string): string {
  if (path === "main.ts") return "main";
  return /^(?:mod\/)?([^/]+)\//.exec(path)?.[1] ?? path;
}

const edges = programFiles.flatMap((file) =>
  importsOf(file).flatMap((one) => {
    const target = resolve(file, one.specifier);
    return target === undefined ? [] : [{ ...one, from: file.path, to: target }];
  })
);

Deno.test("areas import only what lies to their left", () => {
  noFindings(edges.flatMap(({ from, to, lazy }) => {
    const [own, other] = [areaOf(from), areaOf(to)];
    const allowed = own === other || MAY_IMPORT[own]?.includes(other) || EXCEPTIONS[own]?.includes(to) ||
      lazy && LAZY[own]?.includes(other);
    return allowed ? [] : [`${from} imports ${to}`];
  }));
});

/** `area/room` of a file in an inner room; `area` of one on its top floor. */
function roomOf(path: string): string {
  return /^(?:mod\/)?(.*)\//.exec(path)?.[1] ?? path;
}

Deno.test("inner rooms import only what lies to their left, and types of the floor above", () => {
  noFindings(edges.flatMap(({ from, to, typeOnly }) => {
    const [own, other] = [roomOf(from), roomOf(to)];
    if (own === other || areaOf(from) !== areaOf(to) || ROOMS[own] === undefined) return [];
    const allowed = other === areaOf(to) ? typeOnly : ROOMS[own].includes(other);
    return allowed ? [] : [`${from} imports ${to}`];
  }));
});

Deno.test("every folder of wire, mesh and overlay is a known room", () => {
  const rooms = new Set(programFiles.map(({ path }) => roomOf(path)));
  noFindings([
    ...[...rooms].filter((room) => /^(wire|mesh|overlay)\//.test(room) && !Object.hasOwn(ROOMS, room)),
    ...Object.keys(ROOMS).filter((room) => !rooms.has(room)),
  ]);
});

Deno.test("the daemon's parts know each other by their types alone", () => {
  const inParts = (path: string) => roomOf(path) === "daemon/parts";
  noFindings(
    edges.filter(({ from, to, typeOnly }) => inParts(from) && inParts(to) && !typeOnly)
      .map(({ from, to }) => `${from} imports ${to}`),
  );
});

Deno.test("others reach an area by its open rooms", () => {
  noFindings(edges.flatMap(({ from, to }) => {
    const open = OPEN_ROOMS[areaOf(to)];
    if (open === undefined || areaOf(from) === areaOf(to) || open.test(to)) return [];
    return [`${from} imports ${to}`];
  }));
});

Deno.test("the program's files import each other without cycles", () => {
  const next = Map.groupBy(edges.filter((edge) => !edge.typeOnly && !edge.lazy), (edge) => edge.from);
  const state = new Map<string, "open" | "done">();
  const findings: string[] = [];
  const walk = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === "open") findings.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
    if (state.has(path)) return;
    state.set(path, "open");
    for (const edge of next.get(path) ?? []) walk(edge.to, [...trail, path]);
    state.set(path, "done");
  };
  for (const file of programFiles) walk(file.path, []);
  noFindings(findings);
});

Deno.test("native code is reached through the composition root and the worker's entry alone", () => {
  const allowed = /^mod\/daemon\/|^ffi\//;
  noFindings(
    edges.filter((edge) => areaOf(edge.to) === "ffi" && !allowed.test(edge.from))
      .map((edge) => `${edge.from} imports ${edge.to}`),
  );
});

Deno.test("each npm package is imported in one file", () => {
  const importers = new Map<string, Set<string>>();
  for (const file of programFiles) {
    for (const { specifier } of importsOf(file)) {
      if (/^(\.|node:)/.test(specifier)) continue;
      const name = specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
      importers.set(name, (importers.get(name) ?? new Set()).add(file.path));
    }
  }
  noFindings(
    [...importers].filter(([, files]) => files.size > 1)
      .map(([name, files]) => `${name}: ${[...files].join(", ")}`),
  );
});
