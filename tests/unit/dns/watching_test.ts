import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import { examine } from "../../../mod/dns/thread/exam_shell.ts";
import { ProbePrograms } from "../../../mod/dns/thread/programs_shell.ts";
import { Handlers } from "../../../mod/dns/thread/socket_ports.ts";
import { UdpAnswers } from "../../../mod/dns/thread/udp_shell.ts";

const IP = "10.2.1.1" as Ip;
const TARGET = { id: "netns:a", ip: IP, netns: "/x" };

/** Handlers that take so many descriptors and refuse the next one. */
function handlersFor(room: number) {
  const watched = new Set<number>();
  const handlers = new Handlers({
    add(fd: number) {
      if (watched.size === room) throw new Error("no more");
      watched.add(fd);
    },
    remove: (fd: number) => void watched.delete(fd),
  } as never);
  return { handlers, watched };
}

Deno.test("what cannot be watched is closed, and nothing stays", () => {
  for (const room of [0, 1]) {
    const closed: string[] = [];
    const closing = (name: string, fd: number) => ({
      ...{ fd, output: fd + 1, kill: () => void closed.push(`${name} killed`) },
      [Symbol.dispose]: () => void closed.push(name),
    });
    const { handlers, watched } = handlersFor(room);
    const sockets = {
      connectIn: () => closing("socket", 5) as never,
      runIn: () => closing("program", 7) as never,
    };
    const programs = new ProbePrograms({ handlers, sockets });
    assert.throws(() => programs.start(TARGET, ["true"], () => {}), /no more/);
    assert.deepEqual([closed, watched.size, programs.isFull], [["program killed", "program"], 0, false]);
    if (room > 0) continue;
    assert.throws(
      () => examine({ handlers, sockets }, TARGET, { kind: "tcp", port: 80 } as never, () => {}),
      /no more/,
    );
    assert.throws(
      () => new UdpAnswers(closing("answers", 9) as never, { answering: {} as never, handlers }),
      /no more/,
    );
    assert.deepEqual(closed.slice(2), ["socket", "answers"]);
  }
});
