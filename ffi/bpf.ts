/** The kernel's own machine, through `bpf(2)`: programs, and the maps that they share with user space. */
import { ERRNO } from "../mod/core/errno.ts";
import { MeshnetError } from "../mod/core/errors.ts";
import { AddressCache, pointerOf, putAddress } from "./address.ts";
import { C, cString, lastErrno, libc } from "./c_symbols.ts";
import { openLibrary } from "./libs.ts";
import { callFailed } from "./native_error.ts";

/** Number of the system call. */
const SYS_BPF = BigInt({ x86_64: 321, aarch64: 280 }[Deno.build.arch as "x86_64" | "aarch64"]);
/** enum bpf_cmd. */
const COMMAND = {
  mapCreate: 0,
  lookUp: 1,
  update: 2,
  delete: 3,
  load: 5,
  programById: 13,
  mapById: 14,
  info: 15,
  lookUpBatch: 24,
} as const;
/** enum bpf_prog_type. */
const TYPE = { classifier: 3, xdp: 6 } as const;
const INSTRUCTION = 8;
/** Octets of `union bpf_attr` up to the program's name, and where that is. */
const ATTRIBUTES = 64;
const NAME_AT = 48;
const LOG_SIZE = 256 * 1024;
/** The last lines of what the kernel says about a refused program: the reason, and how far it got. */
const WORDS = 3;
/** Where a load that names a map has the descriptor. */
const IMMEDIATE_AT = 4;

/** The C library's way to a system call that it has no function for. */
const SYSCALL = {
  syscall: { parameters: ["i64", "i32", "buffer", "u32"], result: "i32" }, // long syscall(long, ...)
} as const satisfies Deno.ForeignLibraryInterface;
let syscall: Deno.DynamicLibrary<typeof SYSCALL>["symbols"]["syscall"] | undefined;

/** The result, or minus errno. */
function bpf(command: number, attributes: Uint32Array<ArrayBuffer>): number {
  syscall ??= openLibrary("libc", SYSCALL).symbols.syscall;
  const result = syscall(SYS_BPF, command, attributes, attributes.byteLength);
  return result < 0 ? -lastErrno() : result;
}

function buffer(size: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(size));
}

/** A loaded program. It lives as long as somebody uses it; disposing it gives up this process's hold. */
export interface LoadedProgram extends Disposable {
  /** Names it in a request to attach it. */
  readonly fd: number;
}

class Held implements LoadedProgram {
  #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
    libc().fcntl(fd, C.F_SETFD, C.FD_CLOEXEC);
  }
  get fd(): number {
    if (this.#fd < 0) throw new TypeError("Cannot use an object of the kernel's machine: it is disposed");
    return this.#fd;
  }
  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc().close(this.#fd);
    this.#fd = -1;
  }
}

/** Return 1, which is XDP_DROP: `mov r0, 1; exit`. */
const DROP = Uint8Array.of(0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);

/** Loads a program that drops every frame that an interface receives. Throws "native/call-failed" where the kernel
 * does not allow it. */
export function loadDropAll(): LoadedProgram {
  return load(TYPE.xdp, "meshnet_closed", DROP);
}

/** Loads a program for a queueing discipline's hook; `maps` says which instruction is to name which map. Throws
 * "native/call-failed" with the kernel's words where it refuses the program. */
export function loadClassifier(
  name: string,
  code: Uint8Array,
  maps: readonly { readonly instruction: number; readonly fd: number }[],
): LoadedProgram {
  const linked = code.slice();
  const view = new DataView(linked.buffer);
  for (const { fd, instruction } of maps) view.setInt32(instruction * INSTRUCTION + IMMEDIATE_AT, fd, true);
  return load(TYPE.classifier, name, linked);
}

