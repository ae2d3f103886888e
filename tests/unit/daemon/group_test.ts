import assert from "node:assert/strict";
import { groupNumber } from "../../../mod/daemon/config/group.ts";

Deno.test("groupNumber() takes a number, or a name that the file has; others are refused with the fix", async () => {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "root:x:0:\nadm:x:4:syslog\nbroken\nnone:x::\n");
    const given = (value: string) => ({ value, source: "flag", label: "--socket-group" }) as const;
    const number = (value: string) => groupNumber(given(value), file);
    assert.deepEqual([number("adm"), number("root"), number("977"), groupNumber(undefined, file)], [
      4,
      0,
      977,
      undefined,
    ]);
    for (const wrong of ["", "adm:x", "none", "broken", "-1", "4294967295", "no-such"]) {
      assert.throws(() => number(wrong), { code: "usage/bad-option" }, wrong);
    }
  } finally {
    await Deno.remove(file);
  }
});
