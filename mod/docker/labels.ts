/** What the labels of a container ask for. */
import type { Labels } from "./engine_api.ts";

/** The labels that are read. */
export const LABEL = { attach: "meshnet.attach", ip: "meshnet.ip", name: "meshnet.name" } as const;

const YES = ["true", "yes", "on", "1"];
const NO = ["false", "no", "off", "0", ""];

/** What is to be done about a container by itself. */
export type LabelWish =
  | { readonly kind: "nothing" }
  /** Attach it; no address means a free one. */
  | { readonly kind: "attach"; readonly addresses: readonly string[]; readonly names: readonly string[] }
  /** A label cannot be used: which one, its value, and what would do. */
  | { readonly kind: "refused"; readonly label: string; readonly value: string; readonly hint: string };

/** Reads labels. An address or a name asks to be attached, too, unless the first label says no. */
export function readLabels(labels: Labels): LabelWish {
  const attach = labels.get(LABEL.attach);
  const word = attach?.trim().toLowerCase();
  if (attach !== undefined && !YES.includes(word!) && !NO.includes(word!)) {
    return { kind: "refused", label: LABEL.attach, value: attach, hint: "Give true or false" };
  }
  const [addresses, names] = [LABEL.ip, LABEL.name].map((label) => listOf(labels.get(label)));
  const wanted = word === undefined ? addresses!.length + names!.length > 0 : YES.includes(word);
  return wanted ? { kind: "attach", addresses: addresses!, names: names! } : { kind: "nothing" };
}

function listOf(text = ""): readonly string[] {
  return text.split(/[\s,]+/).filter((item) => item !== "");
}
