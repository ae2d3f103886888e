/** A real terminal, of tmux: what a person types into it, and sees. */
import { command } from "../../mod/tasks/run.ts";

const EVERY_MS = 20;
/** Ample: a machine may be busy. */
const PATIENCE_MS = 60_000;
/** Ends a server of tmux and removes its folder once its standard input ends, as that does with the process at its other end,
 * however it ends. Ctrl-C is for that process. */
const GUARDIAN =
  `trap "" HUP INT TERM; read -r _; tmux -S "$0/socket" kill-server; rm -f "$0/socket"; rmdir "$0"`;

/** A shell in a terminal of its own, of a tmux server of its own. */
export class Terminal implements AsyncDisposable {
  readonly #guardian: Deno.ChildProcess;
  #commands = 0;

  private constructor(readonly folder: string) {
    this.#guardian = command(["sh", "-c", GUARDIAN, folder], {
      ...{ stdin: "piped", stdout: "null", stderr: "null" },
    }).spawn();
  }

  /** Starts a shell. */
  static async open(
    shell: readonly string[],
    options: {
      readonly columns: number;
      readonly rows?: number;
      readonly env?: Readonly<Record<string, string>>;
    },
  ): Promise<Terminal> {
    const terminal = new Terminal(await Deno.makeTempDir({ prefix: "meshnet-terminal-" }));
    const { columns, env = {}, rows = 50 } = options;
    // Not by tmux, which has a PATH of its own.
    const given = Object.entries({ LC_ALL: "C.UTF-8", ...env }).map(([name, value]) => `${name}=${value}`);
    const size = ["-x", String(columns), "-y", String(rows)];
    try {
      await terminal.#tmux("new-session", "-d", ...size, "--", "env", ...given, ...shell);
    } catch (error) {
      await terminal[Symbol.asyncDispose]();
      throw error;
    }
    return terminal;
  }

  async #tmux(...args: readonly string[]): Promise<string> {
    const { code, stderr, stdout } = await command(
      ["tmux", "-u", "-f", "/dev/null", "-S", `${this.folder}/socket`, ...args],
      { env: { LC_ALL: "C.UTF-8", TERM: "xterm-256color", TMUX: "", NO_COLOR: "" }, stdin: "null" },
    ).output();
    if (code !== 0) throw new Error(`tmux ${args[0]}: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout);
  }

  /** Types text. */
  async type(text: string): Promise<void> {
    await this.#tmux("send-keys", "-l", "--", text);
  }

  /** Presses a key by its name: `Tab`, `Enter`. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#tmux("send-keys", ...keys);
  }

  /** What is to be seen, blanks at the ends of lines left out; `joined`: lines that the terminal itself broke are whole;
   * `painted`: with what turns colours on and off. */
  async screen({ joined = false, painted = false } = {}): Promise<string> {
    const shown = await this.#tmux(
      ...["capture-pane", "-p", ...joined ? ["-J"] : [], ...painted ? ["-e"] : []],
    );
    return shown.split("\n").map((line) => line.trimEnd()).join("\n").trimEnd();
  }

  /** Waits until the screen says something. */
  async shows(what: RegExp): Promise<string> {
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      const screen = await this.screen();
      if (what.test(screen)) return screen;
      if (performance.now() > until) throw new Error(`The terminal does not show ${what}:\n${screen}`);
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  }

  /** Runs a command line of a shell to its end, on an empty screen, until the shell is ready for the next one. */
  async run(line: string): Promise<void> {
    const mark = `${++this.#commands}`;
    await this.type(`clear; ${line}; echo "do""ne ${mark}"`);
    await this.press("Enter");
    await this.shows(new RegExp(`^done ${mark}\\n+\\S`, "m")); // its prompt
  }

  /** Ends the server, and the shell with it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#guardian.stdin.close();
    await this.#guardian.status;
  }
}
