/** The kernel's own machine as this folder uses it: maps and programs. */
import type { MapShape } from "./layout.ts";

/** A loaded program, held by this process. */
export interface MachineProgram extends Disposable {
  /** Names it in a request to attach it. */
  readonly fd: number;
}

/** A map. Buffers are whole elements; of a map for each processor, a value is one for each. */
export interface MachineMap extends Disposable {
  readonly fd: number;
  /** Reads an element into `value`; false: there is none. */
  get(key: Uint8Array<ArrayBuffer>, value: Uint8Array<ArrayBuffer>): boolean;
  /** Writes an element: in any case, where there is none, where there is one. Returns 0, or the number of the error. */
  put(
    key: Uint8Array<ArrayBuffer>,
    value: Uint8Array<ArrayBuffer>,
    mode?: "any" | "absent" | "present",
  ): number;
  /** Removes an element; false: there is none. */
  delete(key: Uint8Array<ArrayBuffer>): boolean;
  /** Hands over all elements of a hash, many at a time. */
  each(take: (keys: Uint8Array, values: Uint8Array, count: number) => void): void;
}

/** The reader of a ring. */
export interface MachineRing extends Disposable {
  /** Ready when there is something to read. */
  readonly fd: number;
  /** Hands over at most so many records: octets, valid until `take` returns, and where in them a record begins and ends.
   * True when there may be more. */
  read(take: (bytes: Uint8Array, from: number, to: number) => void, most: number): boolean;
}

/** Requests to the machine. Those that make something throw what the kernel refuses, in its words. */
export interface Machine {
  createMap(name: string, shape: MapShape): MachineMap;
  /** undefined: it is gone. */
  mapById(
    id: number,
  ): { readonly name: string; readonly shape: MapShape; readonly map: MachineMap } | undefined;
  /** Reads the ring that a map is, of so many octets, from what comes next on. */
  openRing(map: MachineMap, size: number): MachineRing;
  loadClassifier(
    name: string,
    code: Uint8Array,
    maps: readonly { readonly instruction: number; readonly fd: number }[],
  ): MachineProgram;
  /** undefined: it is gone. */
  programById(id: number): MachineProgram | undefined;
  /** By which filters name it. */
  idOfProgram(program: MachineProgram): number;
  /** Ids of the maps that it uses. */
  mapsOfProgram(program: MachineProgram): readonly number[];
}
