/** The kernel's machine in memory: maps hold octets, programs are not run. */
import { ERRNO } from "../../../../mod/core/errno.ts";
import { MAP_TYPE, type MapName, MAPS, type MapShape } from "../../../../mod/datapath/ebpf/layout.ts";
import type {
  Machine,
  MachineMap,
  MachineProgram,
  MachineRing,
} from "../../../../mod/datapath/ebpf/machine.ts";

/** A map. Arrays have all their elements from the start. */
export class FakeMap implements MachineMap {
  readonly elements = new Map<string, Uint8Array<ArrayBuffer>>();
  disposed = 0;

  constructor(readonly fd: number, readonly name: string, readonly shape: MapShape) {
    if (shape.type === MAP_TYPE.hash || shape.type === MAP_TYPE.ring) return;
    for (let i = 0; i < shape.entries; i++) {
      this.elements.set(textOf(new Uint8Array(Uint32Array.of(i).buffer)), this.#blank());
    }
  }
  #blank(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.shape.valueSize);
  }
  get(key: Uint8Array, value: Uint8Array): boolean {
    const found = this.elements.get(textOf(key));
    if (found !== undefined) value.set(found);
    return found !== undefined;
  }
  put(key: Uint8Array, value: Uint8Array, mode: "any" | "absent" | "present" = "any"): number {
    const there = this.elements.has(textOf(key));
    if (mode === "absent" && there) return ERRNO.EEXIST;
    if (mode === "present" && !there) return ERRNO.ENOENT;
    if (!there && this.elements.size >= this.shape.entries) return ERRNO.ENOSPC;
    this.elements.set(textOf(key), Uint8Array.from(value));
    return 0;
  }
  delete(key: Uint8Array): boolean {
    return this.elements.delete(textOf(key));
  }
  each(take: (keys: Uint8Array, values: Uint8Array, count: number) => void): void {
    const { keySize, valueSize } = this.shape;
    const keys = new Uint8Array(this.elements.size * keySize);
    const values = new Uint8Array(this.elements.size * valueSize);
    [...this.elements].forEach(([key, value], i) => {
      keys.set(key.split(" ").map(Number), i * keySize);
      values.set(value, i * valueSize);
    });
    if (this.elements.size > 0) take(keys, values, this.elements.size);
  }
  [Symbol.dispose](): void {
    this.disposed++;
  }
}

function textOf(key: Uint8Array): string {
  return key.join(" ");
}

/** A ring that a test fills. */
export class FakeRing implements MachineRing {
  readonly records: Uint8Array[] = [];
  disposed = 0;

  constructor(readonly fd: number) {}
  read(take: (bytes: Uint8Array, from: number, to: number) => void, most: number): boolean {
    for (const record of this.records.splice(0, most)) take(record, 0, record.length);
    return this.records.length > 0;
  }
  [Symbol.dispose](): void {
    this.disposed++;
  }
}

/** A program that was loaded. */
export interface FakeProgram {
  readonly fd: number;
  readonly id: number;
  readonly name: string;
  /** Ids of its maps. */
  readonly maps: readonly number[];
}

/** The machine; ids are descriptors plus 100. */
export class FakeMachine implements Machine {
  readonly maps: FakeMap[] = [];
  readonly programs: FakeProgram[] = [];
  readonly rings: FakeRing[] = [];
  #fd = 10;

  createMap(name: string, shape: MapShape): FakeMap {
    const map = new FakeMap(this.#fd++, name, shape);
    this.maps.push(map);
    return map;
  }
  mapById(id: number): { name: string; shape: MapShape; map: FakeMap } | undefined {
    const map = this.maps.find(({ fd }) => fd + 100 === id);
    return map && { name: map.name, shape: map.shape, map };
  }
  openRing({ fd }: MachineMap): FakeRing {
    const ring = new FakeRing(fd);
    this.rings.push(ring);
    return ring;
  }
  loadClassifier(
    name: string,
    _code: Uint8Array,
    maps: readonly { readonly instruction: number; readonly fd: number }[],
  ): MachineProgram {
    const fd = this.#fd++;
    const ids = [...new Set(maps.map((one) => one.fd + 100))];
    this.programs.push({ fd, id: fd + 100, name, maps: ids });
    return { fd, [Symbol.dispose]() {} };
  }
  programById(id: number): MachineProgram | undefined {
    const program = this.programs.find((one) => one.id === id);
    return program && { fd: program.fd, [Symbol.dispose]() {} };
  }
  idOfProgram({ fd }: MachineProgram): number {
    return fd + 100;
  }
  mapsOfProgram({ fd }: MachineProgram): readonly number[] {
    return this.programs.find((one) => one.fd === fd)?.maps ?? [];
  }
}

/** All maps, empty. */
export function emptyMaps(): Readonly<Record<MapName, FakeMap>> {
  const made = Object.entries(MAPS).map(([name, shape], i) => [name, new FakeMap(i, name, shape)]);
  return Object.fromEntries(made) as Record<MapName, FakeMap>;
}
