/** Programs and maps in the kernel: those that an earlier process left are taken over. */
import type { AssembledProgram } from "./assembler.ts";
import { kernelMapName, LATER_MAPS, LAYOUT, type MapName, MAPS, type MapShape } from "./layout.ts";
import type { Machine, MachineMap, MachineProgram } from "./machine.ts";
import { assemblePrograms, type ProgramName, PROGRAMS } from "./programs.ts";

/** What a filter of ours is called begins with this. */
const FILTER_NAME = `meshnet ${LAYOUT} `;

/** A program and what its filters are called: equal names, equal instructions; equal ids, equal maps too. */
export interface HeldProgram {
  readonly program: MachineProgram;
  readonly id: number;
  readonly name: string;
}

/** Everything that is in the kernel's machine. */
export interface Loaded<Name extends ProgramName = ProgramName> extends Disposable {
  readonly programs: Readonly<Record<Name, HeldProgram>>;
  readonly maps: Readonly<Record<MapName, MachineMap>>;
}

/** A filter that is there already. */
export interface PresentFilter {
  readonly name: string | undefined;
  readonly program: number | undefined;
}

/** Whether a filter is called like one of ours, of this version or of another. */
export function isOurFilter(name: string | undefined): boolean {
  return name?.startsWith("meshnet ") === true;
}

/** Takes over what the filters lead to, and makes what is missing: all programs, or those that are named. Throws what the
 * kernel refuses, in its words. */
export function loadPrograms<Name extends ProgramName = ProgramName>(
  machine: Machine,
  filters: readonly PresentFilter[],
  names: readonly Name[] = PROGRAMS as readonly ProgramName[] as readonly Name[],
): Loaded<Name> {
  using undo = new DisposableStack();
  const present = presentPrograms(machine, filters, undo);
  const maps = adoptMaps(machine, present.map(({ program }) => program), undo) ?? makeMaps(machine, undo);
  // Others of that name may be left from a run whose maps are not those.
  const usable = present.filter(({ program }) =>
    machine.mapsOfProgram(program).every((id) => maps.ids.has(id))
  );
  const assembled = assemblePrograms();
  const held = (name: ProgramName): HeldProgram => {
    const filterName = FILTER_NAME + name + " " + digest(assembled[name]);
    const program = usable.find((one) => one.name === filterName)?.program ??
      undo.use(load(machine, name, { assembled: assembled[name], maps: maps.maps }));
    return { name: filterName, program, id: machine.idOfProgram(program) };
  };
  const programs = Object.fromEntries(names.map((name) => [name, held(name)])) as Record<Name, HeldProgram>;
  const kept = undo.move();
  return { programs, maps: maps.maps, [Symbol.dispose]: () => kept[Symbol.dispose]() };
}

/** The programs of filters of ours, each once, however many ports have it. */
function presentPrograms(
  machine: Machine,
  filters: readonly PresentFilter[],
  undo: DisposableStack,
): readonly { readonly name: string; readonly program: MachineProgram }[] {
  const names = new Map<number, string>();
  for (const { name, program: id } of filters) {
    if (name?.startsWith(FILTER_NAME) && id !== undefined) names.set(id, name);
  }
  return [...names].flatMap(([id, name]) => {
    const program = machine.programById(id);
    return program === undefined ? [] : [{ name, program: undo.use(program) }];
  });
}

type Maps = Readonly<Record<MapName, MachineMap>>;

/** The maps to use; `ids`: which these are for the kernel, none where they are new. */
interface FoundMaps {
  readonly maps: Maps;
  readonly ids: ReadonlySet<number>;
}

const MAP_NAMES = Object.keys(MAPS) as readonly MapName[];

function load(
  machine: Machine,
  name: ProgramName,
  { assembled, maps }: { readonly assembled: AssembledProgram; readonly maps: Maps },
): MachineProgram {
  const places = assembled.maps.map(({ instruction, map }) => ({ instruction, fd: maps[map as MapName].fd }));
  return machine.loadClassifier(`meshnet_${name}`, assembled.code, places);
}

/** All maps of the program that has most of them, as they are to be. Those that programs of an earlier version lack are made
 * anew. */
function adoptMaps(
  machine: Machine,
  programs: readonly MachineProgram[],
  undo: DisposableStack,
): FoundMaps | undefined {
  let best:
    | { readonly found: ReadonlyMap<string, MachineMap>; readonly ids: ReadonlySet<number> }
    | undefined;
  for (const program of programs) {
    const found = new Map<string, MachineMap>();
    const ids = new Set(machine.mapsOfProgram(program));
    for (const id of ids) {
      const one = machine.mapById(id);
      if (one === undefined) continue;
      undo.use(one.map);
      const name = MAP_NAMES.find((name) => kernelMapName(name) === one.name);
      if (name !== undefined && sameShape(MAPS[name], one.shape)) found.set(name, one.map);
    }
    const isWhole = MAP_NAMES.every((name) => found.has(name) || LATER_MAPS.includes(name));
    if (isWhole && found.size > (best?.found.size ?? 0)) best = { found, ids };
    if (found.size === MAP_NAMES.length) break;
  }
  if (best === undefined) return undefined;
  const { found, ids } = best;
  return { maps: mapsBy((name) => found.get(name) ?? undo.use(makeMap(machine, name))), ids };
}

function sameShape(wanted: MapShape, present: MapShape): boolean {
  return (Object.keys(wanted) as (keyof MapShape)[]).every((field) => wanted[field] === present[field]);
}

function makeMaps(machine: Machine, undo: DisposableStack): FoundMaps {
  return { maps: mapsBy((name) => undo.use(makeMap(machine, name))), ids: new Set() };
}

function makeMap(machine: Machine, name: MapName): MachineMap {
  return machine.createMap(kernelMapName(name), MAPS[name]);
}

function mapsBy(mapOf: (name: MapName) => MachineMap): Maps {
  return Object.fromEntries(MAP_NAMES.map((name) => [name, mapOf(name)])) as Maps;
}

/** A number for what a program says (FNV-1a), so that another one is seen to be another. */
function digest({ code, maps }: AssembledProgram): string {
  let hash = 0x811c_9dc5;
  const mix = (octet: number) => hash = Math.imul(hash ^ octet, 0x0100_0193) >>> 0;
  for (const octet of code) mix(octet);
  for (const { map } of maps) for (let i = 0; i < map.length; i++) mix(map.charCodeAt(i));
  return hash.toString(16).padStart(8, "0");
}
