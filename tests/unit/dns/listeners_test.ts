import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import { ERRNO } from "../../../mod/core/errno.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { Listeners } from "../../../mod/dns/thread/listeners_shell.ts";
import type { DnsListener } from "../../../mod/dns/service_types.ts";
import type { ListenerPort, QueryPort } from "../../../mod/dns/thread/socket_ports.ts";
import { VirtualClock } from "../../sim/clock.ts";

const ENDPOINT = { ip: "127.0.0.1" as Ip, port: 53 };

/** Sockets that are counted; `errno` is why none can be had. */
function bench(answerOn: (udp: QueryPort, tcp: ListenerPort) => Disposable) {
  const clock = new VirtualClock();
  const seen = { open: 0, asked: 0, errno: 0 };
  const socket = () => {
    if (seen.errno !== 0) throw new MeshnetError("native/call-failed", "no socket", { errno: seen.errno });
    seen.open++;
    return { [Symbol.dispose]: () => void seen.open-- };
  };
  const told: (readonly DnsListener[])[] = [];
  const listeners = new Listeners({
    ...{ clock, answerOn, changed: (all) => void told.push(all) },
    sockets: {
      openUdp: () => socket() as QueryPort,
      openTcp: () => socket() as ListenerPort,
      ownerOf: () => `dnsmasq (process ${++seen.asked})`,
    },
  });
  const wakeAgain = () => {
    clock.run(listeners.nextWake() - clock.now());
    listeners.wake();
  };
  return { listeners, seen, told, wakeAgain };
}

Deno.test("Listeners looks once for whoever has a port, until it is taken anew", () => {
  const { listeners, seen, told, wakeAgain } = bench((udp, tcp) => ({
    [Symbol.dispose]() {
      udp[Symbol.dispose]();
      tcp[Symbol.dispose]();
    },
  }));
  seen.errno = ERRNO.EADDRINUSE;
  listeners.set([ENDPOINT]);
  for (let i = 0; i < 3; i++) wakeAgain();
  assert.equal(seen.asked, 1);
  seen.errno = ERRNO.EADDRNOTAVAIL;
  wakeAgain();
  seen.errno = ERRNO.EADDRINUSE;
  wakeAgain();
  assert.equal(seen.asked, 2);
  listeners.set([ENDPOINT]);
  assert.equal(seen.asked, 3, "somebody wants to know now");
  seen.errno = 0;
  wakeAgain();
  assert.equal(listeners.nextWake(), Infinity);
  assert.deepEqual(
    told.map(([one]) => one!.state === "listening" ? "listening" : one!.reason),
    [
      "port 53 of 127.0.0.1 is taken by dnsmasq (process 1)",
      "this host has no address 127.0.0.1",
      "port 53 of 127.0.0.1 is taken by dnsmasq (process 2)",
      "port 53 of 127.0.0.1 is taken by dnsmasq (process 3)",
      "listening",
    ],
  );
  assert.equal(seen.open, 2);
  listeners[Symbol.dispose]();
  assert.equal(seen.open, 0);
});

Deno.test("Listeners closes both sockets when answering on them fails", () => {
  const { listeners, seen } = bench(() => {
    throw new Error("no room to wait on another socket");
  });
  listeners.set([ENDPOINT]);
  assert.equal(listeners.states()[0]!.state, "waiting");
  assert.equal(seen.open, 0);
});
