import assert from "node:assert/strict";
import { wordsOf } from "../../../mod/cli/offers.ts";

Deno.test("wordsOf() offers plain words alone, each once", () => {
  const names = ["host2", "netns:web", "/run/netns/a", "192.0.2.7:6783", "[::1]", "a b", "$(reboot)", "`x`"];
  assert.deepEqual(wordsOf([...names, "host2", "-rf", "", "a\nb", "x;y", "~root", "'", "\x1b[2J"]), [
    "/run/netns/a",
    "192.0.2.7:6783",
    "host2",
    "netns:web",
  ]);
});
