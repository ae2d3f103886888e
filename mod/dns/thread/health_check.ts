/** How a target shows that it answers, as people write it. */
import type { Ip } from "../../core/addr.ts";

/** How a target shows that it answers. */
export type HealthCheck =
  /** A connection can be made. */
  | { readonly kind: "tcp"; readonly port: number }
  /** A page is there: status 200 to 399. */
  | { readonly kind: "http"; readonly port: number; readonly path: string }
  /** A program of the host, in the target's network namespace, ends with exit code 0. */
  | { readonly kind: "exec"; readonly words: readonly string[] };

/** How often, and how much it takes. */
export interface HealthPace {
  /** From probe to probe; also how long a target has for its answer. */
  readonly intervalMs: number;
  /** So many probes in a row that say otherwise change a target's state. */
  readonly threshold: number;
}

/** Two failures in a row, each with half a second to answer: a target that is silent leaves within two seconds. */
export const DEFAULT_PACE: HealthPace = { intervalMs: 500, threshold: 2 };
/** Bounds of what may be asked for. */
const PACE = { shortestMs: 100, longestMs: 3_600_000, threshold: 100 } as const;
const LONGEST = 1_024;

/** What is probed. */
export interface ProbedTarget {
  /** Path of its network namespace. */
  readonly netns: string;
  /** Its address there. */
  readonly ip: Ip;
  readonly check: HealthCheck;
  readonly pace: HealthPace;
}

/** `tcp:80`, `http:80/ready` or `exec:COMMAND`; with `,every=2s` or `,every=500ms`, and `,after=3` probes in a row.
 * undefined: it is none. */
export function parseHealthCheck(
  text: string,
): { readonly check: HealthCheck; readonly pace: HealthPace } | undefined {
  if (text.length > LONGEST) return undefined;
  const form = /^(.*?)(?:,every=([0-9]{1,7})(ms|s))?(?:,after=([0-9]{1,3}))?$/;
  const [, what, every, unit, after] = form.exec(text) ?? [];
  if (what === undefined || /,(?:every|after)=/.test(what)) return undefined; // a pace that is none, or in another order
  const check = parseCheck(what);
  const intervalMs = every === undefined
    ? DEFAULT_PACE.intervalMs
    : Number(every) * (unit === "s" ? 1_000 : 1);
  const threshold = after === undefined ? DEFAULT_PACE.threshold : Number(after);
  if (check === undefined || intervalMs < PACE.shortestMs || intervalMs > PACE.longestMs) return undefined;
  if (threshold < 1 || threshold > PACE.threshold) return undefined;
  return { check, pace: { intervalMs, threshold } };
}

function parseCheck(text: string): HealthCheck | undefined {
  if (text.startsWith("exec:")) {
    const words = wordsOf(text.slice("exec:".length));
    return words === undefined || words.length === 0 || words[0] === "" ? undefined : { kind: "exec", words };
  }
  const [whole, kind, digits, path] = /^(tcp|http):([0-9]{1,5})(\/[!-~]*)?$/.exec(text) ?? [];
  const port = Number(digits);
  if (whole === undefined || !(port >= 1 && port <= 65_535)) return undefined;
  if (kind === "http") return { kind, port, path: path ?? "/" };
  return path === undefined ? { kind: "tcp", port } : undefined;
}

/** The words of a command as a shell would part them: quotes and backslashes, nothing else. undefined: a quote does not
 * end, or there are control characters. */
function wordsOf(text: string): readonly string[] | undefined {
  // deno-lint-ignore no-control-regex -- they are what is refused
  if (/[\x00-\x1f\x7f]/.test(text)) return undefined;
  const words: string[] = [];
  const part = /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"\\]+)|( +)/gy;
  let word: string | undefined;
  while (part.lastIndex < text.length) {
    const [found, single, double, escaped, plain, blanks] = part.exec(text) ?? [];
    if (found === undefined) return undefined;
    if (blanks === undefined) {
      word = (word ?? "") + (single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? escaped ?? plain ?? "");
    } else if (word !== undefined) {
      words.push(word);
      word = undefined;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}
