/** Whether this kernel has modules that are not loaded. */
import { readTextIfReadable } from "../../sys/files.ts";

/** Tells whether a module can be loaded, by the lists that come with the kernel, which are read when the first one is asked
 * for. In a container without these lists nothing can. */
export function modulesHere(
  read: (path: string) => string | undefined = readTextIfReadable,
): (module: string) => boolean {
  let names: ReadonlySet<string> | undefined;
  return (module) => (names ??= namesIn(read)).has(module);
}

function namesIn(read: (path: string) => string | undefined): ReadonlySet<string> {
  const folder = `/lib/modules/${Deno.osRelease()}`;
  const lines = ["modules.dep", "modules.builtin"].flatMap((file) =>
    (read(`${folder}/${file}`) ?? "").split("\n")
  );
  return new Set(
    lines.map((line) => line.split(":")[0]!.replace(/^.*\//, "").replace(/\.ko.*$/, "").replaceAll("-", "_")),
  );
}
