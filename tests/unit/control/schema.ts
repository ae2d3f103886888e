/** What the schema of the control API says of a value. */
import { Ajv2020 } from "ajv/dist/2020.js";

const FILE = new URL("../../../mod/control/api.schema.json", import.meta.url);
const ajv = new Ajv2020({ allErrors: true });
ajv.addSchema(JSON.parse(Deno.readTextFileSync(FILE)), "api");

/** What is wrong with a value of this type, a line each; none where the schema takes it. */
export function faultsOf(type: string, value: unknown): readonly string[] {
  const validate = ajv.getSchema(`api#/$defs/${type}`);
  if (validate === undefined) throw new Error(`The schema has no type ${type}`);
  void validate(value);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}
