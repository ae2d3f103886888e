/** Nominal types on plain values: only the parser of a type casts to it. */

declare const tag: unique symbol;

/** A `T` that only the parser of `Name` can make. */
export type Brand<T, Name extends string> = T & { readonly [tag]: Name };

/** Ends an exhaustive `switch`; reaching it at run time is a bug. */
export function assertNever(value: never): never {
  throw new TypeError(`Cannot handle variant: kind is ${(value as { kind?: string }).kind}`);
}

/** What a decoder of untrusted bytes returns: it never throws. */
export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string };

/** Wraps a decoded value. */
export function good<T>(value: T): Decoded<T> {
  return { ok: true, value };
}

/** Wraps the reason for which bytes were refused, a sentence without full stop. */
export function bad(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}
