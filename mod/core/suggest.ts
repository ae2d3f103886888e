/** "Did you mean": the closest of some known words. */

/** Edits (insert, delete, replace, swap neighbours) between two short words. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(row[j - 1]! + 1, above[j]! + 1, above[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, before[j - 2]! + 1);
      }
      row.push(best);
    }
    before = above;
    above = row;
  }
  return above[b.length]!;
}

/** The known word closest to what was typed, if it is close enough to be meant. */
export function closest(typed: string, known: Iterable<string>): string | undefined {
  if (typed.length > 64) return undefined;
  let found: string | undefined;
  let least = Math.max(1, Math.floor(typed.length / 3)) + 1;
  for (const word of known) {
    const startsLikeIt = typed.length >= 3 && word.startsWith(typed);
    const far = startsLikeIt ? 1 : distance(typed.toLowerCase(), word.toLowerCase());
    if (far < least) [found, least] = [word, far];
  }
  return found;
}
