/** Where this machine's Debian packages come from. */
import { capture, fail } from "./run.ts";

const PURPOSE = { purpose: "setup" } as const;

/** Where Debian's packages come from, as this machine's apt is set up. */
export async function debianSources(): Promise<{ readonly mirror: string; readonly sources: string }> {
  const format = "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)";
  const listed = await capture(
    ["apt-get", "indextargets", "--format", format, "Created-By: Packages"],
    PURPOSE,
  );
  const entries = listed.split("\n").map((line) => line.split(" ")).filter(([origin]) => origin === "Debian")
    .map(([, uri, release, component]) => ({ uri: uri!, release: release!, component: component! }));
  const own = debianRelease();
  const main = entries.find((entry) => entry.release === own && entry.component === "main");
  if (main === undefined) {
    fail(`This machine's apt has no source for Debian ${own}: run apt-get update first`);
  }
  const lines = entries.map(({ uri, release, component }) => `deb ${uri} ${release} ${component}\n`);
  return { mirror: main.uri, sources: [...new Set(lines)].join("") };
}

/** The code name of this machine's Debian. */
export function debianRelease(): string {
  const name = /^VERSION_CODENAME=(.*)$/m.exec(Deno.readTextFileSync("/etc/os-release"))?.[1];
  return name ?? fail("This is no Debian release: /etc/os-release has no VERSION_CODENAME");
}
