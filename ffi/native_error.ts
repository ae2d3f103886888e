/** Failures of native calls and of netlink requests as MeshnetError. */
import { describeErrno, ERRNO } from "../mod/core/errno.ts";
import { MeshnetError } from "../mod/core/errors.ts";
import type { NetlinkVerdict } from "../mod/core/ports.ts";
import { libnl } from "./nl_symbols.ts";

const HINTS: Readonly<Record<number, string>> = {
  [ERRNO.EPERM]: "Run as root, or give the process the capability CAP_NET_ADMIN",
  [ERRNO.EACCES]: "Run as root, or give the process the capabilities it needs",
  [ERRNO.EMFILE]: "Raise the limit of open files (ulimit -n, LimitNOFILE=)",
};

/** A C function failed with `errno`. `action` completes "Cannot ...". */
export function callFailed(action: string, errno: number): MeshnetError {
  const hint = HINTS[errno];
  return new MeshnetError("native/call-failed", `Cannot ${action}: ${describeErrno(errno)}`, { hint, errno });
}

/** A libnl function returned a negative code. */
export function nlFailed(action: string, code: number): MeshnetError {
  const text = libnl().nl_geterror(code);
  const words = text === null ? `code ${code}` : new Deno.UnsafePointerView(text).getCString();
  return new MeshnetError("native/call-failed", `Cannot ${action}: ${words}`);
}

/** The kernel refused a netlink request. */
export function requestFailed(verdict: NetlinkVerdict): MeshnetError {
  const missing = verdict.missingType === undefined ? "" : `, attribute ${verdict.missingType} is missing`;
  const text = verdict.text === undefined ? missing : `, ${verdict.text.trim()}${missing}`;
  return new MeshnetError(
    "netlink/request-failed",
    `Kernel refuses request: ${describeErrno(verdict.errno)}${text}`,
    {
      hint: HINTS[verdict.errno],
      errno: verdict.errno,
    },
  );
}
