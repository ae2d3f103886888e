/** What a command may touch of the terminal: output, colours, environment. */

/** The terminal as a command sees it; tests hand in their own. */
export interface Io {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** Whether standard output takes colours. */
  readonly colour: boolean;
  /** An environment variable; undefined when unset or empty. */
  env(name: string): string | undefined;
}

function writer(stream: { writeSync(bytes: Uint8Array): number }): (text: string) => void {
  return (text) => {
    const bytes = new TextEncoder().encode(text);
    try {
      for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) Deno.exit(0); // `meshnet status | head`
      throw error;
    }
  };
}

/** The terminal of this process. */
export function processIo(): Io {
  const env = (name: string) => Deno.env.get(name) || undefined;
  return {
    out: writer(Deno.stdout),
    err: writer(Deno.stderr),
    colour: env("NO_COLOR") === undefined && env("TERM") !== "dumb" && Deno.stdout.isTerminal(),
    env,
  };
}
