/** JSON of others, changed in a few places and otherwise given on as it came. Pure. */
import { bad, type Decoded, good } from "../../core/brand.ts";

/** An object of JSON. */
export type Fields = Readonly<Record<string, unknown>>;

/** A number that this language cannot hold exactly: kept as it was written. An engine's limits have 64 bits. */
interface RawJson {
  rawJSON(text: string): unknown;
}

/** Reads JSON. Numbers that would change are kept as text, so that encodeExact() gives them back. */
export function decodeExact(bytes: Uint8Array): Decoded<unknown> {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return good(JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) => {
      const source = context?.source;
      return typeof value !== "number" || source === undefined || String(value) === source
        ? value
        : (JSON as unknown as RawJson).rawJSON(source);
    }));
  } catch {
    return bad("the body is not JSON");
  }
}

/** Writes what decodeExact() read. */
export function encodeExact(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** The key by which an engine finds a field: it looks at no case, and of several the last one counts. */
export function keyOf(fields: Fields, name: string): string | undefined {
  const wanted = name.toLowerCase();
  return Object.keys(fields).findLast((key) => key.toLowerCase() === wanted);
}

/** A field as an engine reads it. */
export function fieldOf(fields: Fields, name: string): unknown {
  const key = keyOf(fields, name);
  return key === undefined ? undefined : fields[key];
}

/** A text field; empty where it is none. */
export function textField(fields: Fields, name: string): string {
  const value = fieldOf(fields, name);
  return typeof value === "string" ? value : "";
}

/** With other values of some fields. */
export function withFields(fields: Fields, changes: Fields): Fields {
  const others = Object.entries(fields).filter(([key]) =>
    !Object.keys(changes).some((name) => name.toLowerCase() === key.toLowerCase())
  );
  return { ...Object.fromEntries(others), ...changes };
}
