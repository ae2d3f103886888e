/** Documents that go with the code. */
import { root } from "../../mod/tasks/run.ts";
import { VERSION } from "../../mod/core/version.ts";
import { listFiles, noFindings, programFiles, read } from "./tree.ts";

const readme = Deno.readTextFileSync(`${root}/README.md`);
const folders = [...[...Deno.readDirSync(`${root}/mod`)].map((entry) => `mod/${entry.name}`), "ffi"].sort();
const config = JSON.parse(Deno.readTextFileSync(`${root}/deno.json`)) as {
  version: string;
  tasks: Record<string, unknown>;
  imports: Record<string, string>;
};

/** Source files of each folder of the program, inner rooms included. */
const rooms = new Map<string, string[]>();
for (const { path } of [...programFiles, ...listFiles(["mod"], ".sh")]) {
  const [folder, name] = [
    path.slice(0, Math.max(0, path.lastIndexOf("/"))),
    path.slice(path.lastIndexOf("/") + 1),
  ];
  if (folder !== "") rooms.set(folder, [...rooms.get(folder) ?? [], name]);
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(`${root}/${path}`).isFile;
  } catch {
    return false;
  }
}

Deno.test("every folder of the program has a README", () => {
  noFindings([...rooms.keys()].filter((folder) => !exists(`${folder}/README.md`)));
});

Deno.test("a folder's README names each of its files in a table, and no other", () => {
  noFindings(
    [...rooms].filter(([folder]) => exists(`${folder}/README.md`)).flatMap(([folder, files]) => {
      const cells = read(`${folder}/README.md`).matchAll(/^\| ([^|]+) \|/gm);
      const named = [...cells].flatMap(([, cell]) =>
        [...cell!.matchAll(/`([a-z0-9_]+\.(?:ts|sh))`/g)].map(([, name]) => name!)
      );
      return [
        ...files.filter((file) => !named.includes(file)).map((file) =>
          `${folder}/README.md does not name ${file}`
        ),
        ...named.filter((name) => !files.includes(name)).map((name) =>
          `${folder}/README.md names ${name}, which is not there`
        ),
      ];
    }),
  );
});

Deno.test("the README's map names every folder of the program and no other", () => {
  const named = [...readme.matchAll(/^\| \[`((?:mod\/)?[a-z]+)\/?`\]\(\1\/?\)/gm)].map((match) => match[1]!)
    .sort();
  noFindings([
    ...folders.filter((folder) => !named.includes(folder)).map((folder) => `not in the map: ${folder}`),
    ...named.filter((folder) => !folders.includes(folder)).map((folder) => `not in the tree: ${folder}`),
  ]);
});

Deno.test("tests/README.md names every folder of tests and no other; those below unit mirror the program", () => {
  const present = (below: string): string[] =>
    [...Deno.readDirSync(`${root}/tests/${below}`)].filter((entry) => entry.isDirectory)
      .map((entry) => `${below}${entry.name}`)
      .flatMap((path) => path === "unit" ? [path] : [path, ...present(`${path}/`)]);
  const named = [...read("tests/README.md").matchAll(/^\| `([a-z_/]+)` +\|/gm)].map((match) => match[1]!);
  noFindings([
    ...present("").filter((folder) => !named.includes(folder)).map((folder) => `not named: ${folder}`),
    ...named.filter((folder) => !present("").includes(folder)).map((folder) => `not there: ${folder}`),
  ]);
});

Deno.test("the README names every task", () => {
  noFindings(Object.keys(config.tasks).filter((task) => !readme.includes(`task ${task}`)));
});

Deno.test("the README gives a reason for every dependency", () => {
  const packages = Object.values(config.imports).map((specifier) =>
    /^npm:\/?(@?[^@]+)@/.exec(specifier)![1]!
  );
  noFindings(packages.filter((name) => !readme.includes(`\`${name}\``)));
});

Deno.test("links between documents lead somewhere", () => {
  const documents = listFiles([""], ".md").map(({ path }) => path);
  noFindings(documents.flatMap((document) => {
    const text = Deno.readTextFileSync(`${root}/${document}`);
    const targets = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map((match) => match[1]!);
    return targets.filter((target) => {
      const path = new URL(target, `file:///${document}`).pathname.slice(1);
      try {
        Deno.statSync(`${root}/${path}`);
        return false;
      } catch {
        return true;
      }
    }).map((target) => `${document}: ${target}`);
  }));
});

Deno.test("the version is the same everywhere", () => {
  const changelog = Deno.readTextFileSync(`${root}/CHANGELOG.md`);
  noFindings([
    ...VERSION === config.version ? [] : [`deno.json says ${config.version}, mod/core/version.ts ${VERSION}`],
    ...changelog.includes(`## ${VERSION}`) ? [] : [`CHANGELOG.md has no section ${VERSION}`],
  ]);
});
