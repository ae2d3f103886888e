/** Which group a setting means: by its number, or by its name in /etc/group. */
import { readTextIfReadable } from "../../sys/files.ts";
import { refuseSetting, settingText, type Sourced } from "./config_values.ts";

const MOST = 0xffff_fffe;

/** The number of a group; undefined where none was given. */
export function groupNumber(given: Sourced | undefined, file = "/etc/group"): number | undefined {
  if (given === undefined) return undefined;
  const text = settingText(given);
  if (/^[0-9]{1,10}$/.test(text) && Number(text) <= MOST) return Number(text);
  for (const line of (readTextIfReadable(file) ?? "").split("\n")) {
    const [name, , number] = line.split(":");
    if (name === text && /^[0-9]{1,10}$/.test(number ?? "")) return Number(number);
  }
  return refuseSetting(
    given,
    `Give a group that ${file} has, or its number; \`groupadd ${text || "meshnet"}\` makes one`,
  );
}
