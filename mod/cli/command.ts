/** What a command is: what the table says of it, and how it is run. */
import type { OptionSpec } from "../core/options.ts";
import type { OFFERED } from "./commands_host.ts";
import type { Io } from "./io.ts";

/** A parsed command line. */
export interface Invocation {
  /** The value of an option that takes one. */
  text(option: string): string | undefined;
  /** Whether a switch is on. */
  on(option: string): boolean;
  /** All options that were given. */
  readonly given: Readonly<Record<string, string | boolean | undefined>>;
  /** What is not an option. */
  readonly args: readonly string[];
}

/** Runs a command; throws MeshnetError, or returns its exit code (nothing: 0). */
export type CommandRun = (invocation: Invocation, io: Io) => Promise<number | void> | number | void;

/** The arguments of a command that are not options. */
export interface ArgsSpec {
  /** As usage shows them, `[CIDR...] TARGET`. */
  readonly usage: string;
  /** What they are. */
  readonly brief: string;
  /** How many there must be. */
  readonly least: number;
  /** How many there may be. */
  readonly most: number;
  /** All possible values of each. */
  readonly choices?: readonly string[];
  /** What a shell may complete them with. */
  readonly completes?: "host" | "target" | "command" | typeof OFFERED[number];
}

/** One command. */
export interface CommandSpec {
  /** Its words after `meshnet`, separated by one blank. */
  readonly name: string;
  /** One line, without full stop. */
  readonly brief: string;
  /** What a user should know, in paragraphs. */
  readonly about: string;
  /** Absent: it takes none. */
  readonly args?: ArgsSpec;
  /** In the order in which help lists them. */
  readonly options: readonly OptionSpec[];
  /** Complete command lines, each with a word on what it does. */
  readonly examples: readonly (readonly [line: string, effect: string])[];
  /** Loads the code. */
  readonly load: () => Promise<{ readonly run: CommandRun }>;
}
