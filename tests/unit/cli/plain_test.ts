import assert from "node:assert/strict";
import { parseCommandLine } from "../../../mod/cli/parse.ts";
import { parsePlain } from "../../../mod/cli/plain.ts";

Deno.test("parsePlain() reads what has no options as parseCommandLine() does", async () => {
  const lines = [
    "version",
    "help",
    "help status",
    "help service unit",
    "status",
    "status peers",
    "status nonsense", // what an argument may be is looked at later
    "service unit",
    "up",
    "attach netns:web",
    "attach 10.2.1.1/24 10.2.1.2/24 netns:web",
    "forget host1 host2",
  ];
  for (const line of lines) {
    const [plain, full] = [parsePlain(line.split(" ")), await parseCommandLine(line.split(" "))];
    assert.equal(plain?.command, full.command, line);
    assert.deepEqual(plain?.invocation.args, full.invocation.args, line);
    assert.ok(Object.values(full.invocation.given).every((value) => value === undefined), line);
    assert.deepEqual(plain?.invocation.given, {}, line);
    assert.equal(plain?.invocation.text("run-dir"), undefined);
    assert.equal(plain?.invocation.on("json"), false);
  }
});

Deno.test("parsePlain() leaves options and mistakes to parseCommandLine()", () => {
  for (
    const line of [
      ...[
        "",
        "nonsense",
        "service",
        "status --json",
        "up --peers a",
        "version -V",
        "up now",
        "connect",
        "down x",
      ],
      ...["attach -- netns:web", "status peers targets", "help a b c d"],
    ]
  ) assert.equal(parsePlain(line.split(" ").filter(Boolean)), undefined, line);
});
