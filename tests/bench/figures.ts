/** Figures that the measuring program reports, and how they are summed up. */

/** One line from inside the kernel. */
export type Figures =
  /** Gbit/s of each round; rounds of equal index ran one after the other. */
  | {
    readonly kind: "tcp";
    readonly mtu: number;
    readonly ours: readonly number[];
    readonly theirs: readonly number[];
  }
  /** Milliseconds: the daemons answer, are connected, containers are attached, the first ping is answered. */
  | { readonly kind: "first-ping"; readonly phases: readonly number[] }
  | {
    readonly kind: "misses";
    readonly asked: number;
    readonly sent: number;
    readonly lost: number;
    readonly flows: number;
  }
  /** The fastest pace at which every flow was installed, as asked for and as sent. */
  | { readonly kind: "misses-best"; readonly asked: number; readonly sent: number }
  | {
    readonly kind: "idle";
    readonly cpuPercent: number;
    readonly rssMb: number;
    readonly anonymousMb: number;
  }
  | { readonly kind: "failed"; readonly bench: string; readonly why: string }
  | { readonly kind: "done" };

/** The middle value; the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Rows of a Markdown table, widths evened out. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  const [head, ...body] = rows;
  return [line(head!), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n");
}
