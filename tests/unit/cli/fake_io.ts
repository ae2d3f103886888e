/** A terminal for tests. */
import type { Io } from "../../../mod/cli/io.ts";

/** What a command wrote. */
export interface FakeIo extends Io {
  readonly stdout: () => string;
  readonly stderr: () => string;
}

/** A terminal that keeps what it is told. */
export function fakeIo(env: Readonly<Record<string, string>> = {}): FakeIo {
  let out = "";
  let err = "";
  return {
    out: (text) => void (out += text),
    tell: (text) => void (out += text),
    err: (text) => void (err += text),
    colour: false,
    ...{ size: undefined, canAsk: false, ask: () => false },
    env: (name) => env[name] || undefined,
    stdout: () => out,
    stderr: () => err,
  };
}
