/** What happened lately, as a sequence diagram that is printed when a simulation fails. */

const KEPT = 400;

/** Keeps the last events. */
export class Trace {
  readonly #lines: string[] = [];
  #at = 0;

  /** Something went from one node to another. */
  arrow(now: number, from: string, to: string, text: string): void {
    this.#add(`${time(now)}  ${from}->>${to}: ${text}`);
  }

  /** Something happened at a node or, with "*", to all. */
  note(now: number, node: string, text: string): void {
    this.#add(`${time(now)}  Note over ${node}: ${text}`);
  }

  /** The diagram, oldest event first. */
  diagram(): string {
    const lines = [...this.#lines.slice(this.#at), ...this.#lines.slice(0, this.#at)];
    return ["sequenceDiagram", ...lines].join("\n");
  }

  #add(line: string): void {
    this.#lines[this.#at] = line;
    this.#at = (this.#at + 1) % KEPT;
  }
}

function time(now: number): string {
  return `${(now / 1000).toFixed(3).padStart(9)} s`;
}
