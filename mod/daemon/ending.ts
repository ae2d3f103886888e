/** Why the daemon ends. */
export type Ending =
  | { readonly kind: "asked"; readonly by: string }
  | { readonly kind: "broken"; readonly error: unknown };
