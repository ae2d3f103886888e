/** Probes by programs of the host: few at once, and none outlives its probe. */
import type { Health } from "./health.ts";
import type { ProbedTarget } from "./health_check.ts";
import type { Exam } from "./exam_shell.ts";
import type { Handlers, ProgramPort, Sockets } from "./socket_ports.ts";

/** Programs that may run at once, of all targets together. */
export const MAX_PROGRAMS = 16;
/** So much of what a program printed last is told, in characters. */
const TOLD = 200;
/** A pipe holds so many times what is taken at once. */
const PIPE_READS = 16;

/** See the file. */
export class ProbePrograms implements Disposable {
  readonly #handlers: Handlers;
  readonly #sockets: Pick<Sockets, "runIn">;
  /** All that have not ended, also those for which nobody waits any more. */
  readonly #running = new Set<ProgramPort>();

  constructor({ handlers, sockets }: {
    readonly handlers: Handlers;
    readonly sockets: Pick<Sockets, "runIn">;
  }) {
    this.#handlers = handlers;
    this.#sockets = sockets;
  }

  /** Whether another one has to wait. */
  get isFull(): boolean {
    return this.#running.size >= MAX_PROGRAMS;
  }

  /** Starts a program. Throws where it cannot be started. `ended` is called later, once, unless the result is disposed
   * before: that ends the program. */
  start(
    { id, ip, netns }: Pick<ProbedTarget, "ip" | "netns"> & { readonly id: string },
    words: readonly string[],
    ended: (health: Health) => void,
  ): Exam {
    const handlers = this.#handlers;
    const program = this.#sockets.runIn(netns, words, { MESHNET_TARGET: id, MESHNET_ADDRESS: ip });
    this.#running.add(program);
    using undo = new DisposableStack();
    undo.defer(() => this.#discard(program));
    let isAwaited = true;
    const mute = () => handlers.forget(program.output);
    handlers.watch(program.output, () => program.listen() || mute());
    handlers.watch(program.fd, () => {
      program.kill(); // what it has started and left behind, as long as its number is not given to another one
      const result = program.ended();
      if (result === undefined) return;
      for (let i = 0; i <= PIPE_READS && program.listen(); i++); // the last of what it printed
      mute();
      handlers.forget(program.fd);
      const reason = reasonOf(result, program.printed);
      program[Symbol.dispose]();
      this.#running.delete(program);
      if (!isAwaited) return;
      isAwaited = false;
      ended(reason === undefined ? { healthy: true } : { healthy: false, reason });
    });
    undo.move();
    return {
      [Symbol.dispose]() {
        if (!isAwaited) return;
        isAwaited = false;
        program.kill();
      },
    };
  }

  /** Ends all. */
  [Symbol.dispose](): void {
    for (const program of this.#running) program.kill(); // all of them, before any is waited for
    for (const program of this.#running) this.#discard(program);
  }

  #discard(program: ProgramPort): void {
    program.kill();
    for (const fd of [program.fd, program.output]) this.#handlers.forget(fd);
    program[Symbol.dispose]();
    this.#running.delete(program);
  }
}

function reasonOf(result: { readonly code: number } | { readonly signal: number }, printed: string) {
  if ("code" in result && result.code === 0) return undefined;
  const how = "code" in result ? `exit code ${result.code}` : `ended by signal ${result.signal}`;
  const line = printed.trim().split("\n").at(-1)?.trim() ?? "";
  return line === "" ? how : `${how}: ${line.slice(0, TOLD)}`;
}
