import assert from "node:assert/strict";
import type { CommandSpec } from "../../../mod/cli/command.ts";
import { COMMANDS } from "../../../mod/cli/commands.ts";
import { commandPage, manPages, prose } from "../../../mod/cli/man_pages.ts";
import { UP_OPTIONS } from "../../../mod/core/options.ts";

const RELEASE = { version: "1.2.3", date: "2026-11-27" };

/** A page as it is read: without fonts, escapes and the lines that only lay it out. */
function read(text: string): string {
  return text.replaceAll(/\\f[BIR]/g, "").replaceAll("\\-", "-").replaceAll("\\(aq", "'").replaceAll(
    "\\e",
    "\\",
  );
}

Deno.test("manPages() has a page for the program, for each command and for the file", () => {
  const files = manPages(RELEASE).map((page) => page.file);
  const commands = COMMANDS.map((command) => `meshnet-${command.name.replaceAll(" ", "-")}.8`);
  assert.deepEqual(files, ["meshnet.8", ...commands, "meshnet.toml.5"]);
});

Deno.test("manPages() say all that help says: briefs, explanations, options and examples", () => {
  const pages = new Map(manPages(RELEASE).map((page) => [page.file, read(page.text)]));
  for (const command of COMMANDS) {
    const text = pages.get(`meshnet-${command.name.replaceAll(" ", "-")}.8`)!;
    assert.ok(text.includes(command.about.replaceAll("`", "")), command.name);
    for (const option of command.options) {
      assert.ok(text.includes(`\n--${option.name}`), `${command.name} ${option.name}`);
    }
    for (const [line] of command.examples) assert.ok(text.includes(`\n.TP\n${line}\n`), line);
    assert.ok(pages.get("meshnet.8")!.includes(command.brief.replaceAll("`", "")), command.name);
  }
  for (const { name } of UP_OPTIONS) {
    assert.match(pages.get("meshnet.toml.5")!, new RegExp(`^${name} = `, "m"));
  }
});

Deno.test("commandPage() keeps what is typed apart from what troff would read", () => {
  const command: CommandSpec = {
    name: "try this",
    brief: "Try it",
    about: "'Quoted' text, a \\ and `meshnet try-it --now`. .Dots begin no request.",
    args: { usage: "[CIDR...] TARGET", brief: "x", least: 1, most: 2 },
    options: [{ name: "dry-run", kind: "switch", brief: "Do not do it" }],
    examples: [["meshnet try this --dry-run", "look first"]],
    load: () => Promise.reject(new Error("unused")),
  };
  assert.deepEqual(commandPage(command, RELEASE), {
    file: "meshnet-try-this.8",
    text: `.TH MESHNET\\-TRY\\-THIS 8 2026-11-27 "meshnet 1.2.3"
.nh
.ad l
.SH NAME
meshnet\\-try\\-this \\- Try it
.SH SYNOPSIS
\\fBmeshnet try this\\fR \\fI[CIDR...]\\fR \\fITARGET\\fR [\\fIOPTIONS\\fR]
.SH DESCRIPTION
Try it.
.PP
\\(aqQuoted\\(aq text, a \\e and \\fBmeshnet try\\-it \\-\\-now\\fR. .Dots begin no request.
.SH OPTIONS
.TP
\\fB\\-\\-dry\\-run\\fR
Do not do it.
.SH EXAMPLES
.TP
\\fBmeshnet try this \\-\\-dry\\-run\\fR
Look first.
.SH SEE ALSO
.BR meshnet (8)
`,
  });
});

Deno.test("prose() begins no request, and prints options as they are typed", () => {
  assert.equal(prose(".conf files"), "\\&.conf files");
  assert.equal(prose("use --no-dns, not well-known words"), "use \\-\\-no\\-dns, not well-known words");
});
