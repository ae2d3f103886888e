import assert from "node:assert/strict";
import { hungProcess } from "../../../mod/daemon/doctor/hung_daemon.ts";

Deno.test("hungProcess() names the process, what holds it, and the command that mends it", () => {
  const said = (pid: number | undefined, status?: string) => {
    const { hint, message } = hungProcess(pid, { seconds: 5, status });
    return `${message} | ${hint}`;
  };
  assert.match(
    said(7, "Name:\tmeshnet\nState:\tT (stopped)\n"),
    /\(process 7\) does not answer within 5 s: a signal.*`kill -CONT 7`/,
  );
  assert.match(
    said(7, "State:\tD (disk sleep)\n"),
    /process 7\) .*waits for the kernel or a disk \| .*`kill -KILL 7`/,
  );
  assert.match(
    said(7, "State:\tS (sleeping)\n"),
    /process 7\) does not answer within 5 s \| .*`kill -KILL 7`/,
  );
  assert.match(said(undefined), /its process cannot be seen from here \| .*systemctl restart meshnet/);
});
