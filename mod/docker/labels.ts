/** What the labels of a container ask for. */
import type { Labels } from "./engine_api.ts";

/** The labels that are read. */
export const LABEL = {
  ...{ attach: "meshnet.attach", ip: "meshnet.ip", name: "meshnet.name" },
  health: "meshnet.health",
} as const;

const YES = ["true", "yes", "on", "1"];
const NO = ["false", "no", "off", "0", ""];

/** What is to be done about a container by itself. */
export type LabelWish =
  | { readonly kind: "nothing" }
  /** Attach it; no address means a free one. */
  | {
    readonly kind: "attach";
    readonly addresses: readonly string[];
    readonly names: readonly string[];
    /** How it is checked; undefined: not at all. */
    readonly health: string | undefined;
  }
  /** A label cannot be used: which one, its value, and what would do. */
  | { readonly kind: "refused"; readonly label: string; readonly value: string; readonly hint: string };

/** Reads labels. An address asks to be attached, too, unless the first label says no. So does a name or a check, unless the
 * container is in one of our networks already (`isOurs`). */
export function readLabels(labels: Labels, isOurs: boolean): LabelWish {
  const attach = labels.get(LABEL.attach);
  const word = attach?.trim().toLowerCase();
  if (attach !== undefined && !YES.includes(word!) && !NO.includes(word!)) {
    return { kind: "refused", label: LABEL.attach, value: attach, hint: "Give true or false" };
  }
  const [addresses, names] = [LABEL.ip, LABEL.name].map((label) => listOf(labels.get(label)));
  const health = healthLabel(labels);
  if (health !== undefined && isProgram(health)) {
    return { kind: "refused", label: LABEL.health, value: health, hint: NO_PROGRAM };
  }
  const asks = addresses!.length > 0 || !isOurs && (names!.length > 0 || health !== undefined);
  const wanted = word === undefined ? asks : YES.includes(word);
  return wanted ? { kind: "attach", addresses: addresses!, names: names!, health } : { kind: "nothing" };
}

/** Whether a check runs a program of the host. Labels come from images, too, so none may ask for that. */
export function isProgram(check: string): boolean {
  return !/^(?:tcp|http|none\b)/.test(check);
}

/** What to do about a label that asks for one. */
export const NO_PROGRAM =
  "Give tcp:PORT or http:PORT/PATH; a program is named by `meshnet attach --health` alone";

/** How a container is to be checked; undefined: not at all. */
export function healthLabel(labels: Labels): string | undefined {
  const text = labels.get(LABEL.health)?.trim();
  return text === "" ? undefined : text;
}

/** The items of a label that is a list. */
export function listOf(text = ""): readonly string[] {
  return text.split(/[\s,]+/).filter((item) => item !== "");
}
