import assert from "node:assert/strict";
import { causesAmong } from "../../../mod/doctor/causes.ts";

const said = (check: string, message: string) => ({ check, message, fix: null });
const user = (name: string, why: string) =>
  said("connections", `Traffic to ${name} goes through user space: ${why}`);
const NO_ANSWER =
  "no answer to full-size VXLAN heartbeats on UDP 6784: a firewall blocks it, or the path carries less than 9050 bytes";

/** Cause first; of the others those that follow from it. */
const CASES: readonly (readonly [string, ReturnType<typeof said>, readonly ReturnType<typeof said>[]])[] = [
  [
    "a rule of this host",
    said(
      "problems of the status",
      "This host's firewall drops what other hosts send to UDP 6783 and 6784: rule 1 drops it",
    ),
    [
      user("h2", "no VXLAN heartbeat arrives: let this host's firewall accept UDP 6784 from 192.0.2.2"),
      said(
        "connections",
        "No traffic flows to h2 and back: let this host's firewall accept UDP 6783 from 192.0.2.2",
      ),
      said(
        "connections",
        "No traffic flows to h2 and back: no sleeve: no answer to heartbeats over UDP: a firewall blocks UDP 6783 of h2",
      ),
      said(
        "connections",
        "No traffic flows to h2 and back: no sleeve: no heartbeat from the peer for 60 s: a firewall blocks UDP, or",
      ),
      said("connections", "Nothing has come from h2 for 20 s: a firewall blocks UDP, or the way is broken"),
    ],
  ],
  [
    "a rule against ESP",
    said(
      "problems of the status",
      "This host's firewall drops what other hosts send to ESP: rule 1 drops it",
    ),
    [
      user("h2", "let this host's firewall accept IP protocol 50 (ESP) from 192.0.2.2"),
      user(
        "h2",
        "no VXLAN heartbeat from the peer for 10 s on IP protocol 50 (ESP): a firewall blocks it, or the path",
      ),
      user(
        "h2",
        "no answer to full-size VXLAN heartbeats on IP protocol 50 (ESP): a firewall blocks it, or the path",
      ),
    ],
  ],
  [
    "a strict kernel",
    said(
      "packets that this host drops",
      "This host drops what h2 (192.0.2.2), 192.0.2.3 sends, as it arrives at eth1 and the route there leads out of eth0: x",
    ),
    [
      said("problems of the status", "No connection to 192.0.2.2:6783: no answer within 10 s"),
      said("problems of the status", "No connection to 192.0.2.3: no answer within 10 s"),
      said("connections", "Nothing has come from h2 for 20 s: a firewall blocks UDP, or the way is broken"),
      said(
        "owners of addresses",
        "h2 cannot be reached and owns 512 addresses, which nobody else can give out",
      ),
    ],
  ],
  [
    "loss",
    said(
      "steady ways",
      "The way to h2 (192.0.2.2) loses packets: it failed 4 times within a minute and worked again",
    ),
    [
      user("h2", "the peer gets no VXLAN heartbeat from here any more: a firewall blocks UDP 6784 towards"),
      said("connections", "Nothing has come from h2 for 20 s: a firewall blocks UDP, or the way is broken"),
      said("problems of the status", "No connection to 192.0.2.2: no overlay works: no fastdp: no VXLAN"),
      said("owners of addresses", "h2 cannot be reached and owns 512 addresses, which nobody"),
    ],
  ],
  [
    "no route",
    said("routes to other hosts", "This host has no route to h2 (192.0.2.2), h3 (192.0.2.3)"),
    [
      said(
        "problems of the status",
        "No connection to 192.0.2.9: no route to 192.0.2.9:6783: check this host's",
      ),
      said("connections", "Nothing has come from h3 for 20 s: a firewall blocks UDP, or the way is broken"),
      said("connections", "No traffic flows to h2 and back: no heartbeat"),
      said("owners of addresses", "h2, h3 cannot be reached and own 512 addresses, which nobody"),
    ],
  ],
  [
    "a rule that lets nothing out",
    said(
      "problems of the status",
      "This host's firewall drops what it sends to other hosts' TCP 6783 and UDP 6783 and 6784: rule 1 drops it",
    ),
    [
      user(
        "h2",
        "the peer gets no VXLAN heartbeat from here any more: a firewall blocks UDP 6784 towards 192.0.2.2, or that",
      ),
      said(
        "problems of the status",
        "No connection to h2: no answer from 192.0.2.2:6783 within 10 s: is the host up, and does a firewall drop",
      ),
      said("connections", "No traffic flows to h2 and back: a firewall blocks UDP towards 192.0.2.2"),
      said("connections", "Nothing has come from h2 for 20 s: a firewall blocks UDP, or the way is broken"),
    ],
  ],
  [
    "an MTU that this host's own way does not carry",
    said(
      "ways of this host",
      "Containers send packets of up to 9000 bytes, and this host's way to h2 carries 1500 with all",
    ),
    [
      user("h2", NO_ANSWER),
      said("connections", "The path to h2 carries packets of 1438 bytes and containers here send up to 9000"),
      said(
        "problems of the status",
        "Containers have MTU 9000 on this host, 1410 on h2: large packets may be lost",
      ),
    ],
  ],
  ["another MTU", said("problems of the status", "Containers have MTU 1410 on this host, 9000 on h2"), [
    user("h2", NO_ANSWER),
  ]],
  ["a narrow path", said("connections", "The path to h2 carries packets of 1300 bytes"), [
    user("h2", NO_ANSWER),
  ]],
  [
    "a port that is taken",
    said("problems of the status", "No tunnel port: UDP port 6784 cannot be used on this host"),
    [user("h2", "cannot open VXLAN port 6784 on this host: it is in use")],
  ],
  [
    "no open files",
    said("open files left", "The daemon will soon be out of open files: it has 50 open"),
    [said("daemon", "The daemon (process 7) does not answer within 5 s")],
  ],
  [
    "owners that are away",
    said("owners of addresses", "h2 cannot be reached and owns 5 addresses, which nobody else can give out"),
    [said(
      "problems of the status",
      "netns:a waits for an address: no owner of addresses can be reached: start h2",
    )],
  ],
];

