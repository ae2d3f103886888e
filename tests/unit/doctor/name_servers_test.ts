/** What is said of name servers of others that do not answer. */
import assert from "node:assert/strict";
import type { OtherServerReport } from "../../../mod/control/name_types.ts";
import { silentServers } from "../../../mod/doctor/name_servers.ts";

const FILE = "/etc/resolv.conf";

function server(address: string, about: Partial<OtherServerReport> = {}): OtherServerReport {
  return {
    ...{ address, domain: null, state: "answers", answeredAgoMs: 100, silentMs: null, unreachable: false },
    ...about,
  };
}
const SILENT = { state: "silent", silentMs: 95_000, answeredAgoMs: 720_000 } as const;

Deno.test("silentServers() says nothing of servers that answer, or of which nothing is known", () => {
  const well = [server("192.0.2.53:53"), server("192.0.2.54:53", { state: "unknown", silentMs: 4_000 })];
  for (const some of [[], well]) assert.deepEqual(silentServers(some, FILE), { lost: [], slow: [] });
});

Deno.test("silentServers(): where nobody answers names are not found; it says who, since when, and what to do", () => {
  const { lost, slow } = silentServers([server("192.0.2.53:53", SILENT)], FILE);
  assert.deepEqual(slow, []);
  assert.deepEqual(lost, [{
    message:
      "Names outside the mesh are not found: the name server 192.0.2.53, of /etc/resolv.conf, does not answer " +
      "(asked in vain for 95 s; the last answer came 12 min ago)",
    hint:
      "Start it again or mend the way there: `dig @192.0.2.53 . NS` asks, too; `ip route get 192.0.2.53` shows the " +
      "way; or name servers that answer in /etc/resolv.conf",
  }]);
  const both = silentServers(
    [
      server("192.0.2.53:53", { ...SILENT, answeredAgoMs: null }),
      server("[2001:db8::1]:53", { ...SILENT, answeredAgoMs: null }),
    ],
    FILE,
  );
  assert.match(
    both.lost[0]!.message,
    /the name servers 192\.0\.2\.53 and 2001:db8::1, of .*, do not answer .*nothing has come since this daemon/,
  );
});

Deno.test("silentServers(): where another one answers, look-ups take longer", () => {
  const { lost, slow } = silentServers([
    server("192.0.2.53:53", { ...SILENT, unreachable: true }),
    server("192.0.2.54:53"),
  ], FILE);
  assert.deepEqual(lost, []);
  assert.match(
    slow[0]!.message,
    /^The name server 192\.0\.2\.53, of .*, does not answer .*may take a second longer$/,
  );
  assert.match(
    slow[0]!.hint!,
    /nothing listens there, or there is no way \(`ip route get 192\.0\.2\.53`\).*without this one$/,
  );
});

Deno.test("silentServers() keeps servers of single domains apart", () => {
  const { lost } = silentServers([
    server("192.0.2.54:53"),
    server("10.0.0.53:5353", { ...SILENT, domain: "corp.example" }),
  ], FILE);
  assert.match(
    lost[0]!.message,
    /^Names below corp\.example are not found: the name server 10\.0\.0\.53:5353, of --dns-forward,/,
  );
  assert.match(lost[0]!.hint!, /`dig @10\.0\.0\.53 -p 5353 corp\.example SOA`/);
});
