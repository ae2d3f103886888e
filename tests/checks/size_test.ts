/** Files that can be read in one sitting. */
import { listFiles, noFindings } from "./tree.ts";

const LIMIT = 400;

const sources = listFiles([""], ".ts");

Deno.test(`no source file is longer than ${LIMIT} lines`, () => {
  noFindings(sources.flatMap(({ path, text }) => {
    const lines = text.trimEnd().split("\n").length;
    return lines > LIMIT ? [`${path}: ${lines} lines`] : [];
  }));
});

Deno.test("file names are snake_case", () => {
  noFindings(
    sources.filter(({ path }) => !/^([a-z0-9_.]+\/)*[a-z0-9_]+\.ts$/.test(path)).map(({ path }) => path),
  );
});
