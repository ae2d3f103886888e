/** Fields of requests: each is read by one of these, which refuse what it may not be. */
import { MeshnetError } from "../core/errors.ts";

const MAX_ITEMS = 1024;
const MAX_TEXT = 4096;

/** The fields of a body. */
export type RequestFields = Readonly<Record<string, unknown>>;

/** Refuses a request. */
export function refuse(message: string, hint: string): never {
  throw new MeshnetError("usage/bad-option", message, { hint });
}

/** The fields of a body that has no others. */
export function readFields(body: unknown, known: readonly string[]): RequestFields {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    refuse("The request body is not an object", `Send an object with ${known.join(", ")}`);
  }
  const unknown = Object.keys(body).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    refuse(
      `The request has an unknown field: ${unknown.slice(0, 64)}`,
      `Known fields are ${known.join(", ")}`,
    );
  }
  return body as Record<string, unknown>;
}

/** A list of texts; none where it is absent. */
export function readTexts(fields: RequestFields, name: string): readonly string[] {
  const value = fields[name] ?? [];
  if (Array.isArray(value)) value.forEach((each) => refuseLong(each, name));
  const good = Array.isArray(value) && value.length <= MAX_ITEMS && value.every(isText);
  return good
    ? value
    : refuse(`The field ${name} is not a list of texts`, `Send up to ${MAX_ITEMS} short texts`);
}

/** True or false; false where it is absent. */
export function readFlag(fields: RequestFields, name: string): boolean {
  const value = fields[name] ?? false;
  return typeof value === "boolean"
    ? value
    : refuse(`The field ${name} is not true or false`, "Send true or false");
}

/** A text, or null where it is absent. */
export function readOptional(fields: RequestFields, name: string): string | null {
  const value = fields[name] ?? null;
  refuseLong(value, name);
  if (value === null || isText(value)) return value;
  return refuse(`The field ${name} is no text`, "Send a text, or leave it out");
}

/** Refuses a text that is too long. */
export function refuseLong(value: unknown, name: string): void {
  if (typeof value !== "string" || value.length <= MAX_TEXT) return;
  refuse(
    `The field ${name} has a text of ${value.length} characters`,
    `Send texts of at most ${MAX_TEXT} characters`,
  );
}

/** Whether a value is a text of fair length. */
export function isText(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= MAX_TEXT;
}

/** A text that must be there. */
export function readText(fields: RequestFields, name: string, hint: string): string {
  const value = fields[name];
  refuseLong(value, name);
  return isText(value) ? value : refuse(`The field ${name} is missing`, hint);
}