for (const [name, cause, follow] of CASES) {
  Deno.test(`causesAmong() tells ${name}, and not what follows`, () => {
    assert.deepEqual(causesAmong([...follow, cause]), [cause]);
    for (const one of follow) assert.deepEqual(causesAmong([one]), [one], "alone it is told");
  });
}

Deno.test("causesAmong() leaves what has a cause of its own", () => {
  const rule = said(
    "problems of the status",
    "This host's firewall drops what other hosts send to TCP 6783: rule 1 drops it",
  );
  const narrow = said("connections", "The path to h3 carries packets of 1300 bytes");
  const others = [
    user("h2", "let this host's firewall accept UDP 6784 from 192.0.2.2"),
    user("h2", NO_ANSWER),
    user(
      "h2",
      "the peer gets no VXLAN heartbeat from here any more: a firewall blocks UDP 6783 towards 192.0.2.2",
    ),
    said("connections", "No traffic flows to h2 and back: a firewall blocks UDP towards 192.0.2.2:6783"),
  ];
  assert.deepEqual(causesAmong([rule, narrow, ...others]), [rule, narrow, ...others]);
});

Deno.test("causesAmong() tells faults of other hosts beside a way that loses packets", () => {
  const cause = said(
    "steady ways",
    "The way to h1 (192.0.2.1) loses packets: it failed 4 times within a minute and worked again",
  );
  const others = [
    said("problems of the status", "No connection to 192.0.2.10: no overlay works: no fastdp: no VXLAN"),
    said("owners of addresses", "h10, h2 cannot be reached and own 512 addresses, which nobody"),
    said("connections", "Nothing has come from h10 for 20 s: a firewall blocks UDP, or the way is broken"),
  ];
  assert.deepEqual(causesAmong([...others, cause]), [...others, cause]);
});
