/** Why the daemon ends. */
export type Ending =
  | { readonly kind: "asked"; readonly by: string }
  /** Another host has this one's name: everything starts again under another one, in the same process. */
  | { readonly kind: "renamed" }
  | { readonly kind: "broken"; readonly error: unknown };
