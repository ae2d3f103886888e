/** Whom containers of an engine ask, by what the host's files say. */
import assert from "node:assert/strict";
import { HOST_FILES, serversOfEngine } from "../../../mod/daemon/engine/engine_servers.ts";
import { HealthVotes } from "../../../mod/daemon/names/health_votes.ts";

function servers(usual: string | undefined, behind?: string) {
  const { inside, outside } = serversOfEngine((path) => path === HOST_FILES.usual ? usual : behind);
  return [inside.join(" "), outside];
}

Deno.test("containers ask the host's servers, those behind systemd-resolved, or Docker's own choice", () => {
  assert.deepEqual(servers("nameserver 10.0.0.1\nnameserver fd00::1\nnameserver 10.0.0.2\n"), [
    ...["10.0.0.1 10.0.0.2", false],
  ]);
  assert.deepEqual(servers("nameserver 127.0.0.53\n", "nameserver 10.0.0.9\n"), ["10.0.0.9", false]);
  assert.deepEqual(servers("nameserver 127.0.0.1\nnameserver 10.0.0.1\n"), ["10.0.0.1", true]);
  assert.deepEqual(servers("nameserver 127.0.0.1\n"), ["", true]);
  assert.deepEqual(servers(undefined), ["8.8.8.8 8.8.4.4", false]);
});

Deno.test("one who says that a target does not answer is enough", () => {
  const told: string[] = [];
  const votes = new HealthVotes((target, healthy) => void told.push(`${target} ${healthy}`));
  votes.vote("a", "check", true);
  votes.vote("a", "engine", false);
  votes.vote("a", "check", false);
  votes.vote("a", "engine", true);
  votes.vote("a", "check", true);
  assert.deepEqual(told, ["a false", "a true"]);
});
