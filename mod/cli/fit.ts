/** Pages on a terminal are as wide as that. */
import type { Io } from "./io.ts";

/** A page whose lines fit the terminal. Where the output is none it stays as it is: programs read lines. */
export async function fit(page: string, { size }: Pick<Io, "size">): Promise<string> {
  return size === undefined ? page : (await import("./columns.ts")).fitted(page, size.columns);
}
