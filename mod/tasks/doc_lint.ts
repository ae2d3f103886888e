/**
 * `deno doc --lint`, for a program instead of a published library: every exported symbol must be documented. Members of
 * documented types need words only where their names do not say it all, and private types may stand in signatures.
 */
import { command, fail, root } from "./run.ts";

/** One complaint of `deno doc --lint`. */
interface Complaint {
  readonly code: string;
  readonly path: string;
  readonly line: number;
}

/** Every module of the program. */
function modules(): readonly string[] {
  const found = ["main.ts"];
  const walk = (path: string): void => {
    for (const entry of Deno.readDirSync(`${root}/${path}`)) {
      if (entry.isDirectory) walk(`${path}/${entry.name}`);
      else if (entry.name.endsWith(".ts")) found.push(`${path}/${entry.name}`);
    }
  };
  walk("mod");
  walk("ffi");
  return found.sort();
}

const { code, stderr } = await command([Deno.execPath(), "doc", "--lint", ...modules()], {
  cwd: root,
  env: { NO_COLOR: "1" },
  stdin: "null",
  stdout: "null",
  stderr: "piped",
}).output();
const text = new TextDecoder().decode(stderr);
const complaints = [...text.matchAll(/^error\[([a-z-]+)\]: .*\n +--> (.*):([0-9]+):[0-9]+$/gm)]
  .map((match): Complaint => ({ code: match[1]!, path: match[2]!, line: Number(match[3]) }));
if (code !== 0 && complaints.length === 0) fail(text);
const undocumented = complaints.filter((complaint) =>
  complaint.code === "missing-jsdoc" &&
  !/^\s/.test(Deno.readTextFileSync(complaint.path).split("\n")[complaint.line - 1]!)
);
for (const { path, line } of undocumented) {
  console.error(`${path.replace(`${root}/`, "")}:${line}: not documented`);
}
Deno.exit(undocumented.length === 0 ? 0 : 1);
