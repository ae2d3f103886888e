import assert from "node:assert/strict";
import { oddEnds, readPassword, withoutLineEnd } from "../../../mod/daemon/config/password.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (password: Uint8Array | undefined) =>
  password && new TextDecoder("utf-8", { ignoreBOM: true }).decode(password);

Deno.test("withoutLineEnd() takes one line end away", () => {
  const cases = [["a", "a"], ["a\n", "a"], ["a\r\n", "a"], ["a\n\n", "a\n"], ["a\r", "a\r"], ["\n", ""], [
    "",
    "",
  ]];
  for (const [given, expected] of cases) assert.equal(text(withoutLineEnd(bytes(given!))), expected);
});

const ODD: readonly (readonly [password: string, what: RegExp | undefined])[] = [
  ["secret", undefined],
  ["two words", undefined],
  ["pässword", undefined],
  ["\ufeffsecret", /^F begins with a byte order mark/],
  [" secret", /^F begins with a blank/],
  ["\nsecret", /^F begins with a blank or an empty line/],
  ["secret\t", /^F ends with a blank/],
  ["secret\n", /^F ends with more than one line end/],
  ["secret\r", /^F ends with more than one line end/],
  ["one\ntwo", /^F has several lines/],
  ["s\0e", /^F has bytes that are no text/],
];

for (const [password, what] of ODD) {
  Deno.test(`oddEnds() of ${JSON.stringify(password)}`, () => {
    const found = oddEnds(bytes(password), "F");
    if (what === undefined) return assert.deepEqual(found, []);
    assert.match(found[0]!, what);
    for (const line of found) assert.doesNotMatch(line, /secret/);
  });
}

Deno.test("readPassword() gives the same for the same text, from a file and from the environment", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.chmod(path, 0o600);
    for (const given of ["s3cret", "s3cret\n", "s3cret\r\n", " s3cret ", "\ufeffs3cret\n\n"]) {
      await Deno.writeFile(path, bytes(given));
      const fromFile = await readPassword({
        variable: undefined,
        file: { value: path, source: "flag", label: "--password-file" },
      }, "/");
      const fromVariable = await readPassword({ variable: given, file: undefined }, "/");
      assert.equal(text(fromFile.password), text(fromVariable.password));
      assert.equal(fromFile.warnings.length, fromVariable.warnings.length);
    }
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("readPassword() refuses what is empty or endless, and two sources of one rank", async () => {
  const file = (source: "environment" | "flag", value = "/dev/null") =>
    ({ value, source, label: source }) as const;
  const cases = [
    [{ variable: "\n", file: undefined }, "usage/bad-config", /MESHNET_PASSWORD: it is an empty line/],
    [{ variable: "x", file: file("environment") }, "usage/bad-config", /^Both/],
    [{ variable: "x", file: file("flag") }, "usage/bad-option", /\/dev\/null is empty/],
    [{ variable: undefined, file: file("flag", "/dev/zero") }, "usage/bad-option", /has more than 64 KiB/],
  ] as const;
  for (const [sources, code, message] of cases) {
    await assert.rejects(readPassword(sources, "/"), { code, message });
  }
  assert.deepEqual(await readPassword({ variable: "", file: undefined }, "/"), {
    password: undefined,
    fromFile: false,
    warnings: [],
  });
});