function load(type: number, name: string, instructions: Uint8Array): LoadedProgram {
  const code = buffer(instructions.length);
  code.set(instructions);
  const license = buffer(8);
  license.set(cString("GPL"));
  const attributes = new Uint32Array(ATTRIBUTES / 4);
  attributes[0] = type;
  attributes[1] = code.length / INSTRUCTION;
  putAddress(attributes, 2, pointerOf(code));
  putAddress(attributes, 4, pointerOf(license));
  new Uint8Array(attributes.buffer).set(cString(name), NAME_AT);
  const fd = bpf(COMMAND.load, attributes);
  if (fd >= 0) return new Held(fd);
  const errno = -fd;
  const failure = callFailed("load a program into the kernel (bpf)", errno);
  if (errno === ERRNO.EPERM) throw failure;
  // Once more, to hear why. Not at first: what there is to say may be longer than any room for it.
  const log = buffer(LOG_SIZE);
  attributes[6] = 1;
  attributes[7] = log.length;
  putAddress(attributes, 8, pointerOf(log));
  const again = bpf(COMMAND.load, attributes);
  if (again >= 0) return new Held(again);
  const words = new TextDecoder().decode(log.subarray(0, log.indexOf(0))).trim().split("\n").slice(-WORDS)
    .join("; ");
  if (words === "") throw failure;
  throw new MeshnetError("native/call-failed", `${failure.message}: ${words}`, { errno });
}

/** The loaded program with an id; undefined: it is gone. */
export function programById(id: number): LoadedProgram | undefined {
  const fd = bpf(COMMAND.programById, Uint32Array.of(id, 0, 0, 0));
  return fd < 0 ? undefined : new Held(fd);
}

/** Most maps of one program that are asked for. */
const MAPS = 64;
const INFO = {
  size: 80,
  compiled: 4,
  mapCount: 13,
  maps: 14,
  mapName: 24,
  programName: 64,
  nameSize: 16,
} as const;

function infoOf(fd: number, info: Uint32Array<ArrayBuffer>): void {
  const attributes = new Uint32Array(4);
  attributes[0] = fd;
  attributes[1] = info.byteLength;
  putAddress(attributes, 2, pointerOf(info));
  const result = bpf(COMMAND.info, attributes);
  if (result < 0) throw callFailed("ask about a program in the kernel (bpf)", -result);
}

/** Whether the kernel has compiled a program: otherwise it interprets it, which is slow. */
export function isCompiled({ fd }: LoadedProgram): boolean {
  const info = new Uint32Array(INFO.size / 4);
  infoOf(fd, info);
  return info[INFO.compiled] !== 0;
}

/** Ids of the maps that a program uses. */
export function mapsOfProgram({ fd }: LoadedProgram): readonly number[] {
  const ids = new Uint32Array(MAPS);
  const info = new Uint32Array(INFO.size / 4);
  info[INFO.mapCount] = MAPS;
  putAddress(info, INFO.maps, pointerOf(ids));
  infoOf(fd, info);
  return [...ids.subarray(0, Math.min(MAPS, info[INFO.mapCount]!))];
}

/** The id of a program, by which filters name it. */
export function idOfProgram({ fd }: LoadedProgram): number {
  const info = new Uint32Array(INFO.size / 4);
  infoOf(fd, info);
  return info[1]!; // behind its type
}

/** How a map is made. */
export interface BpfMapShape {
  /** enum bpf_map_type. */
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly entries: number;
  readonly flags: number;
}

/** What an update may find: BPF_ANY, BPF_NOEXIST, BPF_EXIST. */
const MODE = { any: 0, absent: 1, present: 2 } as const;
/** Elements read by one call. */
const BATCH = 1_024;

/** A map. One thread, synchronous. It lives as long as a program uses it, or somebody has it open. */
export class BpfMap implements Disposable {
  readonly #held: Held;
  readonly #addresses = new AddressCache();
  readonly #element = new Uint32Array(8);
  /** Octets of a value, as user space sees them. */
  readonly valueSize: number;
  readonly keySize: number;

  private constructor(held: Held, { keySize, valueSize }: Pick<BpfMapShape, "keySize" | "valueSize">) {
    this.#held = held;
    this.keySize = keySize;
    this.valueSize = valueSize;
  }

