/** Under which licence each part of a release comes. */

/** Licences by SPDX's names: of Deno, the native libraries, and each npm package of the lock file. */
export const LICENCES: Readonly<Record<string, string>> = {
  "deno": "MIT",
  "libnl-3-200": "LGPL-2.1-only",
  "libsodium23": "ISC",
  "libipsec-mb1": "BSD-3-Clause",
  "@leichtgewicht/ip-codec": "MIT",
  "@logtape/logtape": "MIT",
  "@noble/ciphers": "MIT",
  "@noble/curves": "MIT",
  "@noble/hashes": "MIT",
  "@stricli/core": "Apache-2.0",
  "ajv": "MIT",
  "ansi-regex": "MIT",
  "dns-packet": "MIT",
  "fast-check": "MIT",
  "fast-deep-equal": "MIT",
  "fast-uri": "BSD-3-Clause",
  "get-east-asian-width": "MIT",
  "ipaddr.js": "MIT",
  "json-schema-traverse": "MIT",
  "pure-rand": "MIT",
  "require-from-string": "MIT",
  "smol-toml": "BSD-3-Clause",
  "string-width": "MIT",
  "strip-ansi": "MIT",
};
/** That of meshnet itself. */
export const OWN_LICENCE = "Apache-2.0";
