/** Whether this kernel has modules that are not loaded. */
import { readTextIfReadable } from "../../sys/files.ts";

/** Whether a module can be loaded, by the list that comes with the kernel. In a container without that list nothing can. */
export function canLoad(
  module: string,
  read: (path: string) => string | undefined = readTextIfReadable,
): boolean {
  const folder = `/lib/modules/${Deno.osRelease()}`;
  return ["modules.dep", "modules.builtin"].some((file) =>
    (read(`${folder}/${file}`) ?? "").split("\n").some((line) =>
      line.split(":")[0]!.replace(/^.*\//, "").replace(/\.ko.*$/, "").replaceAll("-", "_") === module
    )
  );
}
