/** What must not stand in the tree. */
import { root } from "../../mod/tasks/run.ts";
import { listFiles, noFindings } from "./tree.ts";

const sources = ["ts", "sh", "md", "json", "go", "run"].flatMap((ending) => listFiles([""], ending));

/** Lines of the tree that match, with their place. This folder describes what it looks for, so it is left out. */
function lines(pattern: RegExp, only: (path: string) => boolean = () => true): string[] {
  return sources.filter(({ path }) => !path.startsWith("tests/checks/") && only(path)).flatMap((
    { path, text },
  ) => text.split("\n").flatMap((line, i) => pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : []));
}

Deno.test("no paths of one machine", () => {
  noFindings(
    lines(/\/work\b|\/home\/[a-z]|\/root\/|\/tmp\/[a-z]+\/[a-z]/).filter((line) =>
      !line.includes("meshnet-")
    ),
  );
});

Deno.test("no secrets", () => {
  noFindings(lines(/BEGIN [A-Z ]*PRIVATE KEY|\b(ghp|gho|npm|xox[bp]|AKIA)_?[A-Za-z0-9]{16,}/));
});

Deno.test("nothing is left to be done", () => {
  noFindings(lines(/\b(TODO|FIXME|XXX)\b/, (path) => path.endsWith(".ts")));
});

Deno.test("no test is skipped or kept to itself", () => {
  noFindings(lines(/Deno\.test\.(ignore|only)|\b(ignore|only): *true/, (path) => path.startsWith("tests/")));
});

Deno.test("the lock file knows every dependency", () => {
  const config = JSON.parse(Deno.readTextFileSync(`${root}/deno.json`)) as {
    imports: Record<string, string>;
  };
  const lock = JSON.parse(Deno.readTextFileSync(`${root}/deno.lock`)) as {
    specifiers: Record<string, string>;
  };
  noFindings(
    Object.values(config.imports).flatMap((specifier) => {
      const name = specifier.replace(/^npm:\/?/, "npm:").replace(/\/$/, "");
      return Object.hasOwn(lock.specifiers, name) ? [] : [`deno.lock lacks ${name}`];
    }),
  );
});

Deno.test("dependencies are pinned to one version", () => {
  const config = JSON.parse(Deno.readTextFileSync(`${root}/deno.json`)) as {
    imports: Record<string, string>;
  };
  noFindings(
    Object.values(config.imports).filter((specifier) => !/@[0-9]+\.[0-9]+\.[0-9]+\/?$/.test(specifier)),
  );
});
