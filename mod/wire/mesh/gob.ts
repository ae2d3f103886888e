/** Go's gob format, as far as peers use it. */
export { GobDecoder } from "./gob_decode.ts";
export { GobEncoder } from "./gob_encode.ts";
export { type GobStruct, type GobType, type GobValue, MAX_GOB_MESSAGE, type ValueOf } from "./gob_types.ts";
