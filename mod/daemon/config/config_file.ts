/** Reads the configuration file: flat TOML whose keys are the options of `up` without dashes in front. */
import { MeshnetError, messageOf, systemReason } from "../../core/errors.ts";
import { UP_OPTIONS, type UpOptionName } from "../../core/options.ts";
import { closest } from "../../core/suggest.ts";

/** A value as a file, a variable or a flag gives it. */
export type RawValue = string | number | boolean | readonly string[];

/** What a file sets. */
export interface ConfigFile {
  /** Where it was read from. */
  readonly path: string;
  /** Options it names, not checked yet. */
  readonly values: ReadonlyMap<UpOptionName, RawValue>;
}

/** Reads a file; undefined when it does not exist and need not. */
export async function readConfigFile(
  path: string,
  options: { readonly required: boolean },
): Promise<ConfigFile | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound && !options.required) return undefined;
    throw new MeshnetError(
      "usage/bad-config",
      `Cannot read the configuration file ${path}: ${systemReason(cause)}`,
      {
        hint: "Give an existing file with --config or MESHNET_CONFIG",
        cause,
      },
    );
  }
  const { parse, TomlError } = await import("smol-toml"); // only those who have a file pay for the parser
  let table: Record<string, unknown>;
  try {
    table = parse(text);
  } catch (cause) {
    const place = cause instanceof TomlError ? `${path}:${cause.line}:${cause.column}` : path;
    const reason = messageOf(cause).split("\n")[0]!.replace(/^Invalid TOML document: /, "");
    throw new MeshnetError("usage/bad-config", `Cannot parse ${place}: ${reason}`, {
      hint: 'The file is TOML: key = "value", one to a line',
      cause,
    });
  }
  return { path, values: checkKeys(table, path) };
}

/** The table as options; throws on the first key or type that no option has. */
export function checkKeys(
  table: Readonly<Record<string, unknown>>,
  path: string,
): ReadonlyMap<UpOptionName, RawValue> {
  const values = new Map<UpOptionName, RawValue>();
  for (const [key, value] of Object.entries(table)) {
    const option = UP_OPTIONS.find((known) => known.name === key);
    if (option === undefined) throw unknownKey(key, path);
    if (!isRaw(value)) {
      throw new MeshnetError("usage/bad-config", `Cannot use ${key} in ${path}: it is not a plain value`, {
        hint: option.kind === "list" ? `Write a list of texts: ${key} = ["a", "b"]` : `Write ${key} = ...`,
      });
    }
    values.set(option.name, value);
  }
  return values;
}

function unknownKey(key: string, path: string): MeshnetError {
  if (key === "password") {
    return new MeshnetError(
      "usage/bad-config",
      `Cannot use password in ${path}: other users may read that file`,
      {
        hint: 'Put the password into a file of its own, readable by root only, and set password-file = "..."',
      },
    );
  }
  const known = UP_OPTIONS.map((option) => option.name);
  const near = closest(key, known);
  return new MeshnetError("usage/bad-config", `Unknown key in ${path}: ${key}`, {
    hint: near === undefined ? `Known keys are ${known.join(", ")}` : `Did you mean ${near}?`,
  });
}

function isRaw(value: unknown): value is RawValue {
  return ["string", "number", "boolean"].includes(typeof value) ||
    (Array.isArray(value) && value.every((item) => typeof item === "string"));
}
