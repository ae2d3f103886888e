import assert from "node:assert/strict";
import { fitted, padded, widthOf, wrapped } from "../../../mod/cli/columns.ts";
import { paint } from "../../../mod/cli/render.ts";
import { table } from "../../../mod/cli/table.ts";

Deno.test("widthOf() counts columns of a terminal", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["", 0],
    ["host1", 5],
    ["主機", 4],
    ["é", 1],
    ["e\u0301", 1],
    ["🚀", 2],
    ["ｗeb", 4],
    ["\x1b[32mgood\x1b[39m", 4],
  ];
  for (const [text, width] of cases) assert.equal(widthOf(text), width, JSON.stringify(text));
  assert.equal(padded("主機", 6), "主機  ");
  assert.equal(padded("host1", 3), "host1");
});

Deno.test("wrapped() breaks at blanks, and words that are too long, never within a letter", () => {
  assert.deepEqual(wrapped("short", 20), ["short"]);
  assert.deepEqual(wrapped("no connection to host2", 14), ["no connection", "to host2"]);
  assert.deepEqual(wrapped("a 0123456789abcdef b", 10), ["a", "0123456789", "abcdef b"]);
  assert.deepEqual(wrapped("主機主機主機主機", 9), ["主機主機", "主機主機"]);
  const long = "word ".repeat(200) + "x".repeat(300) + "主".repeat(100);
  for (let columns = 8; columns < 90; columns++) {
    const lines = wrapped(long, columns);
    for (const line of lines) assert.ok(widthOf(line) <= columns, `${columns}: ${line}`);
    assert.equal(lines.join("").replaceAll(" ", ""), long.replaceAll(" ", ""));
  }
});

Deno.test("fitted() goes on below where the last column of a line begins", () => {
  assert.equal(
    fitted("     State  one problem, see below\nx", 24),
    "     State  one problem,\n            see below\nx",
  );
  assert.equal(
    fitted("  \x1b[2mState\x1b[22m  one problem, see below", 25),
    "  \x1b[2mState\x1b[22m  one problem, see\n         below",
  );
  assert.equal(fitted("No connection to host2: it is gone", 20), "No connection to\n  host2: it is gone");
  assert.equal(fitted("fits\n", 20), "fits\n");
});

const ROWS = [
  {
    cells: [{ text: "web" }, { text: "10.32.0.1/12" }, { text: "主機 (8a:3e:11:02:9c:01)" }],
    notes: ["a note that is long enough"],
  },
  { cells: [{ text: "数据库服务器" }, { text: "-" }, { text: "" }] },
];
const HEAD = ["HOLDER", "ADDRESS", "HOST"];

Deno.test("table() keeps columns with wide letters", () => {
  assert.equal(
    table(HEAD, ROWS, paint(false)),
    [
      "HOLDER        ADDRESS       HOST",
      "web           10.32.0.1/12  主機 (8a:3e:11:02:9c:01)",
      "      a note that is long enough",
      "数据库服务器  -",
      "",
    ].join("\n"),
  );
});

Deno.test("table() fits a terminal: its widest cells take several lines, and nothing is left out", () => {
  assert.equal(
    table(HEAD, ROWS, paint(false, 47)),
    [
      "HOLDER        ADDRESS       HOST",
      "web           10.32.0.1/12  主機",
      "                            (8a:3e:11:02:9c:01)",
      "      a note that is long enough",
      "数据库服务器  -",
      "",
    ].join("\n"),
  );
  for (const columns of [20, 30, 44, 60, 200]) {
    for (const line of table(HEAD, ROWS, paint(false, columns)).split("\n")) {
      assert.ok(widthOf(line) <= columns, `${columns}: ${line}`);
    }
  }
});

Deno.test("table() puts the last columns below each row where they cannot be narrower without breaking words", () => {
  assert.equal(
    table(HEAD, ROWS, paint(false, 36)),
    [
      "HOLDER        ADDRESS",
      "web           10.32.0.1/12",
      "      host 主機 (8a:3e:11:02:9c:01)",
      "      a note that is long enough",
      "数据库服务器  -",
      "",
    ].join("\n"),
  );
});

Deno.test("table() keeps a gap between short cells of several words, however narrow the terminal", () => {
  const cells = ["192.0.2.17:6783", "established to host2", "0.31 ms", "1.2 GB", "9.7 kB"].map((text) => ({
    text,
  }));
  for (let columns = 20; columns < 130; columns++) {
    const page = table(["ADDRESS", "STATE", "RTT", "RECEIVED", "SENT"], [{ cells }], {
      ...paint(false),
      columns,
    });
    for (const line of page.split("\n")) {
      assert.doesNotMatch(line, /(ms|B)\d/, `${columns}: ${line}`);
      assert.ok(widthOf(line) <= columns, `${columns}: ${line}`);
    }
  }
});
