/** A small assembler for the kernel's own machine (linux/bpf.h): typed instructions, labels, and maps by name. */

/** A register: r0 has results, r1 to r5 have arguments and do not outlive a call, r6 to r9 do, r10 is the frame. */
export type Register = `r${0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10}`;
/** What an instruction works with: a register, or a number of 32 bits. */
export type Operand = Register | number;
/** Octets that a load or a store moves. */
export type Width = 1 | 2 | 4 | 8;

/** Instructions with the places of the maps in them. */
export interface AssembledProgram {
  /** Eight octets for each instruction. */
  readonly code: Uint8Array<ArrayBuffer>;
  /** Which instruction is to name which map: its immediate value becomes the map's descriptor. */
  readonly maps: readonly { readonly instruction: number; readonly map: string }[];
}

const CLASS = { load: 0x00, loadX: 0x01, store: 0x02, storeX: 0x03, jump: 0x05, alu64: 0x07 } as const;
const FROM_REGISTER = 0x08;
const MODE = { immediate: 0x00, memory: 0x60, atomic: 0xc0 } as const;
const SIZE: Readonly<Record<Width, number>> = { 4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18 };
const ALU = {
  add: 0x00,
  sub: 0x10,
  mul: 0x20,
  or: 0x40,
  and: 0x50,
  lsh: 0x60,
  rsh: 0x70,
  mov: 0xb0,
} as const;
const JUMP = { always: 0x00, eq: 0x10, gt: 0x20, ge: 0x30, ne: 0x50, lt: 0xa0, le: 0xb0 } as const;
const CALL = 0x85;
const EXIT = 0x95;
/** The source register of a load that names a map (BPF_PSEUDO_MAP_FD). */
const MAP_DESCRIPTOR = 1;
const INSTRUCTION = 8;

/** Arithmetic on 64 bits. */
export type AluOperation = keyof typeof ALU;
/** Comparisons, without sign. */
export type JumpComparison = Exclude<keyof typeof JUMP, "always">;

interface Instruction {
  readonly code: number;
  readonly to?: number;
  readonly from?: number;
  readonly offset?: number;
  readonly immediate?: number;
  /** Where a jump goes. */
  readonly label?: string;
}

/** Writes one program, an instruction for each call. */
export class Assembler {
  readonly #instructions: Instruction[] = [];
  readonly #labels = new Map<string, number>();
  readonly #maps: { instruction: number; map: string }[] = [];

  #push(instruction: Instruction): this {
    this.#instructions.push(instruction);
    return this;
  }

  /** Names the place of the next instruction. */
  label(name: string): this {
    if (this.#labels.has(name)) throw new TypeError(`Label is there twice: ${name}`);
    this.#labels.set(name, this.#instructions.length);
    return this;
  }

  /** `to = to OPERATION from`; `mov`: `to = from`. */
  alu(operation: AluOperation, to: Register, from: Operand): this {
    return this.#push({ ...withOperand(CLASS.alu64 | ALU[operation], from), to: number(to) });
  }

  /** `to = from`. */
  mov(to: Register, from: Operand): this {
    return this.alu("mov", to, from);
  }

  /** `to = *(base + offset)`, without sign. */
  load(width: Width, to: Register, base: Register, offset: number): this {
    const code = CLASS.loadX | MODE.memory | SIZE[width];
    return this.#push({ code, to: number(to), from: number(base), offset });
  }

  /** `*(base + offset) = from`. */
  store(width: Width, base: Register, offset: number, from: Operand): this {
    const common = { to: number(base), offset };
    return typeof from === "number"
      ? this.#push({ code: CLASS.store | MODE.memory | SIZE[width], immediate: from, ...common })
      : this.#push({ code: CLASS.storeX | MODE.memory | SIZE[width], from: number(from), ...common });
  }

  /** `*(base + offset) += from`, at once for all processors. */
  atomicAdd(width: 4 | 8, base: Register, offset: number, from: Register): this {
    const code = CLASS.storeX | MODE.atomic | SIZE[width];
    return this.#push({ code, to: number(base), from: number(from), offset });
  }

  /** `to` = the map of that name. */
  map(to: Register, map: string): this {
    this.#maps.push({ instruction: this.#instructions.length, map });
    const code = CLASS.load | MODE.immediate | SIZE[8];
    return this.#push({ code, to: number(to), from: MAP_DESCRIPTOR }).#push({ code: 0 });
  }

  /** Goes on at a label. */
  jump(label: string): this {
    return this.#push({ code: CLASS.jump | JUMP.always, label });
  }

  /** Goes on at a label if `left COMPARISON right`. */
  jumpIf(left: Register, comparison: JumpComparison, right: Operand, label: string): this {
    return this.#push({
      ...withOperand(CLASS.jump | JUMP[comparison], right),
      to: number(left),
      label,
    });
  }

  /** Calls a function of the kernel by its number: arguments in r1 to r5, the result in r0. */
  call(helper: number): this {
    return this.#push({ code: CALL, immediate: helper });
  }

  /** Ends the program; r0 is what it says. */
  exit(): this {
    return this.#push({ code: EXIT });
  }

  /** The program. Throws TypeError when a label is missing. */
  assemble(): AssembledProgram {
    const code = new Uint8Array(new ArrayBuffer(this.#instructions.length * INSTRUCTION));
    const view = new DataView(code.buffer);
    for (const [i, instruction] of this.#instructions.entries()) {
      const { from = 0, immediate = 0, label, to = 0 } = instruction;
      const at = i * INSTRUCTION;
      view.setUint8(at, instruction.code);
      view.setUint8(at + 1, to | from << 4);
      view.setInt16(at + 2, label === undefined ? instruction.offset ?? 0 : this.#place(label) - i - 1, true);
      view.setInt32(at + 4, immediate | 0, true);
    }
    return { code, maps: [...this.#maps] };
  }

  #place(label: string): number {
    const place = this.#labels.get(label);
    if (place === undefined) throw new TypeError(`Label is missing: ${label}`);
    return place;
  }
}

function number(register: Register): number {
  return Number(register.slice(1));
}

function withOperand(code: number, operand: Operand): Instruction {
  return typeof operand === "number"
    ? { code, immediate: operand }
    : { code: code | FROM_REGISTER, from: number(operand) };
}
