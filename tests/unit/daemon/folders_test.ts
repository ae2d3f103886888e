import assert from "node:assert/strict";
import { type FolderLook, unsafeFolder } from "../../../mod/daemon/checks/folders.ts";

const US = 0, ALICE = 1000;

/** Folders by path: owner and mode, or owner and where a link leads. */
type Tree = Readonly<
  Record<string, readonly [uid: number, mode: number] | readonly [uid: number, link: string]>
>;

function looking(tree: Tree): FolderLook {
  return {
    lstat(path) {
      const found = tree[path];
      if (found === undefined) return undefined;
      const isSymlink = typeof found[1] === "string";
      return {
        isSymlink,
        isDirectory: !isSymlink && !path.endsWith(".txt"),
        uid: found[0],
        mode: isSymlink ? 0o777 : found[1] as number,
      };
    },
    readLink: (path) => tree[path]![1] as string,
  };
}

const TREE: Tree = {
  "/run": [US, 0o755],
  "/run/good": [US, 0o755],
  "/run/group": [US, 0o770],
  "/run/note.txt": [US, 0o644],
  "/run/open": [US, 0o777],
  "/run/sticky": [US, 0o1777],
  "/run/alice": [ALICE, 0o700],
  "/run/alice/ours": [US, 0o700],
  "/run/open/ours": [US, 0o700],
  "/run/link": [US, "good"],
  "/run/absolute": [US, "/all/ours"],
  "/run/circle": [US, "../run/circle"],
  "/run/to-alice": [US, "/all/alice"],
  "/all": [US, 0o1777],
  "/all/ours": [US, 0o700],
  "/all/alice": [ALICE, 0o755],
  "/all/link": [ALICE, "/run/good"],
};

const CASES: readonly (readonly [path: string, fault: RegExp | undefined])[] = [
  ["/run/good", undefined],
  ["/run/group", undefined],
  ["/run/good/new/deep", undefined],
  ["/all/ours", undefined],
  ["/all/new", undefined],
  ["/run/link", undefined],
  ["/run/absolute", undefined],
  ["/run/alice/ours", undefined], // whoever names it trusts alice
  ["/run/note.txt", /\(--run-dir\): \/run\/note\.txt is a file$/],
  ["/run/note.txt/below", /\/run\/note\.txt is a file$/],
  ["/run/alice", /belongs to another user \(1000\)/],
  ["/run/to-alice", /belongs to another user \(1000\)/],
  ["/all/alice", /belongs to another user/],
  ["/run/open", /everybody may write into \/run\/open$/],
  ["/run/sticky", /everybody may write into \/run\/sticky$/],
  ["/run/open/ours", /everybody may write into \/run\/open$/],
  ["/run/open/new", /everybody may write into \/run\/open$/],
  ["/all/link", /\/all\/link is a link of another user \(1000\)/],
  ["/all/link/x", /link is a link of another user/],
  ["/run/circle", /in a circle/],
];

for (const [path, fault] of CASES) {
  Deno.test(`unsafeFolder() ${fault === undefined ? "trusts" : "refuses"} ${path}`, () => {
    const found = unsafeFolder(path, "--run-dir", { look: looking(TREE), uid: US });
    if (fault === undefined) return assert.equal(found, undefined);
    assert.equal(found?.code, "up/unsafe-folder");
    assert.match(found.message, fault);
    assert.match(found.message, new RegExp(`^Cannot use folder ${path} \\(--run-dir\\): `));
    assert.match(found.hint!, /--run-dir/);
  });
}

Deno.test("unsafeFolder() looks at the file system", () => {
  const folder = Deno.makeTempDirSync();
  try {
    assert.equal(unsafeFolder(`${folder}/new`, "--run-dir"), undefined);
    Deno.chmodSync(folder, 0o777);
    assert.match(unsafeFolder(folder, "--run-dir")!.message, /everybody may write/);
  } finally {
    Deno.removeSync(folder);
  }
});