  /** Makes a map. Throws "native/call-failed". */
  static create(name: string, shape: BpfMapShape): BpfMap {
    const attributes = new Uint32Array(12);
    attributes.set([shape.type, shape.keySize, shape.valueSize, shape.entries, shape.flags]);
    new Uint8Array(attributes.buffer).set(cString(name), 28);
    const fd = bpf(COMMAND.mapCreate, attributes);
    if (fd < 0) throw callFailed(`make map ${name} in the kernel (bpf)`, -fd);
    return new BpfMap(new Held(fd), shape);
  }

  /** The map with an id and its name; undefined: it is gone. */
  static byId(
    id: number,
  ): { readonly name: string; readonly shape: BpfMapShape; readonly map: BpfMap } | undefined {
    const fd = bpf(COMMAND.mapById, Uint32Array.of(id, 0, 0, 0));
    if (fd < 0) return undefined;
    const held = new Held(fd);
    const info = new Uint32Array(INFO.size / 4);
    infoOf(fd, info);
    const [type, , keySize, valueSize, entries, flags] = info;
    const octets = new Uint8Array(info.buffer, INFO.mapName, INFO.nameSize);
    const name = new TextDecoder().decode(octets.subarray(0, octets.indexOf(0)));
    const shape = {
      type: type!,
      keySize: keySize!,
      valueSize: valueSize!,
      entries: entries!,
      flags: flags!,
    };
    return { name, shape, map: new BpfMap(held, shape) };
  }

  /** Names it to those who load programs. */
  get fd(): number {
    return this.#held.fd;
  }

  #call(
    command: number,
    key: Uint8Array<ArrayBuffer>,
    { flags = 0, value }: { value?: Uint8Array<ArrayBuffer>; flags?: number } = {},
  ): number {
    const element = this.#element;
    element[0] = this.#held.fd;
    putAddress(element, 2, this.#addresses.of(key));
    putAddress(element, 4, value === undefined ? 0 : this.#addresses.of(value));
    element[6] = flags;
    return -bpf(command, element);
  }

  /** Reads an element into `value`; false: there is none. Buffers must be larger than 64 octets or made from an
   * ArrayBuffer, and of a map for each processor `value` has one element for each. */
  get(key: Uint8Array<ArrayBuffer>, value: Uint8Array<ArrayBuffer>): boolean {
    return this.#call(COMMAND.lookUp, key, { value }) === 0;
  }

  /** Writes an element, whether there is one, only where there is none, or only where there is one. Returns 0, or the
   * number of the error. */
  put(key: Uint8Array<ArrayBuffer>, value: Uint8Array<ArrayBuffer>, mode: keyof typeof MODE = "any"): number {
    return this.#call(COMMAND.update, key, { value, flags: MODE[mode] });
  }

  /** Removes an element; false: there is none. */
  delete(key: Uint8Array<ArrayBuffer>): boolean {
    return this.#call(COMMAND.delete, key) === 0;
  }

  /** Hands over all elements of a hash, many at a time: so many of both, one behind the other. */
  each(take: (keys: Uint8Array, values: Uint8Array, count: number) => void): void {
    let room = BATCH;
    let keys = buffer(room * this.keySize);
    let values = buffer(room * this.valueSize);
    const place = new Uint32Array(new ArrayBuffer(8));
    let begun = false;
    for (;;) {
      const attributes = new Uint32Array(16);
      if (begun) putAddress(attributes, 0, pointerOf(place));
      putAddress(attributes, 2, pointerOf(place));
      putAddress(attributes, 4, pointerOf(keys));
      putAddress(attributes, 6, pointerOf(values));
      attributes[8] = room;
      attributes[9] = this.#held.fd;
      const result = bpf(COMMAND.lookUpBatch, attributes);
      if (result === -ERRNO.ENOSPC) { // many share a bucket
        room *= 4;
        [keys, values] = [buffer(room * this.keySize), buffer(room * this.valueSize)];
        continue;
      }
      if (result < 0 && result !== -ERRNO.ENOENT) {
        throw callFailed("read a map of the kernel (bpf)", -result);
      }
      const count = attributes[8]!;
      if (count > 0) take(keys, values, count);
      if (result < 0) return;
      begun = true;
    }
  }

  /** Gives up this process's hold. */
  [Symbol.dispose](): void {
    this.#held[Symbol.dispose]();
  }
}
