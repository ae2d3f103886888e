/** The password of the mesh: from a file or the environment, trimmed alike, with warnings of odd ends. */
import { MeshnetError, systemReason } from "../../core/errors.ts";
import { PARSERS, type Sourced } from "./config_values.ts";

/** Where the password may come from. */
export interface PasswordSources {
  /** The value of MESHNET_PASSWORD. */
  readonly variable: string | undefined;
  /** The option that names a file. */
  readonly file: Sourced | undefined;
}

/** A password, and what is odd about it. */
export interface FoundPassword {
  /** undefined: none is set. */
  readonly password: Uint8Array<ArrayBuffer> | undefined;
  /** Whether it was read from a file, which may change while the daemon runs. */
  readonly fromFile: boolean;
  /** Sentences without full stop, without the password. */
  readonly warnings: readonly string[];
}

const RANK = { flag: 3, environment: 2, file: 1, default: 0 };
/** Most bytes of a password file. A device such as /dev/zero never ends. */
const MAX_FILE = 64 * 1024;
const READ_BY_OTHERS = 0o044;
const BOM = [0xef, 0xbb, 0xbf];
const LF = 0x0a, CR = 0x0d;

/** Reads it from the source that wins: flag beats environment beats file. Throws MeshnetError naming source and fix. */
export async function readPassword(
  { file, variable }: PasswordSources,
  cwd: string,
): Promise<FoundPassword> {
  const variableSet = variable !== undefined && variable !== "";
  if (variableSet && file?.source === "environment") {
    throw new MeshnetError("usage/bad-config", "Both MESHNET_PASSWORD and MESHNET_PASSWORD_FILE are set", {
      hint: "Unset one of them",
    });
  }
  if (variableSet && RANK[file?.source ?? "default"] < RANK.environment) {
    const password = withoutLineEnd(new TextEncoder().encode(variable));
    if (password.length > 0) {
      return { password, fromFile: false, warnings: oddEnds(password, "MESHNET_PASSWORD") };
    }
    throw new MeshnetError("usage/bad-config", "Cannot use MESHNET_PASSWORD: it is an empty line", {
      hint: "Set it to the password, or unset it to go without",
    });
  }
  return file === undefined
    ? { password: undefined, fromFile: false, warnings: [] }
    : await readPasswordFile(file, cwd);
}

async function readPasswordFile(file: Sourced, cwd: string): Promise<FoundPassword> {
  const path = PARSERS.path(file, cwd);
  const code = file.source === "flag" ? "usage/bad-option" : "usage/bad-config";
  let bytes: Uint8Array<ArrayBuffer>;
  let mode: number;
  try {
    bytes = await readStart(path);
    mode = (await Deno.stat(path)).mode ?? 0;
  } catch (cause) {
    throw new MeshnetError(
      code,
      `Cannot read the password for ${file.label}: ${systemReason(cause)}: ${path}`,
      {
        hint: `Put the password into a file readable by root only, and name that`,
        cause,
      },
    );
  }
  if (bytes.length > MAX_FILE) {
    throw new MeshnetError(code, `Cannot use the password for ${file.label}: ${path} has more than 64 KiB`, {
      hint: "Name the file that holds the password and nothing else",
    });
  }
  const password = withoutLineEnd(bytes);
  if (password.length === 0) {
    throw new MeshnetError(code, `Cannot use the password for ${file.label}: ${path} is empty`, {
      hint: "Write the password into it, or leave the option out to go without",
    });
  }
  const exposed = (mode & READ_BY_OTHERS) !== 0
    ? [`Other users can read the password file ${path}: chmod 600 it`]
    : [];
  return {
    password,
    fromFile: true,
    warnings: [...exposed, ...oddEnds(password, `The password file ${path}`)],
  };
}

/** What a file begins with: all of it, unless that is more than a password file may have. */
async function readStart(path: string): Promise<Uint8Array<ArrayBuffer>> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(MAX_FILE + 1);
  let length = 0;
  while (length < bytes.length) {
    const count = await file.read(bytes.subarray(length));
    if (count === null) break;
    length += count;
  }
  return bytes.slice(0, length);
}

/** The bytes without one line end at their end. */
export function withoutLineEnd(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  let end = bytes.length;
  if (bytes[end - 1] === LF) end--;
  if (end < bytes.length && bytes[end - 1] === CR) end--;
  return bytes.slice(0, end);
}

/** What most likely nobody meant to be part of the password, although it is: every host must have the same bytes. */
export function oddEnds(password: Uint8Array, source: string): readonly string[] {
  const isBlank = (byte: number | undefined) => byte === 0x20 || byte === 0x09;
  const isLineEnd = (byte: number | undefined) => byte === LF || byte === CR;
  const [first, last] = [password[0], password.at(-1)];
  const found = [
    ...(BOM.every((byte, i) => password[i] === byte) ? ["begins with a byte order mark"] : []),
    ...(isBlank(first) || isLineEnd(first) ? ["begins with a blank or an empty line"] : []),
    ...(isBlank(last) ? ["ends with a blank"] : []),
    ...(isLineEnd(last) ? ["ends with more than one line end"] : []),
    ...(password.subarray(0, -1).includes(LF) && !isLineEnd(last) ? ["has several lines"] : []),
    ...(password.includes(0) ? ["has bytes that are no text"] : []),
  ];
  return found.map((what) => `${source} ${what}, which is taken for a part of the password`);
}
